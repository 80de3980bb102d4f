"""What Slurm tells of the cluster: partitions, GPUs, accounts, reservations."""
from datetime import datetime, timedelta, timezone

import pytest
from captured import SEPARATOR, captured
from hypothesis import given
from hypothesis import strategies as st
from jupyterhub_hpc_spawner.batch.slurm import Slurm
from jupyterhub_hpc_spawner.batch.slurm_info import duration, parse_gres
from jupyterhub_hpc_spawner.errors import ParseError, QueryError
from jupyterhub_hpc_spawner.model import Association, ClusterInfo, Completed, JobRequest, NodeKind, Reservation
from jupyterhub_hpc_spawner.offers import offer
from jupyterhub_hpc_spawner.options import Policy

SLURM = Slurm()
GIB = 1024 ** 3


def info(**files):
    """What the captured answers say together."""
    return SLURM.parse_info({name: captured(f"slurm-22.05.8/{file}") for name, file in files.items()})


def sinfo(*rows):
    names = "name up limit nodes state cores memory features gres use".split()
    usual = dict(name="normal", up="up", limit="1-00:00:00", nodes="1", state="idle", cores="4", memory="6000",
                 features="mc", gres="(null)", use="")
    text = "".join(SEPARATOR.join({**usual, **row}[name] for name in names) + "\n" for row in rows)
    return SLURM.parse_info({"queues": Completed(("sinfo",), 0, text, "")})


@pytest.mark.parametrize("name", ["queues", "partitions", "accounts", "reservations", "shares", "waiting"])
def test_the_captured_answers_are_those_to_our_own_commands(name):
    assert captured(f"slurm-22.05.8/info-{name}").argv == tuple(SLURM.info_commands()[name])


def test_a_real_clusters_partitions():
    found = info(queues="info-queues", partitions="info-partitions")
    normal, debug, low = (found.queue(name) for name in ("normal", "debug", "low"))
    assert [queue.name for queue in found.queues] == ["normal", "debug", "low"] and found.queue(None) is normal
    assert (normal.max_walltime, normal.default_walltime, normal.max_nodes) == (86400, 1800, 3)
    assert (debug.max_walltime, debug.default_walltime, debug.max_nodes, debug.gpus) == (1800, None, 1, {})
    assert (low.total_nodes, low.idle_nodes, low.up, low.accounts) == (3, 3, True, ())


def test_a_partition_of_unlike_nodes_offers_what_the_largest_has():
    normal = info(queues="info-queues").queue("normal")
    assert (normal.cores, normal.memory, normal.total_nodes) == (4, 6000 * 1024 ** 2, 3)
    assert (normal.gpus, normal.features) == ({"a100": 2}, ("mc", "himem"))


@pytest.mark.parametrize("rows, expected", [
    ([{"cores": "4+", "memory": "6000+"}], {"cores": 4, "memory": 6000 * 1024 ** 2}),
    ([{"cores": "4", "memory": "64000"}, {"cores": "128", "memory": "1000"}],
     {"cores": 128, "memory": 64000 * 1024 ** 2}),
    ([{"cores": "128", "memory": "64000"}, {"cores": "4", "memory": "1000"}],
     {"cores": 128, "memory": 64000 * 1024 ** 2}),
    ([{"nodes": "2"}, {"nodes": "3", "state": "allocated"}], {"total_nodes": 5, "idle_nodes": 2}),
    ([{"state": "idle~", "nodes": "7"}, {"state": "idle*"}, {"state": "down*"}], {"total_nodes": 9, "idle_nodes": 8}),
    ([{"limit": "infinite"}], {"max_walltime": None}), ([{"limit": "30:00"}], {"max_walltime": 1800}),
    ([{"features": "(null)"}], {"features": ()}),
    ([{"features": "a,b"}, {"features": "b,c"}], {"features": ("a", "b", "c")}),
    ([{"gres": "gpu:a100:2"}, {"gres": "gpu:a100:4(S:0,1),gpu:v100:1"}], {"gpus": {"a100": 4, "v100": 1}}),
    ([{"up": "inact"}], {"up": False}), ([{"up": "drain"}], {"up": False}),
])
def test_lines_of_one_partition_add_up(rows, expected):
    queue, = sinfo(*rows).queues
    assert {name: getattr(queue, name) for name in expected} == expected


def test_a_closed_partition_is_not_up():
    found = info(queues="info-queues-partition-down", partitions="info-partitions-partition-down")
    assert {queue.name: queue.up for queue in found.queues} == {"normal": True, "debug": False, "low": True}


def test_a_busy_node_is_not_idle():
    normal = info(queues="info-queues-one-node-mixed").queue("normal")
    assert (normal.total_nodes, normal.idle_nodes, normal.free_cores, normal.all_cores) == (3, 2, 11, 12)
    assert [(kind.features, kind.total, kind.idle, kind.partly, kind.free) for kind in normal.kinds] == [
        (("mc",), 2, 1, 1, 3), (("mc", "himem"), 1, 1, 0, 0)]


