"""LSF's answers, as public sources have them (tests/captured/lsf-10.1/SOURCES.md), and its job script."""
import pytest
from captured import captured
from fake_node import FakeNode
from hypothesis import given
from hypothesis import strategies as st
from jupyterhub_hpc_spawner.batch.lsf import LSF, STATES
from jupyterhub_hpc_spawner.batch.lsf_info import REASONS, parse_left
from jupyterhub_hpc_spawner.errors import ConfigError, HPCSpawnerError, ParseError, QueryError, SubmitError
from jupyterhub_hpc_spawner.model import ClusterInfo, Completed, JobRequest, JobState
from jupyterhub_hpc_spawner.script import make_templates, render_script

SYSTEM = LSF()
PENDING, RUNNING, SUSPENDED, FINISHED = JobState.PENDING, JobState.RUNNING, JobState.SUSPENDED, JobState.FINISHED
UNKNOWN = JobState.UNKNOWN
GIB = 1024 ** 3


def real(name):
    return captured(f"lsf-10.1/{name}")


def answer(stdout, returncode=0, stderr=""):
    return Completed(("bjobs",), returncode, stdout, stderr)


def one_job(stat="RUN", hosts="n1", left="-", reason="-"):
    return SYSTEM.parse_status(answer(f"7^0^{stat}^{hosts}^{left}^{reason}\n"))["7"]


def script(system=SYSTEM, **fields):
    return render_script(JobRequest(**{"name": "jupyter-abc", "session_dir": "/x", **fields}), system, make_templates())


def directives(*args, **fields):
    return [line for line in script(*args, **fields).splitlines() if line.startswith("#BSUB ")]


@pytest.mark.parametrize("job_id, state, code, nodes", [
    ("101", PENDING, "PEND", ""), ("104", PENDING, "PSUSP", ""), ("105", RUNNING, "RUN", "n1 n2"),
    ("106", RUNNING, "RUN", "n3"), ("107", RUNNING, "RUN", "n4"), ("108", SUSPENDED, "USUSP", "n1"),
    ("109", SUSPENDED, "SSUSP", "n3"), ("110", FINISHED, "DONE", "n1"), ("111", FINISHED, "EXIT", "n1 n2"),
    ("112", UNKNOWN, "UNKWN", "n5"), ("113", UNKNOWN, "ZOMBI", "n5"), ("114[1]", RUNNING, "RUN", "n6"),
    ("114[2]", PENDING, "PEND", ""), ("115", PENDING, "WAIT", ""), ("116", PENDING, "PROV", ""),
])
def test_state_and_nodes_of_jobs(job_id, state, code, nodes):
    found = SYSTEM.parse_status(real("bjobs-states"))[job_id]
    assert (found.state, found.code, found.nodes, found.host) == (state, code, nodes, nodes.partition(" ")[0])


@pytest.mark.parametrize("job_id, can_start, explanation", [
    ("101", True, REASONS["New job is waiting for scheduling"]),
    ("102", True, "waiting for nodes that have what it asks for"),
    ("103", False, "Dependency condition invalid or never satisfied"), ("104", False, "suspended before it started"),
    ("105", True, ""), ("114[2]", True, "The job array has reached its job slot limit"), ("115", True, ""),
])
def test_why_jobs_wait(job_id, can_start, explanation):
    found = SYSTEM.parse_status(real("bjobs-states"))[job_id]
    assert (found.can_start, found.explanation) == (can_start, explanation)


@pytest.mark.parametrize("job_id, left", [("105", 5400), ("106", None), ("107", 3552), ("108", None), ("114[1]", None)])
def test_how_long_running_jobs_may_go_on(job_id, left):
    assert SYSTEM.parse_status(real("bjobs-states"))[job_id].time_left == left


@pytest.mark.parametrize("text, seconds", [
    ("0:05 L", 300), ("12:00 E", 43200), ("100:00:01 L", 360001), ("0:05 X", None), ("0:5 L", None), ("-", None),
    ("", None),
])
def test_times_left(text, seconds):
    assert parse_left(text) == seconds


@pytest.mark.parametrize("code", ["", "run", "RUNNING", "NEW^"])
def test_a_state_that_the_manual_lacks_is_unknown_and_never_the_end(code):
    assert one_job(code.strip("^") or "").state == UNKNOWN and code not in STATES


def test_a_reason_of_many_lines_stays_with_its_job():
    jobs = SYSTEM.parse_status(real("bjobs-reasons-of-many-lines"))
    assert set(jobs) == {"3866", "3867"} and jobs["3867"].state == RUNNING
    assert jobs["3866"].reason.startswith("Candidate host pending reasons (0 of 4 hosts). Non-candidate")


