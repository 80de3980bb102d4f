"""HTCondor's answers, as they really came, its submit description and job script."""
import json

import pytest
from captured import captured
from fake_node import FakeNode
from hypothesis import given
from hypothesis import strategies as st
from jupyterhub_hpc_spawner.batch.condor import STATES, HTCondor
from jupyterhub_hpc_spawner.batch.condor_info import HOLDS
from jupyterhub_hpc_spawner.errors import ConfigError, OptionError, ParseError, QueryError, SubmitError
from jupyterhub_hpc_spawner.model import ClusterInfo, Completed, JobRequest, JobState
from jupyterhub_hpc_spawner.script import make_templates, render_submission

CONDOR = HTCondor()
PENDING, RUNNING, SUSPENDED, FINISHED = JobState.PENDING, JobState.RUNNING, JobState.SUSPENDED, JobState.FINISHED


def real(name):
    return captured(f"htcondor-23.9.6/{name}")


def answer(stdout, returncode=0, stderr=""):
    return Completed(("condor_q",), returncode, stdout, stderr)


def one_job(**attributes):
    return CONDOR.parse_status(answer(json.dumps([{"ClusterId": 7, "ProcId": 0, **attributes}])))["7.0"]


def submission(system=CONDOR, **fields):
    request = JobRequest(**{"name": "jupyter-abc", "session_dir": "/home/alice/x", **fields})
    return render_submission(request, system, make_templates())


def commands(**fields):
    """The description's lines as a dict, and its last line."""
    *lines, last = [line for line in submission(**fields)[0].splitlines() if not line.startswith("#")]
    return dict(line.split(" = ", 1) for line in lines), last


@pytest.mark.parametrize("name, job_id, state, code, host", [
    ("states", "26.0", PENDING, "1", ""), ("states", "27.0", PENDING, "5", ""),
    ("states", "28.0", RUNNING, "2", "node1"), ("states", "29.0", SUSPENDED, "7", "node1"),
    ("states", "30.0", RUNNING, "5", "node1"),
    ("states", "31.0", FINISHED, "4", ""), ("removed", "32.0", RUNNING, "3", "node1"),
    ("removed", "30.0", FINISHED, "3", ""), ("walltime-over", "34.0", FINISHED, "5", ""),
    ("vacated", "33.0", RUNNING, "2", "node1"),
])
def test_state_and_host_of_real_jobs(name, job_id, state, code, host):
    found = CONDOR.parse_status(real(f"condor_q-{name}"))[job_id]
    assert (found.state, found.code, found.host, found.nodes) == (state, code, host, host)


def test_a_real_job_on_hold_will_not_start_as_it_stands():
    found = CONDOR.parse_status(real("condor_q-states"))["27.0"]
    assert (found.can_start, found.explanation) == (False, "held by its owner or an administrator")


def test_a_job_whose_walltime_is_over_says_so():
    found = CONDOR.parse_status(real("condor_q-walltime-over"))["34.0"]
    assert found.reason == "The job exceeded allowed job duration of 00:10"
    assert found.explanation == "its walltime is over"


def test_a_running_job_says_how_long_it_may_go_on():
    assert CONDOR.parse_status(real("condor_q-states"))["28.0"].time_left == 3600 - (1795277134 - 1795277112)


@pytest.mark.parametrize("code, state", [(1, PENDING), (2, RUNNING), (4, FINISHED), (5, PENDING), (6, RUNNING),
                                         (7, SUSPENDED)])
def test_every_state_of_the_manual_is_known(code, state):
    assert STATES[code] == state == one_job(JobStatus=code).state and set(STATES) == set(range(1, 8))


