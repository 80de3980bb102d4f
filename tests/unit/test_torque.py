"""Torque's answers, as they really came, and what its job script says and does."""
import pytest
from captured import captured
from fake_node import FakeNode
from hypothesis import given
from hypothesis import strategies as st
from jupyterhub_hpc_spawner.batch.torque import STATES, Torque
from jupyterhub_hpc_spawner.errors import ConfigError, OptionError, ParseError, QueryError, SubmitError
from jupyterhub_hpc_spawner.model import ClusterInfo, Completed, JobRequest, JobState
from jupyterhub_hpc_spawner.script import make_templates, render_script

TORQUE = Torque()
PENDING, RUNNING, SUSPENDED, FINISHED = JobState.PENDING, JobState.RUNNING, JobState.SUSPENDED, JobState.FINISHED
MIB = 1024 ** 2


def real(name):
    return captured(f"torque-6.1-master/{name}")


def answer(stdout, returncode=0, stderr=""):
    return Completed(("qstat",), returncode, stdout, stderr)


def one_job(**fields):
    text = "".join(f"<{name}>{value}</{name}>" for name, value in {"job_state": "R", **fields}.items())
    return TORQUE.parse_status(answer(f"<Data><Job><Job_Id>7.s</Job_Id>{text}</Job></Data>"))["7.s"]


def script(system=TORQUE, **fields):
    return render_script(JobRequest(**{"name": "jupyter-abc", "session_dir": "/x", **fields}), system, make_templates())


def directives(*args, **fields):
    return [line for line in script(*args, **fields).splitlines() if line.startswith("#PBS ")]


@pytest.mark.parametrize("job_id, state, code, host, nodes", [
    ("15.node1", FINISHED, "C", "n1", "n1"), ("17.node1", RUNNING, "R", "n1", "n1"),
    ("18.node1", RUNNING, "R", "n2", "n2 n1"), ("25.node1", PENDING, "H", "", ""),
    ("26.node1", PENDING, "W", "", ""), ("27.node1", PENDING, "Q", "", ""), ("28.node1", PENDING, "H", "", ""),
    ("29.node1", SUSPENDED, "S", "n1", "n1"),
])
def test_state_and_nodes_of_real_jobs(job_id, state, code, host, nodes):
    found = TORQUE.parse_status(real("qstat-states"))[job_id]
    assert (found.state, found.code, found.host, found.nodes) == (state, code, host, nodes)


@pytest.mark.parametrize("job_id, can_start, explanation", [
    ("25.node1", False, "held"), ("26.node1", True, "waiting for its start time"),
    ("27.node1", True, "Not enough of the right type of nodes are available"), ("18.node1", True, ""),
])
def test_why_real_jobs_wait(job_id, can_start, explanation):
    found = TORQUE.parse_status(real("qstat-states"))[job_id]
    assert (found.can_start, found.explanation) == (can_start, explanation)


def test_a_running_job_says_how_long_it_may_go_on():
    assert TORQUE.parse_status(real("qstat-states"))["18.node1"].time_left == 1784


@pytest.mark.parametrize("code, state", [("C", FINISHED), ("E", RUNNING), ("H", PENDING), ("Q", PENDING),
                                         ("R", RUNNING), ("T", PENDING), ("W", PENDING), ("S", SUSPENDED)])
def test_every_state_of_the_manual_is_known(code, state):
    assert STATES[code] == state == one_job(job_state=code).state


@pytest.mark.parametrize("fields, expected", [
    ({"job_state": "X"}, {"state": JobState.UNKNOWN, "code": "X"}),
    ({"exec_host": "n1/0+n1/1+n2/0+n2/1"}, {"host": "n1", "nodes": "n1 n2"}),
    ({"exec_host": "a.b-c/0-3+d/4,6"}, {"host": "a.b-c", "nodes": "a.b-c d"}),
    ({"Walltime": "<Remaining>-5</Remaining>"}, {"time_left": None}),
    ({"job_state": "Q", "comment": "Not Running: Draining system"}, {"explanation": "Draining system"}),
    ({"comment": "Job started on Sat"}, {"reason": "", "explanation": ""}),
])
def test_fields_of_a_job(fields, expected):
    found = one_job(**fields)
    assert {name: getattr(found, name) for name in expected} == expected