@pytest.mark.parametrize("name", ["no-jobs", "no-jobs-consistent-exit-code", "no-unfinished-jobs"])
def test_no_jobs_are_an_answer_whatever_the_exit_status(name):
    assert SYSTEM.parse_status(real(f"bjobs-{name}")) == {}


@pytest.mark.parametrize("completed", [
    real("bjobs-lsf-down"), answer("", 255), answer("", 0, "LSF is down. Please wait ...\n"),
    answer("Cannot connect to LSF. Please wait ...\n"), answer("7^0^RUN^n1^-^-\n", -9),
    answer("", 255, "No job found\nLSF is down. Please wait ...\n"),
])
def test_a_failed_question_says_nothing_about_any_job(completed):
    with pytest.raises(QueryError):
        SYSTEM.parse_status(completed)


def test_what_bjobs_says_while_it_tries_again_is_no_job():
    assert set(SYSTEM.parse_status(real("bjobs-after-retries"))) == {"101"}


@pytest.mark.parametrize("text", ["x", "7^RUN", "a^0^RUN^n1^-^-", "7^0^RUN^n1^-^-\n8^RUN",
                                  "JOBID USER STAT QUEUE FROM_HOST EXEC_HOST JOB_NAME SUBMIT_TIME"])
def test_another_answer_is_a_parse_error(text):
    with pytest.raises(ParseError, match="bjobs"):
        SYSTEM.parse_status(answer(text))


FIELD = st.sampled_from(["7", "RUN", "PEND", "4*n1:n2", "-", "0:05 L", "^", "*", ":"]) | st.text(max_size=8)


@given(st.text() | st.lists(st.lists(FIELD, min_size=5, max_size=7).map("^".join), max_size=3).map("\n".join),
       st.sampled_from([0, 0, 1]), st.text(max_size=20))
def test_garbage_is_a_parse_error_or_a_query_error_and_nothing_else(stdout, returncode, stderr):
    try:
        jobs = SYSTEM.parse_status(answer(stdout, returncode, stderr))
    except (ParseError, QueryError):
        return
    assert all(job.state in JobState for job in jobs.values())


def test_the_status_command_asks_for_nothing_that_users_choose():
    *_, option, format = SYSTEM.status_command()
    assert option == "-o" and real("bjobs-states").argv == tuple(SYSTEM.status_command())
    assert not {"job_name", "command", "job_description", "sub_cwd", "proj_name"} & set(format.split())


@pytest.mark.parametrize("name, job_id", [
    ("accepted", "984097"), ("accepted-default-queue", "3856"), ("accepted-with-a-notice", "11234"),
    ("accepted-after-retries", "12345678"),
])
def test_a_job_that_lsf_took_has_its_id(name, job_id):
    assert SYSTEM.parse_job_id(real(f"bsub-{name}")) == job_id


@pytest.mark.parametrize("name, words", [
    ("unknown-queue", "rhel7: No such queue."), ("refused-by-esub", "Request aborted by esub"),
    ("bad-resource-requirement", "Bad resource requirement syntax"), ("too-many-processors", "Too many processors"),
    ("non-lsf-host", "Request from non-LSF host rejected"),
])
def test_a_rejection_is_a_submit_error_in_lsfs_words(name, words):
    with pytest.raises(SubmitError, match=words):
        SYSTEM.parse_job_id(real(f"bsub-{name}"))


@pytest.mark.parametrize("text", ["Job <0> is submitted to queue <x>.", "Job <1.4> is submitted to queue <x>.",
                                  "Job is submitted to <abc> project.", ""])
def test_no_id_says_nothing_of_the_job(text):
    with pytest.raises(QueryError):
        SYSTEM.parse_job_id(answer(text))


def test_lsf_that_is_down_refused_nothing():
    with pytest.raises(QueryError, match="LSF is down"):
        SYSTEM.parse_job_id(real("bsub-lsf-down"))


def info(**files):
    return SYSTEM.parse_info({name: real(file) for name, file in files.items()})


def test_queues_with_their_limits_and_hosts():
    found = info(queues="info-queues", slots="info-slots", hosts="info-hosts")
    normal, short, long = (found.queue(name) for name in ("normal", "short", "long"))
    assert found.queue(None) is normal and [queue.up for queue in found.queues] == [True, True, False]
    assert (normal.max_walltime, short.max_walltime, long.max_walltime) == (None, 14400, 86400)
    assert (normal.default_walltime, short.default_walltime, long.default_walltime) == (None, None, 3600)
    assert (normal.total_nodes, normal.idle_nodes, normal.cores, normal.memory) == (4, 1, 16, 79 * GIB)
    assert (short.total_nodes, short.idle_nodes, short.cores, short.memory) == (2, 1, 16, 16046 * 1024 ** 2)
    assert (normal.free_cores, normal.all_cores, normal.waiting) == (20, 40, 0)
    assert sum(kind.partly for kind in normal.kinds) == 1, "a host that is closed has no room"
    assert (long.total_nodes, long.max_nodes, long.cores, long.memory) == (0, None, None, None)