@pytest.mark.parametrize("attributes, expected", [
    ({"JobStatus": 8}, {"state": JobState.UNKNOWN, "code": "8"}), ({}, {"state": JobState.UNKNOWN}),
    ({"JobStatus": "1"}, {"state": JobState.UNKNOWN}), ({"JobStatus": [2]}, {"state": JobState.UNKNOWN}),
    ({"JobStatus": 1, "NumJobStarts": 1}, {"state": FINISHED}),
    ({"JobStatus": 1, "NumJobStarts": 1, "RemoteHost": "slot1@n1"}, {"state": RUNNING, "host": "n1"}),
    ({"JobStatus": 5, "RemoteHost": "slot1@n1"}, {"state": RUNNING, "can_start": True}),
    ({"JobStatus": 5, "NumJobStarts": 1, "HoldReasonCode": 34, "HoldReason": "memory usage exceeded request_memory"},
     {"state": FINISHED, "can_start": True, "explanation": HOLDS[34],
      "reason": "memory usage exceeded request_memory"}),
    ({"JobStatus": 5, "HoldReason": "my words", "HoldReasonCode": 99}, {"can_start": False, "explanation": "my words"}),
    ({"JobStatus": 5, "HoldReason": None}, {"reason": "", "explanation": ""}),
    ({"JobStatus": 3}, {"state": FINISHED}),
    ({"JobStatus": 2, "RemoteHost": "slot1_1@node1.site"}, {"host": "node1.site"}),
    ({"JobStatus": 2, "JobCurrentStartDate": 10, "AllowedJobDuration": 5, "ServerTime": 20}, {"time_left": 0}),
    ({"JobStatus": 2, "JobCurrentStartDate": 10, "ServerTime": 20}, {"time_left": None}),
])
def test_attributes_of_a_job(attributes, expected):
    found = one_job(**attributes)
    assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.parametrize("completed", [real("condor_q-no-jobs"), answer(""), answer("[\n]\n")])
def test_no_jobs_are_an_answer(completed):
    assert CONDOR.parse_status(completed) == {}


@pytest.mark.parametrize("completed", [real("condor_q-no-schedd"), real("condor_q-hung-schedd"), answer("", 1)])
def test_a_failed_question_says_nothing_about_any_job(completed):
    with pytest.raises(QueryError):
        CONDOR.parse_status(completed)


@pytest.mark.parametrize("text", ["x", "{}x", "[1]", "7", '[{"ClusterId": 7}]', '[{"ClusterId": {}, "ProcId": 0}]',
                                  "[" * 100000])
def test_another_answer_is_a_parse_error(text):
    with pytest.raises(ParseError, match="condor_q"):
        CONDOR.parse_status(answer(text))


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3))
ADS = st.lists(st.fixed_dictionaries({"ClusterId": JSON, "ProcId": JSON}, optional=dict.fromkeys(
    ("JobStatus", "NumJobStarts", "HoldReason", "HoldReasonCode", "RemoteHost", "ServerTime"), JSON)), max_size=3)


@given(ADS | JSON)
def test_any_json_is_jobs_or_a_parse_error(data):
    try:
        jobs = CONDOR.parse_status(answer(json.dumps(data)))
    except ParseError:
        return
    assert all(isinstance(job_id, str) and job.state in JobState for job_id, job in jobs.items())


@pytest.mark.parametrize("name, words", [
    ("bad-description", "invalid Queue statement"), ("bad-expression", "Parse error in expression"),
    ("no-directory", "No such directory: /nonexistent"), ("too-many-jobs", "would exceed MAX_JOBS_PER_OWNER"),
    ("refused-by-site", "Say which account pays: accounting_group is missing."),
])
def test_a_rejection_is_a_submit_error_in_condors_words(name, words):
    with pytest.raises(SubmitError, match=words) as caught:
        CONDOR.parse_job_id(real(f"condor_submit-{name}"))
    assert "ERROR: " not in str(caught.value)


def test_a_schedd_that_is_not_there_refused_nothing():
    with pytest.raises(QueryError, match="Can't find address of local schedd"):
        CONDOR.parse_job_id(real("condor_submit-no-schedd"))


@pytest.mark.parametrize("name, job_id", [("accepted", "19.0"), ("unused-line", "23.0"), ("too-many-cores", "20.0")])
def test_a_job_that_condor_took_has_its_id(name, job_id):
    assert CONDOR.parse_job_id(real(f"condor_submit-{name}")) == job_id


def test_the_captured_answers_are_those_to_our_own_commands():
    assert real("condor_q-states").argv == tuple(CONDOR.status_command())
    assert real("info-machines").argv == tuple(CONDOR.info_commands()["machines"])
    assert real("condor_rm-accepted").argv == tuple(CONDOR.cancel_command("28.0"))


def test_a_real_pool():
    pool = CONDOR.parse_info({"machines": real("info-machines")}).queue(None)
    assert (pool.total_nodes, pool.idle_nodes, pool.max_nodes) == (1, 0, 1)
    assert (pool.cores, pool.memory, pool.gpus) == (8, 8000 * 1024 ** 2, {})


