"""What cluster() decides: whether there can be extra jobs, by which road, how long, and in what words."""
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as some
from jupyterhub_hpc_spawner.batch import make_batch_system
from jupyterhub_hpc_spawner.model import JobRequest
from jupyterhub_hpc_spawner.node import jobqueue as node_jobqueue
from jupyterhub_hpc_spawner.node import network, resources
from jupyterhub_hpc_spawner.node.launcher import Launcher
from jupyterhub_hpc_spawner.notebook import cluster, elastic
from jupyterhub_hpc_spawner.notebook.elastic import ClusterError, choose_road, clipped, lifetime, seconds
from jupyterhub_hpc_spawner.runtimes.jobqueue import jobqueue

ADDRESS = "tls://127.0.0.1:4000"


@pytest.mark.parametrize(("allowed", "wanted", "command", "road"), [
    ("job", None, "/usr/bin/sbatch", "job"),
    ("job", None, None, "hub"),
    ("job", "hub", "/usr/bin/sbatch", "hub"),
    ("job", "job", "/usr/bin/sbatch", "job"),
    ("hub", None, "/usr/bin/sbatch", "hub"),
    ("hub", "hub", None, "hub"),
])
def test_the_road_is_the_sites_and_within_that_the_users(allowed, wanted, command, road):
    assert choose_road({"road": allowed}, wanted, command) == road


@pytest.mark.parametrize(("extra", "wanted", "command", "words"), [
    ({"road": "none"}, None, "sbatch", "This site does not allow"),
    ({}, None, "sbatch", "This site does not allow"),
    ({"road": "none"}, "hub", "sbatch", "This site does not allow"),
    ({"road": "hub"}, "job", "sbatch", "through the Hub only"),
    ({"road": "job"}, "job", None, "commands cannot be used in this job"),
    ({"road": "job"}, "rail", "sbatch", "not 'rail'"),
])
def test_what_is_not_allowed_is_said(extra, wanted, command, words):
    with pytest.raises(ClusterError, match=words):
        choose_road(extra, wanted, command)


@pytest.mark.parametrize(("facts", "words"), [
    (None, "this is none"),
    ({"runtimes": {}}, "tick \"Start Dask automatically\""),
    ({"runtimes": {"dask": {"state": "failed"}}}, r"session\(\) says why"),
    ({"runtimes": {"dask": {"state": "running", "address": ADDRESS}}}, "does not allow"),
])
def test_without_a_session_or_its_dask_there_is_a_reason(monkeypatch, tmp_path, facts, words):
    monkeypatch.delenv("HPC_SESSION_FILE", raising=False)
    if facts is not None:
        (tmp_path / "session.json").write_text(json.dumps(facts))
        monkeypatch.setenv("HPC_SESSION_FILE", str(tmp_path / "session.json"))
    with pytest.raises(ClusterError, match=words):
        cluster()


def test_a_kernel_without_dask_jobqueue_is_told_how_to_get_it(monkeypatch, tmp_path):
    facts = {"runtimes": {"dask": {"state": "running", "address": ADDRESS}}, "extra_jobs": {"road": "hub"}}
    (tmp_path / "session.json").write_text(json.dumps(facts))
    monkeypatch.setenv("HPC_SESSION_FILE", str(tmp_path / "session.json"))
    monkeypatch.setattr(elastic, "find_spec", lambda name: None)
    with pytest.raises(ClusterError, match="pip install dask-jobqueue .*conda install -c conda-forge dask-jobqueue"):
        cluster()


@pytest.mark.parametrize(("walltime", "system", "expected"), [
    ("04:00:00", "slurm", 14400), ("1-12:00:00", "slurm", 129600), ("1-12", "slurm", 129600), ("90", "slurm", 5400),
    ("30:00", "slurm", 1800), ("36:00:00", "pbs", 129600), ("30:00", "pbs", 1800), ("90", "pbs", 90),
    ("00:30", "lsf", 1800), ("90", "lsf", 5400), ("4h", "pbs", 14400), ("90m", "lsf", 5400),
    ("soon", "slurm", None), ("", "slurm", None), ("1:2:3:4", "slurm", None),
])
def test_a_walltime_is_read_as_the_system_reads_it(walltime, system, expected):
    assert seconds(walltime, system) == expected


@pytest.mark.parametrize(("walltime", "left", "system", "expected"), [
    ("04:00:00", None, "slurm", "04:00:00"), ("04:00:00", 20000, "slurm", "04:00:00"),
    ("04:00:00", 3601, "slurm", "01:01:00"), (None, 3600, "slurm", "01:00:00"), ("04:00", 3600, "lsf", "01:00"),
    ("04:00:00", 3, "pbs", "00:01:00"), (None, None, "slurm", None),
])
def test_an_extra_job_does_not_outlive_the_session(walltime, left, system, expected):
    assert clipped(walltime, left, system) == expected


