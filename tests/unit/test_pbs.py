"""OpenPBS: what its own words mean. What holds for every system is in test_batch_contract.py."""
from datetime import datetime, timedelta, timezone

import pytest
from captured import captured
from jupyterhub_hpc_spawner.batch.pbs import PBS
from jupyterhub_hpc_spawner.batch.pbs_info import allowed
from jupyterhub_hpc_spawner.errors import ParseError, QueryError
from jupyterhub_hpc_spawner.model import ClusterInfo, JobRequest, JobState

GIB = 1024 ** 3
PBS_ = PBS()
VERSION = "openpbs-23.06.06"


def status(name):
    return PBS_.parse_status(captured(f"{VERSION}/{name}"))


@pytest.mark.parametrize(("job_id", "state", "host", "nodes"), [
    ("28", JobState.RUNNING, "p1", "p1"), ("29", JobState.RUNNING, "p2", "p2 p3"), ("30", JobState.PENDING, "", ""),
    ("33", JobState.PENDING, "", ""), ("34", JobState.PENDING, "", ""),
])
def test_state_and_nodes_of_real_jobs(job_id, state, host, nodes):
    found = status("qstat-mixed")[job_id]
    assert (found.state, found.host, found.nodes) == (state, host, nodes)


@pytest.mark.parametrize(("job_id", "can_start", "explanation"), [
    ("30", True, "Not enough free nodes available; expected to start: 16:56 UTC"),
    ("31", True, "Insufficient amount of resource: ncpus (R: 4 A: 2 T: 12); expected to start: 17:16 UTC"),
    ("32", False, "Insufficient amount of resource: ncpus (R: 32 A: 12 T: 12)"),
    ("33", False, "held"), ("34", True, "waiting for its start time"),
])
def test_why_real_jobs_wait_and_when_they_start(job_id, can_start, explanation):
    found = status("qstat-mixed")[job_id]
    assert (found.can_start, found.explanation) == (can_start, explanation)


def test_an_array_is_nobodys_session():
    assert set(status("qstat-mixed")) == {"28", "29", "30", "31", "32", "33", "34", "36", "37"}


def test_a_deleted_job_leaves_the_table_at_once_and_a_suspended_one_stays():
    assert "28" not in status("qstat-right-after-qdel")
    assert status("qstat-suspended")["38"].state == JobState.SUSPENDED
    assert status("qstat-held-by-admin")["39"].can_start is False


def test_what_a_user_writes_speaks_for_no_other_job():
    """Jobs 36 and 37 were submitted with records of another job in their account and their variables."""
    assert "99" not in status("qstat-mixed") and status("qstat-mixed")["36"].state == JobState.PENDING


@pytest.mark.parametrize("name", ["break-out", "nan", "non-ascii"])
def test_the_status_is_not_asked_for_as_json_which_any_user_can_break(name):
    assert "json" not in PBS_.status_command()
    with pytest.raises(ParseError):
        PBS_.parse_status(captured(f"{VERSION}/qstat-invalid-json-{name}"))


def test_jobs_that_the_server_hides_are_an_answer_without_them():
    """``query_other_jobs = False``: exit status 0 and no word of it. The poller asks the owner then."""
    assert status("qstat-others-hidden") == {} and "38" in status("qstat-others-hidden-own")


def test_a_table_of_another_form_is_not_guessed_at():
    good = captured(f"{VERSION}/qstat-mixed")
    for text in (good.stdout.replace("--- - -----\n", "--- -----\n"), good.stdout.replace("-" * 15, " " * 15),
                 "Job id Name\n28 x\n"):
        with pytest.raises((ParseError, QueryError)):
            PBS_.parse_status(type(good)(good.argv, 0, text, ""))


def test_the_form_gets_queues_limits_node_types_and_gpus():
    info = PBS_.parse_info({name: captured(f"{VERSION}/info-{name}") for name in ("queues", "nodes", "server")})
    workq, debug = info.queues
    assert (workq.name, workq.default, workq.max_walltime, workq.default_walltime) == ("workq", True, 86400, 3600)
    assert (debug.name, debug.default, debug.max_walltime) == ("debug", False, 1800)
    assert (workq.max_nodes, workq.cores, workq.memory, workq.gpus) == (3, 4, 6 * GIB, {"a100": 2})
    assert workq.features == ("himem",) and "account" in info.untold


