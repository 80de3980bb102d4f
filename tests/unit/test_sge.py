"""Grid Engine: what its own words mean. What holds for every system is in test_batch_contract.py."""
import pytest
from captured import captured
from jupyterhub_hpc_spawner.batch.sge import GridEngine, state_of
from jupyterhub_hpc_spawner.errors import QueryError, SubmitError
from jupyterhub_hpc_spawner.model import Completed, JobRequest, JobState, Offer
from jupyterhub_hpc_spawner.offers import offer
from jupyterhub_hpc_spawner.options import Options, Policy
from jupyterhub_hpc_spawner.outlook import outlook

GIB = 1024 ** 3
SGE = GridEngine(smp_environment="smp", parallel_environment="mpi-{cores}")
VERSION = "gridengine-8.1.9"


def status(name):
    return SGE.parse_status(captured(f"{VERSION}/{name}"))


@pytest.mark.parametrize(("job_id", "state", "code", "host", "nodes"), [
    ("28", JobState.RUNNING, "r", "g3", "g3 g1"), ("27", JobState.SUSPENDED, "s", "g2", "g2"),
    ("31", JobState.RUNNING, "r", "g2", "g2"), ("35", JobState.PENDING, "qw", "", ""),
    ("33", JobState.PENDING, "Eqw", "", ""), ("30", JobState.PENDING, "hqw", "", ""),
])
def test_state_and_nodes_of_real_jobs(job_id, state, code, host, nodes):
    found = status("qstat-all-kinds")[job_id]
    assert (found.state, found.code, found.host, found.nodes) == (state, code, host, nodes)


@pytest.mark.parametrize(("job_id", "can_start", "words"), [
    ("35", True, ""), ("33", False, "could not be started on its node"), ("30", False, "held"),
])
def test_why_real_jobs_wait(job_id, can_start, words):
    found = status("qstat-all-kinds")[job_id]
    assert found.can_start is can_start and words in found.explanation


def test_the_place_in_the_queue_counts_what_is_ahead_by_priority():
    entry = "<job_list state='pending'><JB_job_number>{}</JB_job_number><state>{}</state></job_list>"
    jobs = [entry.format(number, code) for number, code in ((5, "qw"), (7, "qw"), (6, "hqw"), (8, "qw"), (9, "qw"))]
    text = f"<job_info><job_info>{''.join(jobs)}</job_info></job_info>"
    found = SGE.parse_status(Completed(("qstat",), 0, text, ""))
    assert [found[job].ahead for job in "57689"] == [0, 1, None, 2, 3]


@pytest.mark.parametrize(("name", "state"), [
    ("qstat-being-deleted", JobState.RUNNING), ("qstat-queue-suspended", JobState.SUSPENDED),
    ("qstat-rerun", JobState.RUNNING), ("qstat-running-one-node-smp-2", JobState.RUNNING),
])
def test_other_real_states(name, state):
    assert state in {job.state for job in status(name).values()}


@pytest.mark.parametrize(("code", "state"), [
    ("hRr", JobState.RUNNING), ("dhRr", JobState.RUNNING), ("dqw", JobState.PENDING), ("RtS", JobState.SUSPENDED),
    ("z", JobState.FINISHED), ("d", JobState.UNKNOWN), ("E", JobState.UNKNOWN), ("rX", JobState.UNKNOWN),
])
def test_letters_say_the_state(code, state):
    assert state_of(code) == state


def test_an_error_with_exit_status_0_is_no_answer():
    text = "<?xml version='1.0'?>\n<comunication_error >\n  <AN_status>11</AN_status>\n</comunication_error>\n"
    with pytest.raises(QueryError, match="could not reach the qmaster"):
        SGE.parse_status(Completed(("qstat",), 0, text, "error: commlib error"))


def test_what_can_never_run_is_refused_at_once_with_advice():
    assert SGE.submit_command(JobRequest("x", "/x"))[-2:] == ["-w", "e"]
    with pytest.raises(SubmitError, match="no suitable queues: none can ever fulfil this request; ask for less"):
        SGE.parse_job_id(captured(f"{VERSION}/qsub-too-many-slots"))


def test_qdel_writes_its_errors_to_standard_output():
    assert captured(f"{VERSION}/qdel-unknown-job").stderr == ""
    SGE.parse_cancel(captured(f"{VERSION}/qdel-unknown-job"))
    with pytest.raises(QueryError, match="privileges to delete"):
        SGE.parse_cancel(captured(f"{VERSION}/qdel-not-mine"))


def test_the_form_gets_queues_and_their_limits():
    info = SGE.parse_info({"queues": captured(f"{VERSION}/info-queues")})
    main, debug = sorted(info.queues, key=lambda queue: queue.name, reverse=True)
    assert (main.name, main.max_walltime, main.max_nodes, main.cores, main.memory) == ("main.q", 86400, 3, 4, 6 * GIB)
    assert (debug.name, debug.max_walltime, debug.max_nodes, debug.up) == ("debug.q", 1800, 1, True)
    assert info.untold >= {"account", "gpus"}
    disabled = SGE.parse_info({"queues": captured(f"{VERSION}/info-queues-debug-disabled")})
    assert [queue.name for queue in disabled.queues if not queue.up] == ["debug.q"]