def test_jobs_that_wait_for_their_turn_are_counted_in_each_of_their_partitions():
    """A held one, and one that waits for its time, are not in the way."""
    found = info(queues="info-queues", waiting="info-waiting")
    assert {queue.name: queue.waiting for queue in found.queues} == {"normal": 2, "debug": 0, "low": 2}
    assert {queue.waiting for queue in info(queues="info-queues").queues} == {None}


@pytest.mark.parametrize("state, use, partly, free", [
    ("mixed", "5/3/0/8", 2, 3), ("mixed*", "5/3/0/8", 2, 3), ("mixed", "8/0/0/8", 0, 0), ("allocated", "8/0/0/8", 0, 0),
    ("draining", "5/0/3/8", 0, 0), ("down", "0/0/8/8", 0, 0), ("mixed", "N/A", 0, 0)])
def test_room_on_nodes_in_use(state, use, partly, free):
    kind, = sinfo({"nodes": "2", "state": state, "use": use}).queues[0].kinds
    assert (kind.total, kind.idle, kind.partly, kind.free) == (2, 0, partly, free)


def test_limits_of_the_partition_record():
    line = "PartitionName=normal AllowAccounts=geo,bio Default=YES DefaultTime=NONE MaxNodes=2 MaxTime=1-00:00:00\n"
    found = SLURM.parse_info({"queues": captured("slurm-22.05.8/info-queues"),
                              "partitions": Completed(("scontrol",), 0, line, "")})
    assert (found.queue("normal").max_nodes, found.queue("normal").accounts) == (2, ("geo", "bio"))


def test_every_user_has_the_accounts_and_qos_of_all_associations():
    found = info(accounts="info-accounts")
    assert found.accounts == {"root": ("root",), "alice": ("bio", "geo"), "bob": ("geo",)}
    assert found.qos == {"root": ("normal",), "alice": ("normal", "short"), "bob": ("normal",)}


def test_an_association_may_be_of_one_partition():
    found = info(accounts="info-accounts-of-a-partition")
    assert found.associations["alice"] == (
        Association("bio", "", ("normal", "short")), Association("geo", "debug", ("normal",)),
        Association("geo", "", ("normal", "short")))
    assert found.accounts["alice"] == ("bio", "geo")


def test_who_may_use_a_partition():
    found = info(queues="info-queues", partitions="info-partitions-for-some")
    normal, debug, low = found.queues
    assert (normal.accounts, normal.qos, normal.groups) == (("geo",), ("short",), ())
    assert (debug.accounts, debug.qos, debug.groups) == ((), (), ("root", "alice"))
    assert (low.accounts, low.qos, low.groups) == (("-bio", "-geo"), (), ())


@pytest.mark.parametrize("user, groups, queues", [
    ("alice", {"alice"}, ["normal", "debug"]), ("alice", {"users"}, ["normal"]), ("alice", None, ["normal", "debug"]),
    ("bob", {"bob"}, []), ("root", {"root"}, ["debug", "low"]), ("unheard-of", set(), ["normal", "low"]),
])
def test_partitions_are_offered_to_those_they_are_for(user, groups, queues):
    found = info(queues="info-queues", partitions="info-partitions-for-some", accounts="info-accounts")
    assert list(offer(Policy(), found, user, groups).choices.get("queue", ())) == queues


def test_kinds_of_nodes_are_told_apart():
    mc, himem = info(queues="info-queues").queue("normal").kinds
    assert mc == NodeKind(("mc",), 4, 6000 * 1024 ** 2, {}, total=2, idle=2)
    assert himem == NodeKind(("mc", "himem"), 4, 6000 * 1024 ** 2, {"a100": 2}, total=1, idle=1)


@pytest.mark.parametrize("user, offered", [
    ("alice", {"both": "from Sun 22 Nov 01:42 UTC"}), ("bob", {"without": "", "daily": ""}),
])
def test_reservations_are_for_some_soon_or_now_and_never_for_maintenance(user, offered):
    found = info(reservations="info-reservations-of-all-kinds", accounts="info-accounts")
    now = datetime(2026, 11, 21, 23, 0, tzinfo=timezone.utc)
    shown = offer(Policy(), found, user, set(), now).choices["reservation"]
    assert {name: choice.facts for name, choice in shown.items()} == offered


def test_reservations_with_their_users_accounts_and_whether_they_have_begun():
    begin = datetime(2026, 11, 21, 11, 23, 20, tzinfo=timezone.utc)
    hour, day = timedelta(hours=1), timedelta(days=1)
    assert info(reservations="info-reservations-two").reservations == (
        Reservation("course", users=("alice", "bob"), active=True, start=begin, end=begin + hour),
        Reservation("geo-week", accounts=("geo", "bio"), active=False, start=begin + day, end=begin + day + hour))


def test_no_reservations_are_none():
    assert info(reservations="info-reservations").reservations == ()


def test_what_did_not_answer_is_left_out():
    assert SLURM.parse_info({}) == ClusterInfo(untold=frozenset({"account"}))