def test_a_closed_queue_is_shown_as_closed_and_a_node_that_is_offline_does_not_count():
    closed = PBS_.parse_info({"queues": captured(f"{VERSION}/info-queues-debug-closed")})
    assert [queue.name for queue in closed.queues if not queue.up] == ["debug"]
    full = PBS_.parse_info({"queues": captured(f"{VERSION}/info-queues"), "nodes": captured(f"{VERSION}/info-nodes")})
    less = PBS_.parse_info({"queues": captured(f"{VERSION}/info-queues"),
                            "nodes": captured(f"{VERSION}/info-nodes-one-offline")})
    free = full.queues[0]
    assert (free.free_cores, free.all_cores, free.waiting) == (11, 12, 0)
    assert sum(kind.partly for kind in free.kinds) == 1 and sum(kind.free for kind in free.kinds) == 3
    assert (less.queues[0].idle_nodes, full.queues[0].idle_nodes, less.queues[0].total_nodes) == (2, 2, 3)


def test_a_reservation_is_no_queue_of_the_form():
    answers = {"queues": captured(f"{VERSION}/info-queues-with-reservations"),
               "reservations": captured(f"{VERSION}/info-reservations")}
    info = PBS_.parse_info(answers)
    assert {queue.name for queue in info.queues} == {"workq", "debug"}
    assert info.reservations[0].name.startswith("R") and info.reservations[0].users == ("alice",)
    assert PBS_.parse_info({}) == ClusterInfo(untold=frozenset({"account"}))


@pytest.mark.parametrize(("fields", "select"), [
    ({}, "1:ncpus=1"), ({"nodes": 2, "cores": 4, "memory": GIB}, "2:ncpus=4:mem=1048576kb"),
    ({"gpus": 2, "gpu_type": "a100"}, "1:ncpus=1:ngpus=2:gpu_type=a100"),
    ({"constraint": "himem"}, "1:ncpus=1:himem=True"),
    ({"constraint": "model=skl"}, "1:ncpus=1:model=skl"),
])
def test_each_node_is_one_chunk(fields, select):
    assert PBS_.select(JobRequest("x", "/x", **fields)) == select


def test_a_killed_qsub_submits_nothing_behind_our_back():
    assert PBS_.submit_command(JobRequest("x", "/x")) == ["qsub", "-f"]


@pytest.mark.parametrize("queue, kind, names", [
    ({}, "user", ()), ({"acl_users": "alice"}, "user", ()),
    ({"acl_user_enable": "False", "acl_users": "alice"}, "user", ()),
    ({"acl_user_enable": "True", "acl_users": "alice@pbshub,-bob@*, +carol"}, "user", ("alice", "-bob", "+carol")),
    ({"acl_user_enable": "True", "acl_users": "-bob,+@*"}, "user", ()), ({"acl_user_enable": "True"}, "user", ()),
    ({"acl_group_enable": "True", "acl_groups": "staff"}, "group", ("staff",)),
])
def test_who_a_queues_access_list_names(queue, kind, names):
    assert allowed(queue, kind) == names


def test_a_reservation_knows_its_times():
    entry, *_ = PBS_.parse_info({"reservations": captured(f"{VERSION}/info-reservations")}).reservations
    begin = datetime(2026, 11, 21, 16, 18, tzinfo=timezone.utc)
    assert (entry.start, entry.end) == (begin, begin + timedelta(hours=1))


def test_nodes_that_are_alike_are_one_kind():
    nodes = PBS_.parse_info({name: captured(f"{VERSION}/info-{name}") for name in ("queues", "nodes")}).queues[0].kinds
    assert sorted((kind.features, kind.gpus, kind.total) for kind in nodes) == [
        ((), {}, 2), (("himem",), {"a100": 2}, 1)]