def test_a_queue_of_ibms_manual():
    queue, = info(queues="info-queue-normal").queues
    assert (queue.name, queue.default, queue.up, queue.max_walltime) == ("normal", True, True, None)


def test_what_did_not_answer_is_left_out():
    assert SYSTEM.parse_info({}) == ClusterInfo()


WORDS = ("HOST_NAME STATUS MAX NJOBS maxmem n1 ² RUNLIMIT".split()
         + ["\n", "QUEUE: a\n", "DEFAULT LIMITS:", "9 min", "HOSTS:  all", "\nHOSTS: n1"])
TABLE = st.lists(st.sampled_from(WORDS)).map(" ".join) | st.text()


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(SYSTEM.info_commands(), TABLE)))
def test_garbage_about_the_cluster_is_an_error_of_ours_and_nothing_else(texts):
    try:
        assert isinstance(SYSTEM.parse_info({name: answer(text) for name, text in texts.items()}), ClusterInfo)
    except HPCSpawnerError:
        pass


def test_directives_of_a_full_request():
    assert directives(nodes=2, queue="normal", account="geo", reservation="course", constraint="himem", cores=4,
                      memory=8 * GIB, gpus=2, gpu_type="TeslaV100", walltime=3601,
                      extra_directives=("-app jupyter",)) == [
        "#BSUB -J jupyter-abc", "#BSUB -o /dev/null", "#BSUB -rn", "#BSUB -n 8", '#BSUB -R "span[ptile=4]"',
        "#BSUB -q normal", "#BSUB -P geo", "#BSUB -U course", '#BSUB -R "select[himem]"',
        '#BSUB -R "rusage[mem=8192MB]"', '#BSUB -gpu "num=2:gmodel=TeslaV100"', "#BSUB -W 61", "#BSUB -app jupyter"]


@pytest.mark.parametrize("settings, line", [
    ({}, '#BSUB -R "rusage[mem=8192MB]"'), ({"memory_per": "task"}, '#BSUB -R "rusage[mem=2048MB]"'),
    ({"memory_per": "job"}, '#BSUB -R "rusage[mem=16384MB]"'), ({"memory_unit": "GB"}, '#BSUB -R "rusage[mem=8GB]"'),
    ({"memory_limit": "job"}, "#BSUB -M 16384MB"),
    ({"memory_limit": "task", "memory_unit": "KB"}, "#BSUB -M 2097152KB"),
])
def test_memory_is_asked_for_as_the_cluster_counts_it(settings, line):
    assert line in directives(LSF(**settings), nodes=2, cores=4, memory=8 * GIB)


def test_there_is_no_limit_on_memory_where_the_site_sets_none():
    assert not [line for line in directives(memory=GIB) if " -M " in line]


@pytest.mark.parametrize("settings", [{"memory_per": "slot"}, {"memory_limit": "core"}, {"memory_unit": "bytes"}])
def test_a_way_to_count_memory_that_lsf_lacks_is_refused(settings):
    with pytest.raises(ConfigError, match="memory per"):
        script(LSF(**settings), memory=GIB)


@pytest.mark.parametrize("fields", [{"constraint": "a] rusage[x"}, {"constraint": 'a"'}, {"queue": "a b"},
                                    {"account": "a\nb"}, {"gpu_type": "a b"}])
def test_what_would_say_more_than_it_should_is_refused(fields):
    with pytest.raises(ConfigError):
        script(**fields)


@pytest.mark.parametrize("hosts, nodes", [("n2 4 n1 4", ["n2", "n1"]), ("n1 1", ["n1"]),
                                          ("a.b 2 a.b 2 c 4", ["a.b", "c"])])
def test_the_launcher_learns_its_job_its_nodes_and_cores(tmp_path, hosts, nodes):
    node = FakeNode(tmp_path)
    node.session(tmp_path / "session", {})
    node.run(script(nodes=2, cores=4, session_dir=f"{tmp_path}/session"), LSB_JOBID="123", LSB_MCPU_HOSTS=hosts,
             LSF_BINDIR="/opt/lsf/bin")
    assert (node.env["HPC_JOB_ID"], node.env["HPC_JOB_NODES"].split()) == ("123", nodes)
    assert node.env["HPC_JOB_CORES"] == "4" and node.env["PATH"].endswith(":/opt/lsf/bin")