@given(some.integers(60, 10 ** 7))
def test_workers_leave_before_their_job_ends_and_not_all_at_once(walltime):
    life, stagger = lifetime(walltime)
    assert 0 < life - stagger <= life + stagger < walltime
    assert stagger > 0 and life >= walltime * 0.8


REQUEST = JobRequest(name="jupyter-a", session_dir="/s", nodes=2, queue="normal", account="geo", qos="short",
                     reservation="class", constraint="mc", cores=8, memory=16 * 1024 ** 3, walltime=5400,
                     extra_directives=("--comment=x",))
SETTINGS = {"sge": {"smp_environment": "smp", "parallel_environment": "mpi"}}
# By batch system: the class of dask-jobqueue, and lines of its job's script.
SCRIPTS = {
    "slurm": ("SLURMCluster", ["-p normal", "-A geo", "--cpus-per-task=2", "--mem=4G", "-t 01:30:00", "--qos=short",
                               "--reservation=class", "--constraint=mc", "--comment=x"]),
    "pbs": ("PBSCluster", ["-q class", "-A geo", "select=1:ncpus=2:mem=3905536kb:mc=True", "walltime=01:30:00"]),
    "torque": ("PBSCluster", ["-q normal", "-A geo", "-l nodes=1:ppn=2:mc,mem=3905536kb", "walltime=01:30:00"]),
    "sge": ("SGECluster", ["-q normal", "-P geo", "-pe smp 2", "-l mc,mem_free=1952768K", "h_rt=01:30:00",
                           "-S /bin/bash", "-o /dev/null"]),
    "lsf": ("LSFCluster", ["-q normal", '-P "geo"', "-n 2", "-W 01:30"]),
    "condor": ("HTCondorCluster", ["MY.DaskWorkerCores = 2", "MY.DaskWorkerMemory = 3999268864"]),
}


@pytest.fixture
def session(tmp_path, monkeypatch):
    """As the launcher leaves it to a kernel, for a batch system by name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JUPYTERHUB_API_URL", "http://127.0.0.1:1/hub/api")
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "the-hubs-token")
    monkeypatch.setattr(resources, "memory", lambda env: 16_000_000_000 // 1024 ** 2 * 1024 ** 2)

    def session(name):
        system = make_batch_system(name, SETTINGS.get(name, {}))
        plan = {"session": "jupyter-a", "secret": "s", "walltime": 5400, "job": {"account": "geo", "queue": "normal"},
                "jobqueue": jobqueue(system, REQUEST)}
        launcher = Launcher(str(tmp_path), json.loads(json.dumps(plan)))
        found, variables = node_jobqueue.prepare(launcher, ADDRESS, 4, 2)
        launcher.session_file.begin("dask", {"python": "/env/bin/python", **found})
        return launcher, variables
    return session


def configured(variables, monkeypatch):
    """Dask as it is configured where these variables are set."""
    import dask
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    return dask.config.set(jobqueue=dask.config.merge(dask.config.config, dask.config.collect_env())["jobqueue"])


@pytest.mark.parametrize("name", SCRIPTS)
def test_dask_jobqueue_without_arguments_asks_for_what_the_session_has(name, session, monkeypatch):
    dask_jobqueue = pytest.importorskip("dask_jobqueue")
    with configured(session(name)[1], monkeypatch):
        kind, lines = SCRIPTS[name]
        job = getattr(dask_jobqueue, kind).job_cls(ADDRESS, name="extra-a-0")
    script = job.job_script()
    assert [line for line in lines if line not in script] == []


def test_the_environment_of_extra_jobs_is_in_a_private_file_without_the_hubs_token(session, tmp_path, monkeypatch):
    monkeypatch.setenv("DASK_DISTRIBUTED__COMM__TLS__CA_FILE", "/s/tls pem")
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", ADDRESS)
    session("slurm")
    setup = tmp_path / node_jobqueue.SETUP
    text = setup.read_text()
    assert setup.stat().st_mode & 0o777 == 0o600
    assert "export DASK_DISTRIBUTED__COMM__TLS__CA_FILE='/s/tls pem'\n" in text and "export PATH=" in text
    assert "the-hubs-token" not in text and "DASK_SCHEDULER_ADDRESS" not in text


def test_what_the_user_or_the_site_has_set_counts_more(session, monkeypatch):
    monkeypatch.setenv("DASK_JOBQUEUE__SLURM__QUEUE", "long")
    _, variables = session("slurm")
    assert "DASK_JOBQUEUE__SLURM__QUEUE" not in variables
    assert variables["DASK_JOBQUEUE__SLURM__ACCOUNT"] == "'geo'" and variables["DASK_JOBQUEUE__SLURM__CORES"] == "2"


def test_where_dask_jobqueue_has_no_such_system_nothing_is_preset(session, tmp_path):
    assert session("local")[1] == {} and not (tmp_path / node_jobqueue.SETUP).exists()


def test_the_interface_of_an_address():
    assert network.interface_of("127.0.0.1") == "lo" and network.interface_of("192.0.2.77") is None


def facts(launcher, **more):
    return {"extra_jobs": {"system": "slurm", "max_nodes": 10}, **launcher.session_file.data, **more}


@pytest.fixture
def direct(session, monkeypatch):
    """Settings of a direct cluster with these arguments, ``left`` seconds before the session's end."""
    pytest.importorskip("dask_jobqueue")
    from jupyterhub_hpc_spawner.notebook import settings

    def direct(left=None, **given):
        launcher, variables = session("slurm")
        with configured(variables, monkeypatch):
            return settings.direct(facts(launcher), left, given)
    return direct


