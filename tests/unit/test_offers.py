"""What a user is offered: of what the cluster has what is for this user, as the site wants it shown."""
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from jupyterhub_hpc_spawner.declared import FIELDS, parse_choices, parse_discover
from jupyterhub_hpc_spawner.errors import ConfigError, OptionErrors
from jupyterhub_hpc_spawner.limits import limits
from jupyterhub_hpc_spawner.model import Association, ClusterInfo, NodeKind, Queue, Reservation
from jupyterhub_hpc_spawner.node_facts import node_facts
from jupyterhub_hpc_spawner.offers import admits, offer
from jupyterhub_hpc_spawner.options import Policy, parse_options

GIB = 1024 ** 3
NOW = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)
STANDARD = NodeKind(("mc",), cores=64, memory=256 * GIB, total=10, idle=4)
GPU = NodeKind(("mc", "gpu"), cores=32, memory=512 * GIB, gpus={"a100": 4}, total=2, idle=1)
INFO = ClusterInfo(
    queues=(Queue("normal", default=True, max_walltime=86400, max_nodes=12, total_nodes=12, idle_nodes=5, cores=64,
                  memory=512 * GIB, gpus={"a100": 4}, features=("mc", "gpu"), kinds=(STANDARD, GPU)),
            Queue("debug", max_walltime=1800, max_nodes=1, cores=64, features=("mc",), kinds=(STANDARD,)),
            Queue("closed", up=False), Queue("service")),
    accounts={"alice": ("geo", "bio")}, qos={"alice": ("normal", "high")}, reservations=(Reservation("course"),))


def offered(choices=None, info=INFO, user="alice", groups=None, now=NOW, **policy):
    return offer(Policy(choices=parse_choices(choices or {}), **policy), info, user, groups, now)


def names(found, field="queue"):
    return list(found.choices.get(field, ()))


def refused(raw, found, policy=Policy()):
    try:
        parse_options(raw, policy, found)
    except OptionErrors as errors:
        return {error.field: error.message for error in errors.errors}
    return {}


def test_without_a_word_of_the_site_it_is_what_the_cluster_has():
    found = offered()
    assert {field: names(found, field) for field in FIELDS} == {
        "queue": ["normal", "debug", "service"], "account": ["geo", "bio"], "qos": ["normal", "high"],
        "reservation": ["course"], "node_type": ["mc", "gpu"], "gpu_type": ["a100"]}
    assert found.choices["queue"]["normal"].text == "normal (5 of 12 nodes idle, up to 1-00:00:00)"


def texts(found, field="node_type"):
    """The choices as the form shows them."""
    facts = node_facts(found)[field]
    return [replace(choice, facts=facts.get(name, "")).text for name, choice in found.choices.get(field, {}).items()]


def test_node_types_and_gpu_types_say_how_many_are_idle_and_what_they_have():
    found = offered()
    assert texts(found) == ["mc (5 of 12 nodes idle, up to 64 cores, up to 512G, up to 4 a100)",
                            "gpu (1 of 2 nodes idle, 32 cores, 512G, 4 a100)"]
    assert texts(found, "gpu_type") == ["a100 (1 of 2 nodes idle, 4 per node)"]