def test_the_form_gets_what_is_free_and_how_many_jobs_wait():
    """One core of two hosts is taken, one host is disabled; of the two waiting jobs one is held."""
    main = SGE.parse_info({"queues": captured(f"{VERSION}/info-queues-some-closed")}).queue("main.q")
    assert (main.total_nodes, main.idle_nodes, main.free_cores, main.all_cores, main.waiting) == (3, 0, 6, 12, 1)
    assert [(kind.total, kind.idle, kind.partly, kind.free) for kind in main.kinds] == [(3, 0, 2, 6)]
    assert outlook(Options(queue="main.q", cores=2), Offer(queues=(main,)), "alice").wait == (
        "May have to wait: 0 of 3 nodes are idle, 2 more are in use but have room, 1 job waits already (estimate)")


def info(**files):
    return SGE.parse_info({name.replace("_", "-"): captured(f"{VERSION}/{file}") for name, file in files.items()})


FOR_SOME = {"queues": "info-queues", "queues_configuration": "info-queues-configuration-for-some"}


def test_the_captured_answers_are_those_to_our_own_commands():
    configuration = {"queues-configuration": captured(f"{VERSION}/info-queues-configuration-for-some")}
    for name, argv in SGE.info_commands(configuration).items():
        file = f"{VERSION}/info-{name}" + ("-for-some" if "configuration" in name else "")
        assert captured(file).argv == tuple(argv)


@pytest.mark.parametrize(("user", "groups", "queues"), [
    ("alice", {"users"}, ["main.q", "debug.q"]), ("bob", {"users"}, []), ("bob", {"staff"}, ["debug.q"]),
    ("carol", {"users"}, ["main.q"]), ("carol", {"games", "staff"}, ["debug.q"]),
    # Nobody is kept out where this machine does not know the user.
    ("bob", None, ["main.q", "debug.q"]),
])
def test_queues_are_offered_to_those_they_are_for(user, groups, queues):
    """As real ``qselect -U`` said of alice and bob: debug.q is for alice and @staff, main.q not for bob and @games."""
    found = offer(Policy(), info(**FOR_SOME, usersets="info-usersets"), user, groups)
    assert list(found.choices.get("queue", ())) == queues


def test_who_may_use_a_queue_is_not_known_without_the_lists():
    for known in (FOR_SOME, {"queues": "info-queues", "usersets": "info-usersets"}):
        assert all(queue.users == () for queue in info(**known).queues)
    everybody = info(queues="info-queues", queues_configuration="info-queues-configuration", usersets="info-usersets")
    assert all(queue.users == () for queue in everybody.queues)


@pytest.mark.parametrize(("line", "users"), [
    ("user_lists            bio-users \\\n                      arusers", ("alice", "@staff", "NONE")),
    ("user_lists            arusers", ("NONE",)), ("user_lists            NONE,[g1=bio-users]", ()),
    ("user_lists            unheard-of", ()),
])
def test_odd_lists_of_users(line, users):
    """Several; of nobody, which lets nobody in; different by host; of a set that is gone."""
    configuration = Completed(("qconf",), 0, f"qname                 main.q\n{line}\nxuser_lists           NONE\n", "")
    sets = captured(f"{VERSION}/info-usersets").stdout + "name    arusers\ntype    ACL\nentries NONE\n"
    found = SGE.parse_info({"queues": captured(f"{VERSION}/info-queues"), "queues-configuration": configuration,
                            "usersets": Completed(("qconf",), 0, sets, "")})
    assert found.queue("main.q").users == users


def test_only_names_of_lists_are_asked_for():
    asked = SGE.info_commands({"queues-configuration": Completed(
        ("qconf",), 0, "qname a\nuser_lists geo,[g1=bio] bio\nxuser_lists NONE\nqname b\nxuser_lists away bio\n", "")})
    assert asked["usersets"] == ["qconf", "-su", "away,bio"]
    assert "usersets" not in SGE.info_commands()


@pytest.mark.parametrize(("fields", "environment"), [
    ({}, ""), ({"cores": 1}, ""), ({"cores": 4}, "smp 4"), ({"nodes": 2}, "mpi-1 2"),
    ({"nodes": 3, "cores": 4}, "mpi-4 12"),
])
def test_slots_are_those_of_all_nodes(fields, environment):
    assert SGE.environment(JobRequest("x", "/x", **fields)) == environment


def test_memory_is_asked_for_by_slot():
    assert SGE.memory(JobRequest("x", "/x", cores=4, memory=8 * GIB)) == f"{2 * 1024 ** 2}K"


def test_without_parallel_environments_there_is_one_core_on_one_node():
    assert GridEngine().unsupported() == {"cores", "nodes", "qos"}
    assert SGE.unsupported() == {"qos"}
