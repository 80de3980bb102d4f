"""Extra jobs on real Slurm: Dask workers that join a session, and an IPyParallel cluster on two nodes of its own."""
import re
from pathlib import Path

import pytest
from support.kernel import KernelError, run_code
from support.running_hub import wait_for

ONLY = ("slurm",)
DASK = """
import time
from dask.distributed import Client
from jupyterhub_hpc_spawner.notebook import jobs
client = Client()
client.wait_for_workers(1, timeout=60)
job = jobs.submit("dask", {"nodes": 2, "cores": 1, "memory": "1G", "walltime": "10m", "queue": "low"}, workers=2,
                  threads=1, name="extra-x")
deadline = time.monotonic() + 90
while True:
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    if sum(worker["name"].startswith("extra") for worker in workers) == 4 or time.monotonic() > deadline:
        break
    time.sleep(0.1)
print(job, *sorted(worker["name"] for worker in workers if worker["name"].startswith("extra")))
there = {worker["host"] for worker in workers if worker["name"].startswith("extra")}
print(len(there), {worker["memory_limit"] <= 2 ** 29 for worker in workers if worker["name"].startswith("extra")})
print(sum(client.gather(client.map(lambda n: n * n, range(100)))))
print(jobs.jobs()[0]["state"], jobs.jobs()[0]["nodes"])
"""
MPI = """
%ipcluster start -n 4 --nodes 2 --time 10m --account geo
def rank():
    import os, socket
    from mpi4py import MPI
    return MPI.COMM_WORLD.rank, socket.gethostname(), MPI.COMM_WORLD.allreduce(1), os.environ["SLURM_JOB_ID"]
for line in rc[:].apply_sync(rank):
    print("RANK", *line)
%ipcluster status
"""
STOP = """
%ipcluster stop all
"""
BOTH = """
import time
from jupyterhub_hpc_spawner.notebook import jobs
def states():
    return sorted(job["state"] for job in jobs.jobs() if job["state"] != "finished")
if not states():
    jobs.submit("dask", {"cores": 1})
jobs.submit("dask", {"nodes": 3, "cores": 4})
deadline = time.monotonic() + 60
while states() != ["pending", "running"] and time.monotonic() < deadline:
    time.sleep(0.2)
print(*states())
"""
REFUSED = """
from jupyterhub_hpc_spawner.notebook import jobs
jobs.submit("dask", {!r})
"""


@pytest.fixture
def run(hub):
    """Run code in a kernel of alice's session on one node, with one Dask worker."""
    if not hub.servers("alice"):
        options = {"nodes": 1, "cores": 1, "account": "geo", "dask": True, "dask_workers_per_node": 1}
        assert hub.spawn("alice", options)[-1].get("ready")
    return lambda code: run_code(hub.server_url("alice"), hub.user_token("alice"), code, timeout=120)


def directory(hub, job):
    name = next(found["name"] for found in hub.state("alice")["extra"] if found["job_id"] == job)
    return Path("~alice").expanduser() / ".local/share/jupyterhub-hpc-spawner" / name


def test_workers_of_an_extra_job_on_two_nodes_join_the_session(hub, run):
    names, spread, result, state = run(DASK).splitlines()
    job, *names = names.split()
    assert [re.sub(r"-n\d-", "-NODE-", name) for name in names] == ["extra-x-NODE-0", "extra-x-NODE-1"] * 2
    assert (spread, result, state) == ("2 {True}", "328350", "running 2")
    assert job in hub.cluster.jobs("alice")
    shown = hub.cluster.run("alice", "scontrol", "show", "job", job).stdout
    assert "Partition=low" in shown and "TimeLimit=00:10:00" in shown and "NumNodes=2" in shown


def secrets(hub):
    """Of alice's session: the token, the call-back's secret and lines of Dask's key."""
    session = Path("~alice").expanduser() / ".local/share/jupyterhub-hpc-spawner" / hub.state("alice")["name"]
    found = re.findall(r"(?:TOKEN=|\"secret\": \")([\w-]+)", (session / "environment.sh").read_text()
                       + (session / "plan.json").read_text())
    assert len(found) >= 2
    return found + (session / "tls.pem").read_text().splitlines()[1:4]


def assert_in_no_record(hub, secrets, *jobs):
    """Neither in what Slurm shows of the jobs, nor in its logs, nor in any process's arguments or, as far as others may
    read it, environment; nor in the Hub's log, of which nothing is left out."""
    everything = "ps -ef www; cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ; true"
    seen = "".join(map(hub.cluster.records, jobs)) + hub.log.read_text()
    seen += hub.cluster.run("bob", "sh", "-c", everything, errors="replace").stdout
    logs = "".join(path.read_text(errors="replace") for path in hub.cluster.logs())
    assert all(f"JobId={job} " in seen and job in logs for job in jobs) and "[D " in seen
    seen += logs
    assert not [secret for secret in secrets if secret in seen]


def test_no_secret_of_the_session_is_in_the_extra_job(hub, run):
    """Nor in its files."""
    job = hub.state("alice")["extra"][0]["job_id"]
    assert_in_no_record(hub, secrets(hub), hub.state("alice")["job_id"], job)
    files = "".join(path.read_text() for path in directory(hub, job).iterdir() if path.is_file())
    assert files and not [secret for secret in secrets(hub) if secret in files]
    assert hub.cluster.run("bob", "ls", directory(hub, job)).returncode != 0


def test_ipcluster_gives_engines_on_two_nodes_as_one_mpi_program(hub, run):
    printed = run(MPI)
    ranks, hosts, sums, jobs = zip(*(line.split()[1:] for line in printed.splitlines() if line.startswith("RANK")))
    assert ranks == ("0", "1", "2", "3") and set(sums) == {"4"} and hosts[0] == hosts[1] != hosts[2] == hosts[3]
    job, = set(jobs)
    assert job != hub.state("alice")["job_id"] and re.search(rf"^{job} +running +4 engines on 2 nodes", printed, re.M)
    info = directory(hub, job) / "ipp/security/ipcontroller-client.json"
    assert info.stat().st_mode & 0o777 == 0o600
    run(STOP)
    wait_for(lambda: job not in hub.cluster.jobs("alice"), 60, lambda: hub.cluster.records(job))
    wait_for(lambda: len(hub.state("alice")["extra"]) == 1, 30, lambda: f"it counts: {hub.state('alice')['extra']}")


@pytest.mark.parametrize(("options", "words"), [
    ({"account": "nope"}, "account: there is no 'nope' here"),
    ({"nodes": 4}, "nodes: at most 3 in queue normal"),
    ({"reservation": "nores"}, "The batch system refused the job: .*Requested reservation"),
])
def test_a_refusal_is_in_the_policys_or_the_batch_systems_words(run, options, words):
    with pytest.raises(KernelError, match=words):
        run(REFUSED.format(options))


def test_the_end_of_the_session_ends_running_and_waiting_jobs_and_leaves_nothing(hub, run):
    """The second wants all cores of all nodes, of which the session has one."""
    states = run(BOTH).split()
    assert sorted(states[-2:]) == ["pending", "running"]
    kept, jobs = secrets(hub), hub.cluster.jobs("alice")
    hub.stop_server("alice")
    hub.assert_nothing_left("alice")
    assert len(jobs) == 3
    assert_in_no_record(hub, kept, *jobs)