def test_a_job_is_as_large_as_one_of_the_sessions_workers(direct):
    found = direct()
    assert (found["cores"], found["processes"], found["python"]) == (2, 1, "/env/bin/python")
    arguments = found["worker_extra_args"]
    limit = int(arguments[arguments.index("--memory-limit") + 1])
    assert 0.94 < limit / (int(found["memory"][:-3]) * 1024 ** 2) <= 0.95
    assert arguments[arguments.index("--dashboard-address") + 1] == "127.0.0.1:0"
    assert arguments[-4:] == ["--lifetime", "5100s", "--lifetime-stagger", "240s"]


def test_the_users_arguments_come_first(direct):
    found = direct(left=600, cores=36, memory="72GB", walltime="02:00:00", queue="long", worker_extra_args=["--x"],
                   job_script_prologue=["module load mine"], interface="ib0")
    assert (found["cores"], found["processes"], found["queue"], found["walltime"]) == (36, 6, "long", "02:00:00")
    assert found["worker_extra_args"][-5:] == ["--lifetime", "6900s", "--lifetime-stagger", "240s", "--x"]
    assert "--host" not in found["worker_extra_args"] and found["interface"] == "ib0"
    assert found["job_script_prologue"][-1] == "module load mine"
    assert "dask-jobs.sh || exit 1" in found["job_script_prologue"][0]


def test_what_keeps_extra_workers_private_cannot_be_configured_away(direct, monkeypatch):
    monkeypatch.setenv("DASK_JOBQUEUE__SLURM__WORKER_EXTRA_ARGS", "['--resources', 'X=1']")
    arguments = direct()["worker_extra_args"]
    assert "--preload" in arguments and arguments[-2:] == ["--resources", "X=1"]


def test_near_the_sessions_end_jobs_are_short(direct):
    assert direct(left=600)["walltime"] == "00:10:00"


def test_the_hub_is_asked_for_what_the_session_chose_and_the_user_says(session):
    pytest.importorskip("dask")
    from jupyterhub_hpc_spawner.notebook import settings
    launcher, _ = session("slurm")
    found = settings.through_hub(facts(launcher, options={"walltime": "1-00:00:00"}), 7200, {"queue": "long"})
    assert found["options"] == {"walltime": "02:00:00", "queue": "long"}
    assert (found["lifetime"], found["stagger"], found["limit"], found["processes"]) == (6900, 240, 10, 1)


@pytest.mark.parametrize(("wanted", "extra"), [(5, 3), (2, 0), (1, 0), (0, 0), (None, None)])
def test_the_sidebar_counts_the_sessions_own_workers_too(wanted, extra):
    from jupyterhub_hpc_spawner.notebook.sidebar import Sidebar

    class Cluster:
        others = ["n1-0", "n1-1"]

        def scale(self, n=None, **sizes):
            return n

        def adapt(self, minimum, maximum):
            return minimum, maximum
    cluster = type("Shown", (Sidebar, Cluster), {})()
    assert cluster.scale(wanted) == extra
    if wanted is not None:
        assert cluster.adapt(minimum=wanted, maximum=wanted + 7) == (extra, wanted + 5)


# What each batch system's command prints, and the job's id in it.
PRINTED = {"slurm": ("Submitted batch job 17\n", "17"), "pbs": ("17.pbs.example.org\n", "17.pbs.example.org"),
           "sge": ('Your job 17 ("dask-extra") has been submitted\n', "17"),
           "lsf": ("Job <17> is submitted to queue <normal>.\n", "17"),
           "condor": ("Submitting job(s).\n1 job(s) submitted to cluster 17.\n", "17")}


@pytest.mark.parametrize("name", PRINTED)
def test_the_scheduler_finds_the_id_of_an_extra_job_in_what_is_printed(name):
    dask_jobqueue = pytest.importorskip("dask_jobqueue")
    from jupyterhub_hpc_spawner.notebook.attached_jobs import id_pattern
    printed, job_id = PRINTED[name]
    found = re.search(id_pattern(getattr(dask_jobqueue, SCRIPTS[name][0]).job_cls), printed)["job_id"]
    assert found == job_id or job_id.startswith(f"{found}.")