def test_markup_in_what_a_user_chose_is_nobody_elses_job():
    text = real("qstat-states").stdout
    assert "a&lt;b&gt;&amp;&quot;c" in text
    assert len(TORQUE.parse_status(real("qstat-states"))) == text.count("<Job>")


def test_control_characters_of_a_user_do_not_hide_the_other_jobs():
    completed = real("qstat-control-characters")
    assert "\x01" in completed.stdout and "\x1b" in completed.stdout
    assert TORQUE.parse_status(completed)["18.node1"].state == RUNNING


@pytest.mark.parametrize("completed", [real("qstat-no-jobs"), real("qstat-others-hidden"), answer("")])
def test_no_jobs_are_an_answer(completed):
    assert TORQUE.parse_status(completed) == {}


@pytest.mark.parametrize("completed", [real("qstat-no-server"), real("qstat-no-trqauthd"), answer("<Data></Data>", 1)])
def test_a_failed_question_says_nothing_about_any_job(completed):
    with pytest.raises(QueryError):
        TORQUE.parse_status(completed)


@pytest.mark.parametrize("text", ["x", "<Data>", "<Data><Job></Job></Data>", "<Data><Job><Job_Id/></Job></Data>"])
def test_another_answer_is_a_parse_error(text):
    with pytest.raises(ParseError, match="qstat"):
        TORQUE.parse_status(answer(text))


@given(st.lists(st.text(), max_size=3).map("<Job>".join) | st.text(), st.sampled_from([0, 0, 1]))
def test_garbage_is_a_parse_error_or_a_query_error_and_nothing_else(text, returncode):
    for stdout in (text, f"<Data>{text}</Data>", f"<Data><Job><Job_Id>{text}</Job_Id></Job></Data>"):
        try:
            jobs = TORQUE.parse_status(answer(stdout, returncode))
        except (ParseError, QueryError):
            continue
        assert all(jobs)


@pytest.mark.parametrize("name, words", [
    ("unknown-queue", "requested queue not found"), ("queue-disabled", "queue is disabled"),
    ("too-many-cores", "cannot locate feasible nodes"), ("walltime-too-long", "cannot satisfy queue max walltime"),
    ("unknown-property", "cannot locate feasible nodes"), ("unknown-resource", "Resource_List.nosuch"),
    ("bad-directive", "a single - is not a valid option"),
])
def test_a_rejection_is_a_submit_error_in_torques_words(name, words):
    with pytest.raises(SubmitError, match=words) as caught:
        TORQUE.parse_job_id(real(f"qsub-{name}"))
    assert not str(caught.value).startswith("qsub:")


@pytest.mark.parametrize("name", ["no-server", "no-trqauthd"])
def test_a_server_that_does_not_answer_refused_nothing(name):
    with pytest.raises(QueryError, match="cannot connect to server"):
        TORQUE.parse_job_id(real(f"qsub-{name}"))


def test_what_torque_did_not_take_as_an_id_may_still_be_cancelled():
    with pytest.raises(QueryError, match="illegally formed"):
        TORQUE.parse_cancel(real("qdel-bad-id"))


def test_a_cancelled_job_has_time_to_end_in_order():
    assert real("qdel-accepted").argv == tuple(TORQUE.cancel_command("25.node1")) == ("qdel", "-W", "30", "25.node1")


def test_the_captured_answers_are_those_to_our_own_commands():
    assert real("qstat-states").argv == tuple(TORQUE.status_command())
    for name, argv in TORQUE.info_commands().items():
        assert real(f"info-{name}").argv == tuple(argv)


def info(**files):
    return TORQUE.parse_info({name: real(file) for name, file in files.items()})


def test_a_real_clusters_queues_and_nodes():
    found = info(queues="info-queues", server="info-server", nodes="info-nodes")
    batch, closed = found.queue("batch"), found.queue("closed")
    assert found.queue(None) is batch and not closed.up and batch.up
    assert (batch.max_walltime, batch.default_walltime, batch.max_nodes) == (86400, 1800, 2)
    assert (batch.total_nodes, batch.idle_nodes, batch.cores) == (2, 0, 4)
    assert (batch.free_cores, batch.all_cores, batch.waiting) == (4, 8, 1)
    assert [(kind.partly, kind.free) for kind in batch.kinds] == [(1, 2), (1, 2)]
    assert (batch.memory, batch.gpus, batch.features) == (24684084 * 1024, {"": 2}, ("himem", "a100"))