def test_slots_of_one_machine_are_one_node():
    slots = [{"Machine": "a", "State": "Unclaimed", "Cpus": 4, "TotalSlotCpus": 4, "TotalCpus": 8, "TotalGPUs": 2},
             {"Machine": "a", "State": "Claimed", "Cpus": 4, "TotalSlotCpus": 4, "TotalCpus": 8, "TotalGPUs": 2},
             {"Machine": "b", "State": "Unclaimed", "Cpus": 2, "TotalSlotCpus": 2, "TotalCpus": 2.0}]
    pool = CONDOR.parse_info({"machines": answer(json.dumps(slots))}).queue(None)
    assert (pool.total_nodes, pool.idle_nodes, pool.cores, pool.gpus) == (2, 1, 8, {"": 2})


def test_what_did_not_answer_is_left_out():
    assert CONDOR.parse_info({}) == CONDOR.parse_info({"machines": answer("")}) == ClusterInfo()


@given(st.lists(st.dictionaries(st.sampled_from(["Machine", "State", "Cpus", "TotalCpus", "TotalMemory", "TotalGPUs"]),
                                JSON), max_size=3) | JSON)
def test_odd_machines_are_a_parse_error_and_nothing_else(data):
    try:
        assert isinstance(CONDOR.parse_info({"machines": answer(json.dumps(data))}), ClusterInfo)
    except ParseError:
        pass


def test_the_description_of_a_full_request():
    lines, last = commands(account="geo.x", constraint="IsBig,NodeType=himem", cores=4, memory=8 * 1024 ** 3, gpus=2,
                           gpu_type="a100", walltime=3600, extra_directives=("rank = Memory",))
    assert last == "queue" and lines == {
        "universe": "vanilla", "executable": "/bin/bash", "arguments": '"-l /home/alice/x/job.sh"',
        "transfer_executable": "false", "should_transfer_files": "NO", "initialdir": "/home/alice/x",
        "output": "job.log", "error": "job.log", "batch_name": "jupyter-abc",
        "getenv": "HOME, USER, LOGNAME, SHELL", "environment": '"HPC_JOB_ID=$(ClusterId).$(ProcId)"',
        "request_cpus": "4", "kill_sig": "SIGTERM", "job_max_vacate_time": "30",
        "requirements": '(NumJobStarts ?: 0) == 0 && TARGET.IsBig =?= true && TARGET.NodeType =?= "himem"',
        "periodic_remove": "(JobStatus == 1 || JobStatus == 5) && NumJobStarts > 0", "accounting_group": "geo.x",
        "request_memory": "8388608K", "request_gpus": "2", "require_gpus": 'regexp("a100", DeviceName, "i")',
        "allowed_job_duration": "3600", "rank": "Memory", "+HPCSpawnerSession": "true"}


def test_only_sessions_are_asked_for_and_every_session_says_that_it_is_one():
    assert "HPCSpawnerSession =?= true" in CONDOR.status_command()
    assert commands()[0]["+HPCSpawnerSession"] == "true"


@pytest.mark.parametrize("fields", [
    {"constraint": "Memory > 1"}, {"constraint": "a||b"}, {"constraint": "1a"}, {"constraint": "a==1"},
    {"constraint": "a,"}, {"constraint": 'a="b"'},
    {"gpu_type": "a|b"}, {"gpu_type": 'a"'}, {"gpu_type": ".*"}, {"account": "a b"},
    {"session_dir": "/home/my alice/x"}, {"session_dir": "/home/al'ice"}, {"name": "$(Cluster)"},
    {"extra_directives": ("a = 1\nqueue 7",)},
])
def test_what_would_say_more_than_it_should_is_refused(fields):
    with pytest.raises((ConfigError, OptionError)):
        submission(**fields)


def test_a_job_has_one_node_and_no_queue():
    assert CONDOR.unsupported() == {"queue", "qos", "reservation", "nodes"} and CONDOR.remote_run(None) == []


def test_the_launcher_learns_its_job_its_node_and_what_it_has(tmp_path):
    node = FakeNode(tmp_path)
    node.session(tmp_path / "session", {})
    (tmp_path / ".machine.ad").write_text('TotalCpus = 8.0\nCpus = 2\nMemory = 1024\nName = "slot1"\n')
    script = submission(session_dir=f"{tmp_path}/session")[1]["job.sh"]
    code, _, errors = node.run(script, HPC_JOB_ID="7.0", _CONDOR_MACHINE_AD=f"{tmp_path}/.machine.ad")
    assert (code, errors) == (0, "")
    assert (node.env["HPC_JOB_ID"], len(node.env["HPC_JOB_NODES"].split())) == ("7.0", 1)
    assert (node.env["HPC_JOB_CORES"], node.env["HPC_JOB_MEMORY"]) == ("2", str(1024 ** 3))