@pytest.mark.parametrize("kind, text", [
    ({"total": 1, "idle": 1, "cores": 4, "memory": 6 * GIB}, "x (1 of 1 nodes idle, 4 cores, 6G)"),
    ({"cores": 1, "memory": 257653 * 1024 ** 2, "gpus": {"": 1}}, "x (1 core, 251G, 1 GPU)"),
    ({"memory": GIB // 2, "gpus": {"": 2, "{0}": 1}}, "x (512M, 2 GPUs, 1 {0})"), ({}, "x"),
])
def test_what_is_not_known_of_a_node_type_is_left_out(kind, text):
    queue = Queue("q", features=("x",), kinds=(NodeKind(("x",), **kind),))
    assert texts(offered(info=ClusterInfo((queue,)))) == [text]


def test_facts_of_nodes_are_of_queues_where_the_user_may_go():
    """And of the one that has most of them, as queues may share nodes."""
    def queue(name, total, **more):
        return Queue(name, features=("x",), kinds=(NodeKind(("x",), total=total),), **more)
    queues = (queue("a", 2), queue("b", 3), queue("down", 9, up=False), queue("theirs", 8, users=("bob",)),
              queue("hidden", 7))
    found = offered({"queue": {"hidden": {"hide": True}, "*": {}}}, ClusterInfo(queues))
    assert texts(found) == ["x (0 of 3 nodes idle)"]


@pytest.mark.parametrize("types, text", [
    ({"mine": "mc&gpu"}, "mine (1 of 2 nodes idle, 32 cores, 512G, 4 a100)"), ({"mine": "model=skl"}, "mine")])
def test_of_a_node_type_that_may_be_on_any_node_nothing_is_said(types, text):
    assert texts(offered(node_types=types)) == [text]


def test_a_site_tells_what_its_node_types_have_where_the_cluster_does_not():
    choices = {"queue": {"q": {"node_types": ["x"]}}, "gpu_type": {"a": {"title": "A 100"}},
               "node_type": {"x": {"title": "Big", "cores": 8, "memory": "1T", "gpus": {"a": 4}}}}
    found = offered(choices, ClusterInfo(), discover=parse_discover([]))
    assert texts(found) == ["Big (8 cores, 1T, 4 A 100)"] and texts(found, "gpu_type") == ["A 100 (4 per node)"]


@pytest.mark.parametrize("choices, shown", [
    ({"debug": {}, "normal": {}}, ["debug", "normal"]), ({"debug": {}, "*": {}}, ["debug", "normal", "service"]),
    ({"*": {}, "normal": {}}, ["debug", "service", "normal"]), ({"normal": {}, "unknown": {}}, ["normal"]),
    ({"service": {"hide": True}, "*": {}}, ["normal", "debug"]), ({"*": {"hide": True}, "debug": {}}, ["debug"]),
    ({"service": {"hide": "form"}, "*": {}}, ["normal", "debug"]), ({"service": {"hide": False}}, ["service"]),
    ({}, ["normal", "debug", "service"]),
])
def test_a_site_narrows_orders_and_hides(choices, shown):
    assert names(offered({"queue": choices})) == shown


@pytest.mark.parametrize("field, value", [
    ("queue", "normal"), ("account", "geo"), ("qos", "high"), ("reservation", "course"), ("node_type", "gpu"),
    ("gpu_type", "a100")])
def test_all_fields_are_renamed_and_hidden_the_same_way(field, value):
    found = offered({field: {value: {"title": "A name", "description": "what for"}}})
    assert found.choices[field][value].text.startswith("A name: what for")
    assert names(found, field) == [value] and not refused({field: value}, found)
    found = offered({field: {value: {"hide": True}, "*": {}}})
    assert value not in names(found, field)
    assert refused({field: value}, found)[field].startswith(f"{value} is not offered here")


def test_what_is_not_on_the_form_only_is_taken_by_links_and_rest():
    found = offered({"queue": {"service": {"hide": "form"}, "*": {}}})
    assert not refused({"queue": "service"}, found) and found.unlisted["queue"]["service"].title == "service"


def test_what_a_site_says_of_a_queue_comes_before_what_the_cluster_says():
    found = offered({"queue": {"normal": {"max_walltime": "2d", "cores": 8, "memory": "2T", "gpus": {"a100": 2}},
                               "*": {"max_nodes": 3}}})
    most = {name: limit.value for name, limit in limits(Policy(), found, "normal").items()}
    assert most == {"walltime": 172800, "nodes": 12, "cores": 8, "memory": 2048 * GIB, "gpus": 2}
    assert limits(Policy(), found, "service")["nodes"].value == 3


def test_what_a_site_says_of_a_node_type_holds_in_every_queue():
    found = offered({"node_type": {"gpu": {"cores": 30, "gpus": {"a100": 3}}, "*": {}}})
    most = {name: limit.value for name, limit in limits(Policy(), found, "normal", "gpu").items()}
    assert (most["cores"], most["gpus"], most["nodes"]) == (30, 3, 2)
    assert limits(Policy(), found, "debug", "mc")["cores"].value == 64


def test_without_discovery_what_the_site_names_is_all_there_is():
    choices = {"queue": {"a": {"max_walltime": "1h", "node_types": ["big"], "default": True}, "b": {"max_nodes": 2}},
               "node_type": {"big": {"cores": 96, "memory": "1T"}}, "account": {"geo": {"title": "Geology"}}}
    found = offered(choices, discover=parse_discover([]))
    assert (names(found), names(found, "account"), names(found, "reservation")) == (["a", "b"], ["geo"], [])
    assert refused({"queue": "a", "node_type": "big", "cores": 97, "walltime": "2h", "account": "bio"}, found) == {
        "cores": "at most 96 in queue a", "walltime": "at most 01:00:00 in queue a",
        "account": "there is no 'bio' here; choose one of Geology (geo)"}
    assert parse_options({}, info=found).queue == "a", "the batch system does not know of this default"


def test_discovery_of_some_fields_only():
    found = offered({"account": {"mine": {}}}, discover=parse_discover(["queue"]))
    assert (names(found, "account"), names(found, "qos"), len(names(found))) == (["mine"], [], 3)
    assert "qos" in found.untold and "account" not in found.untold


@pytest.mark.parametrize("choices, asked, queue", [
    ({}, {}, None), ({"debug": {}}, {}, "debug"), ({"debug": {}, "normal": {}}, {}, None),
    ({"normal": {"hide": True}, "*": {}}, {}, "debug"), ({"normal": {}, "debug": {"default": True}}, {}, "debug"),
    ({"debug": {}}, {"queue": "debug"}, "debug"), ({"normal": {"hide": "form"}, "*": {}}, {}, None),
])
def test_an_open_queue_is_never_one_that_is_not_offered(choices, asked, queue):
    assert parse_options(asked, info=offered({"queue": choices})).queue == queue


@pytest.mark.parametrize("queues, discover, asked, refusal", [
    ({"normal": {}, "*": {}}, FIELDS, "anything", None), ({"normal": {}}, FIELDS, "anything", "there is no 'anything'"),
    ({"normal": {}, "*": {}}, [], "anything", "there is no 'anything' here; choose one of normal"),
    ({"secret": {"hide": True}, "*": {}}, FIELDS, "secret", "secret is not offered here"),
])
def test_while_the_batch_system_does_not_answer(queues, discover, asked, refusal):
    found = offered({"queue": queues}, info=ClusterInfo(), discover=parse_discover(discover))
    assert refused({"queue": asked}, found).get("queue", "").startswith(refusal or "")
    assert bool(refused({"queue": asked}, found)) == bool(refusal)


@pytest.mark.parametrize("choices, words", [
    ({"queues": {}}, "choices: 'queues' is not one of queue, account"),
    ({"queue": ["normal"]}, "choices['queue']: must be a dict"),
    ({"queue": {"normal": None}}, "choices['queue']['normal']: must be a dict"),
    ({"queue": {"normal": {"max_time": 1}}}, "choices['queue']['normal']['max_time']: is not a setting here"),
    ({"queue": {"normal": {"max_walltime": "long"}}}, "choices['queue']['normal']['max_walltime']: "),
    ({"queue": {"normal": {"gpus": "many"}}}, "choices['queue']['normal']['gpus']: "),
    ({"queue": {"normal": {"hide": "yes"}}}, "choices['queue']['normal']['hide']: "),
    ({"account": {"geo": {"cores": 1}}}, "choices['account']['geo']['cores']: is not a setting here"),
    ({"account": {"a b": {}}}, "choices['account']['a b']: may only hold letters"),
    ({"qos": {"*": {"title": "All"}}}, "choices['qos']['*']['title']: the rest has no title in common"),
    ({"qos": {"high": {"title": "a\nb"}}}, "choices['qos']['high']['title']: "),
])
def test_a_mistake_of_the_site_is_named_with_its_place(choices, words):
    with pytest.raises(ConfigError) as caught:
        parse_choices(choices)
    assert str(caught.value).startswith(words)


@pytest.mark.parametrize("entries, names, expected", [
    ((), {"a"}, True), (("a", "b"), {"a"}, True), (("a",), {"b"}, False), (("a",), {"b", "a"}, True),
    (("-a",), {"a"}, False), (("-a",), {"b"}, True), (("-a",), {"a", "b"}, True), (("-a", "-b"), {"a", "b"}, False),
    (("+a",), {"a"}, True), (("a",), None, True), (("-a", "b"), {"c"}, False), (("a",), set(), False),
])
def test_who_a_list_lets_in(entries, names, expected):
    assert admits(entries, names) == expected


@pytest.mark.parametrize("access, groups, may", [
    ({"users": ("bob",)}, None, False), ({"users": ("-bob",)}, None, True), ({"accounts": ("geo",)}, None, True),
    ({"accounts": ("fin",)}, None, False), ({"accounts": ("-geo",)}, None, True),
    ({"accounts": ("-geo", "-bio")}, None, False), ({"qos": ("high",)}, None, True), ({"qos": ("low",)}, None, False),
    ({"groups": ("staff",)}, {"staff", "users"}, True), ({"groups": ("staff",)}, {"users"}, False),
    ({"groups": ("staff",)}, None, True),
])
def test_a_queue_that_is_for_others_is_not_offered(access, groups, may):
    info = ClusterInfo((*INFO.queues, Queue("special", **access)), INFO.accounts, INFO.qos)
    found = offered(info=info, groups=groups)
    assert ("special" in names(found)) == may
    assert refused({"queue": "special"}, found) == ({} if may else {
        "queue": "special is for others; choose one of normal, debug, service"})


@pytest.mark.parametrize("user", ["bob", ""])
def test_where_nothing_is_known_of_a_user_all_queues_are_offered(user):
    info = ClusterInfo((Queue("a", accounts=("geo",), qos=("x",)), Queue("b", groups=("g",))), INFO.accounts)
    assert names(offered(info=info, user=user)) == ["a", "b"]


@pytest.mark.parametrize("values, text", [
    ({}, "r"), ({"active": False}, "r (not active now)"), ({"users": ("alice", "bob")}, "r"),
    ({"users": ("bob",)}, None),
    ({"users": ("-alice",)}, None), ({"users": ("-bob",)}, "r"), ({"accounts": ("geo",)}, "r"),
    ({"accounts": ("-geo", "-bio")}, None), ({"groups": ("users",)}, "r"), ({"groups": ("staff",)}, None),
    ({"users": ("alice",), "accounts": ("fin",)}, None), ({"users": ("alice",), "accounts": ("geo",)}, "r"),
    ({"start": -2, "end": -1, "active": False}, None), ({"start": -2, "end": 1}, "r"),
    ({"start": 3, "end": 9, "active": False}, "r (from Sat 21 Nov 15:00 UTC)"),
    ({"start": 25, "end": 29, "active": False}, None),
])
def test_a_reservation_is_offered_to_those_it_is_for_from_the_day_before(values, text):
    times = {name: NOW + timedelta(hours=values[name]) for name in ("start", "end") if name in values}
    found = offered(info=ClusterInfo(accounts=INFO.accounts, reservations=(Reservation("r", **{**values, **times}),)),
                    groups={"users"})
    assert [choice.text for choice in found.choices.get("reservation", {}).values()] == ([text] if text else [])
    assert bool(refused({"reservation": "r"}, found)) == (text is None)


def test_why_a_reservation_is_refused():
    later = Reservation("r", start=NOW + timedelta(days=3), active=False)
    found = offered(info=ClusterInfo(reservations=(later,)))
    assert refused({"reservation": "r"}, found) == {"reservation": "r begins on Tue 24 Nov 12:00 UTC"}


@pytest.mark.parametrize("queue, node_type, gpu_type, expected", [
    ("normal", None, None, {"cores": "64 in queue normal", "nodes": "12 in queue normal", "gpus": "4 in queue normal"}),
    ("normal", "gpu", None, {"cores": "32 on gpu nodes in queue normal", "nodes": "2 on gpu nodes in queue normal",
                             "memory": "512G in queue normal"}),
    ("normal", "mc", None, {"cores": "64 in queue normal", "gpus": "4 in queue normal"}),
    ("normal", None, "a100", {"cores": "32 on nodes with a100 in queue normal",
                              "nodes": "2 on nodes with a100 in queue normal"}),
    ("debug", "mc", None, {"memory": "256G in queue debug", "nodes": "1 in queue debug"}),
])
def test_limits_follow_queue_and_nodes(queue, node_type, gpu_type, expected):
    found = limits(Policy(), offered(), queue, node_type, gpu_type)
    assert {name: str(found[name]) for name in expected} == {name: f"at most {text}" for name, text in expected.items()}


@pytest.mark.parametrize("raw, bad", [
    ({"queue": "debug", "node_type": "gpu"}, {"node_type": "gpu does not go with this queue; choose one of mc"}),
    ({"queue": "debug", "gpu_type": "a100"}, {"gpu_type": "a100 does not go with this queue"}),
    ({"node_type": "gpu", "cores": 33}, {"cores": "at most 32 on gpu nodes in queue normal"}),
    ({"node_type": "gpu", "cores": 32, "nodes": 2}, {}),
])
def test_the_server_refuses_what_does_not_go_together(raw, bad):
    assert refused(raw, offered()) == bad


ROWS = (Association("geo", "normal", ("normal",)), Association("geo", "debug", ("normal", "high")),
        Association("bio", "", ("normal",)))


@pytest.mark.parametrize("raw, bad", [
    ({"account": "geo"}, set()), ({"account": "bio", "queue": "debug"}, set()),
    ({"account": "geo", "queue": "service"}, {"account"}), ({"account": "geo", "qos": "high"}, {"qos"}),
    ({"account": "geo", "qos": "high", "queue": "debug"}, set()), ({"qos": "high", "account": "bio"}, {"qos"}),
    ({"account": "bio", "qos": "normal"}, set()),
])
def test_accounts_and_qualities_of_service_follow_the_associations(raw, bad):
    info = ClusterInfo(INFO.queues, INFO.accounts, INFO.qos, {"alice": ROWS})
    assert refused(raw, offered(info=info)).keys() == bad


def test_a_queue_without_any_association_is_not_offered():
    info = ClusterInfo(INFO.queues, INFO.accounts, INFO.qos, {"alice": ROWS[:2]})
    assert names(offered(info=info)) == ["normal", "debug"]


@pytest.mark.parametrize("constraint, nodes", [
    ("gpu", 2), ("mc&gpu", 2), ("mc", 12), ("model=skl", 12), ("mc|gpu", 12)])
def test_the_sites_names_of_node_types_have_the_limits_of_their_constraints(constraint, nodes):
    found = offered(node_types={"mine": constraint})
    assert names(found, "node_type") == ["mine"]
    assert limits(Policy(), found, "normal", "mine")["nodes"].value == nodes