def test_what_did_not_answer_is_left_out():
    assert TORQUE.parse_info({}) == ClusterInfo()
    assert info(queues="info-queues").queue("batch").cores is None
    assert info(nodes="info-nodes") == ClusterInfo()


def test_a_value_that_goes_on_in_the_next_line_is_one():
    text = real("info-queues").stdout.replace("walltime = 24:00:00", "walltime = 24:0\n\t0:00")
    assert TORQUE.parse_info({"queues": answer(text)}).queue("batch").max_walltime == 86400


def test_a_queue_bound_to_a_property_has_only_its_nodes():
    text = real("info-queues").stdout.replace("resources_default.nodes = 1", "resources_default.neednodes = a100")
    found = TORQUE.parse_info({"queues": answer(text), "nodes": real("info-nodes")})
    assert (found.queue("batch").total_nodes, found.queue("batch").features) == (1, ("a100",))


def test_directives_of_a_full_request():
    assert directives(nodes=2, queue="batch", account="geo", qos="high", reservation="course.1", constraint="himem",
                      cores=4, memory=512 * MIB, gpus=1, gpu_type="a100", walltime=90000,
                      extra_directives=("-l file=1gb",)) == [
        "#PBS -N jupyter-abc", "#PBS -S /bin/bash", "#PBS -j oe", "#PBS -o /dev/null", "#PBS -m n", "#PBS -r n",
        "#PBS -l nodes=2:ppn=4:gpus=1:himem:a100", "#PBS -q batch", "#PBS -A geo",
        "#PBS -W x=QOS:high;FLAGS:ADVRES:course.1", "#PBS -l mem=1048576kb", "#PBS -l walltime=25:00:00",
        "#PBS -l file=1gb"]


@pytest.mark.parametrize("fields, line", [
    ({"qos": "high"}, "#PBS -W x=QOS:high"), ({"reservation": "r"}, "#PBS -W x=FLAGS:ADVRES:r"),
    ({}, "#PBS -l nodes=1:ppn=1"), ({"constraint": "himem:ib"}, "#PBS -l nodes=1:ppn=1:himem:ib"),
])
def test_single_directives(fields, line):
    assert line in directives(**fields)


@pytest.mark.parametrize("resource, size", [("mem", 2048), ("vmem", 2048), ("pmem", 256), ("pvmem", 256)])
def test_memory_is_asked_for_as_the_resource_counts_it(resource, size):
    lines = directives(Torque(memory_resource=resource), nodes=2, cores=4, memory=1024 * MIB)
    assert f"#PBS -l {resource}={size * 1024}kb" in lines


def test_without_maui_there_is_no_quality_of_service_and_no_reservation():
    assert Torque(maui=False).unsupported() == {"qos", "reservation"} and not TORQUE.unsupported()


@pytest.mark.parametrize("fields", [{"constraint": "1+9:ppn=8"}, {"constraint": "2"}, {"gpu_type": "a,b"},
                                    {"gpu_type": "gpus=8"}, {"queue": "a b"}, {"account": "a'b"}])
def test_what_would_say_more_than_it_should_is_refused(fields):
    with pytest.raises((ConfigError, OptionError)):
        script(**fields)


def test_the_launcher_learns_its_job_its_nodes_and_cores(tmp_path):
    node = FakeNode(tmp_path)
    node.session(tmp_path / "session", {})
    (tmp_path / "nodefile").write_text("n2\nn2\nn1\nn1\n")
    node.run(script(nodes=2, cores=2, session_dir=f"{tmp_path}/session"), PBS_JOBID="7.s", PBS_O_PATH="/opt/torque/bin",
             PBS_NODEFILE=f"{tmp_path}/nodefile", PBS_NUM_PPN="2")
    assert (node.env["HPC_JOB_ID"], node.env["HPC_JOB_NODES"].split()) == ("7.s", ["n2", "n1"])
    assert node.env["HPC_JOB_CORES"] == "2" and node.env["PATH"].endswith(":/opt/torque/bin")