@pytest.mark.parametrize("text, gpus", [
    ("", {}), ("(null)", {}), ("gpu:4", {"": 4}), ("gpu:a100:4", {"a100": 4}), ("gpu:a100:4(S:0,1)", {"a100": 4}),
    ("gpu:4(S:0-1)", {"": 4}), ("gpu:2,gpu:v100:1", {"": 2, "v100": 1}),
    ("gpu:a100:2(S:0),gpu:v100:1(S:1)", {"a100": 2, "v100": 1}),
    ("craynetwork:4", {}), ("craynetwork:4,gpu:1", {"": 1}), ("gpu:1g.5gb:7", {"1g.5gb": 7}),
    ("gpu:a100:2,mps:a100:200", {"a100": 2}),
    ("gpu:a100:2,gpu:a100:4", {"a100": 4}), ("gpu:a100:2,gpu:v100:1", {"a100": 2, "v100": 1}),
    ("gpu:a100:4(IDX:0-3)", {"a100": 4}), ("gpu:a100:0(IDX:N/A)", {"a100": 0}), ("gpu", {}), ("gpu:a100", {"a100": 1}),
    ("gpu:a100:4(S:0,1),gpu:v100:1(S:0)", {"a100": 4, "v100": 1}), ("gpu:a100:no_consume:4", {"a100": 4}),
    ("shard:a100:8", {}), ("gpu:nvidia_a100_80gb_pcie:2(S:0-1)", {"nvidia_a100_80gb_pcie": 2}),
])
def test_gpus_by_type(text, gpus):
    assert parse_gres(text) == gpus


KIND = st.from_regex("[a-z][a-z0-9_.]{0,8}", fullmatch=True)
SOCKETS = st.sampled_from(["", "(S:0)", "(S:0,1)", "(S:0-1,3)", "(IDX:0-3)"])
OTHERS = st.lists(st.sampled_from(["craynetwork:4", "mps:200", "shard:a100:8", "license:1", "(null)"]), max_size=2)


@given(st.dictionaries(KIND | st.just(""), st.tuples(st.integers(0, 99), SOCKETS)), OTHERS)
def test_gpus_are_read_back_from_what_slurm_prints(gpus, others):
    words = [":".join(filter(None, ("gpu", kind, str(count)))) + sockets for kind, (count, sockets) in gpus.items()]
    assert parse_gres(",".join([*words, *others])) == {kind: count for kind, (count, _) in gpus.items()}


@pytest.mark.parametrize("text, seconds", [
    ("30:00", 1800), ("60", 3600), ("1-0", 86400), ("1-00:00:00", 86400), ("7-12:30:00", 649800), ("00:30:00", 1800),
    ("UNLIMITED", None), ("infinite", None), ("INVALID", None), ("NOT_SET", None), ("NONE", None), ("N/A", None),
    ("(null)", None), ("", None),
])
def test_times_of_partitions(text, seconds):
    assert duration(text) == seconds


@pytest.mark.parametrize("cores, memory, expected", [
    ("4", "6000", (4, 6000 * 1024 ** 2)), ("4+", "6000+", (4, 6000 * 1024 ** 2)), ("UNLIMITED", "N/A", (None, None)),
    ("0", "0", (0, None)), ("(null)", "", (None, None)),
])
def test_cores_and_memory_of_nodes(cores, memory, expected):
    kind, = sinfo({"cores": cores, "memory": memory}).queue("normal").kinds
    assert (kind.cores, kind.memory) == expected


FIELD = st.sampled_from(["normal", "up", "4", "4+", "idle", "1-0", "(null)", "gpu:a100:4", "gpu:²", "²", "n/a",
                         ""]) | st.text(max_size=8)
ROW = st.fixed_dictionaries({},
                            optional=dict.fromkeys(("nodes", "state", "cores", "memory", "features", "gres", "limit"),
                                                   FIELD))
KEYED = st.lists(st.sampled_from(["PartitionName=normal", "ReservationName=x", "MaxNodes=²", "MaxNodes=9",
                                  "DefaultTime=x",
                                  "Users=,", "=", "a|b|c", " "]), max_size=6).map(" ".join)


@given(ROW)
def test_odd_fields_of_a_partition_are_a_parse_error_and_nothing_else(row):
    try:
        assert all(queue.total_nodes >= 0 for queue in sinfo(row).queues)
    except ParseError:
        pass


@given(st.fixed_dictionaries({name: KEYED | st.text() for name in SLURM.info_commands()}))
def test_garbage_about_the_cluster_is_a_parse_error_or_a_query_error_and_nothing_else(texts):
    try:
        found = SLURM.parse_info({name: Completed((name,), 0, text, "") for name, text in texts.items()})
    except (ParseError, QueryError):
        return
    assert isinstance(found, ClusterInfo)


def test_processes_on_other_nodes_start_inside_the_allocation_once_a_node():
    words = SLURM.remote_run(JobRequest("x", "/x", nodes=3))
    assert words[:2] == ["srun", "--overlap"] and {"--nodes=3", "--ntasks=3", "--ntasks-per-node=1"} <= set(words)
