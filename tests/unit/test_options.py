"""Any input becomes Options or says, field by field, what is wrong with it."""
import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jupyterhub_hpc_spawner.errors import ConfigError, OptionErrors
from jupyterhub_hpc_spawner.model import ClusterInfo, Environment, Queue
from jupyterhub_hpc_spawner.offers import offer
from jupyterhub_hpc_spawner.options import (
    Options, Policy, Profile, dump_options, find_environment, parse_limits, parse_options)

GIB = 1024 ** 3
NAMES = ("profile", "cluster", "queue", "account", "qos", "reservation", "node_type", "gpu_type", "interface")
# These stand beside others in one value, where = : and + would say something of their own.
WORDS = ("node_type", "gpu_type")
POSITIVE = ("nodes", "cores", "dask_workers_per_node", "dask_threads_per_worker", "ipyparallel_engines_per_node")
FLAGS = ("dask", "ipyparallel")
# A site that lets names through, so that a test sees the type's own rules.
GOOD_NAMES = ("normal", "a.b+c@d:e/f=g-h", "_x", "7")
LENIENT = Policy(custom_environment=True, profiles=dict.fromkeys(GOOD_NAMES, Profile({})),
                 interfaces=dict.fromkeys(GOOD_NAMES, "/"))
HOSTILE = ["a\nb", "a\0b", "a\rb", "a\x1fb", "a\x7fb", "a\ud800b"]


def refused(raw, *args, **kwargs):
    """The bad fields of a request, each with its message."""
    with pytest.raises(OptionErrors) as caught:
        parse_options(raw, *args, **kwargs)
    return {error.field: error.message for error in caught.value.errors}


def cases(fields, values):
    values = list(values)
    return [(field, *value) if isinstance(value, tuple) else (field, value) for field in fields for value in values]


@pytest.mark.parametrize("field, value, parsed", [
    *cases([name for name in NAMES if name not in WORDS], zip(GOOD_NAMES, GOOD_NAMES)),
    *cases(WORDS, [("a100", "a100"), ("a.b_c-d", "a.b_c-d"), ("7", "7")]),
    *cases(POSITIVE, [(1, 1), ("12", 12), (999_999_999, 999_999_999)]),
    ("gpus", 0, 0), ("gpus", "4", 4),
    *cases(FLAGS, [(True, True), (False, False), ("on", True), ("True", True), ("0", False), ("no", False)]),
    ("memory", "16G", 16 * GIB), ("memory", "1.5 TiB", 1536 * GIB), ("memory", 512, GIB // 2),
    ("walltime", "04:00:00", 14400), ("walltime", 90, 5400), ("walltime", "3650-0", 3650 * 86400),
    ("working_dir", "~", "~"), ("working_dir", "~/a b", "~/a b"),
    ("working_dir", "/scratch/$(id)'é", "/scratch/$(id)'é"),
    ("environment", "/opt/py thon", "/opt/py thon"), ("environment", "~/env", "~/env"),
    ("environment", "module:python/3.11 dask", "module:python/3.11 dask"),
])
def test_good_values_are_taken(field, value, parsed):
    assert getattr(parse_options({field: value}, LENIENT), field) == parsed


@pytest.mark.parametrize("field, value", [
    *cases(WORDS, ["a=1", "a:b", "a+b", "a@b", "a/b"]),
    *cases(NAMES, ["-x", "a b", "a;b", "$(id)", "a'b", 'a"b', "é", "a" * 129, "%j", "a,b", "a\\b", 5, True, 1.5, ["a"],
                   {"a": 1}, *HOSTILE]),
    *cases(POSITIVE, [0, -1, "0", "-1", "+1", "1.0", "1e3", " 1", "٣", "x", 10 ** 9, "9" * 10, 1.0, True, [1], {}]),
    *cases(["gpus"], [-1, "-1", 1.5, False, [0], "all"]),
    *cases(FLAGS, [1, 0, 1.0, "maybe", [], [True], {}]),
    *cases(["memory"], [0, "0", "-1G", "lots", 16.5, True, ["1G"], {}, "1024P", "1G\n1G", "9" * 5000]),
    *cases(["walltime"], [0, "0", "-1", "soon", 1.5, True, ["1h"], {}, "3651-0", "1h\0", "9" * 5000]),
    *cases(["working_dir"], ["relative", "~other/x", "..", 5, ["/x"], "/" + "a" * 4096, *(f"/{h}" for h in HOSTILE)]),
    *cases(["environment"], ["~other/x", "module:", "module: ", "module:a;b", "a b", 5, ["/x"], "module:a\tb",
                             "/" + "a" * 4096, *(f"/{h}" for h in HOSTILE)]),
])
def test_bad_values_are_refused_with_the_name_of_the_field(field, value):
    errors = refused({field: value, "dask": "on"} if field != "dask" else {field: value}, LENIENT)
    assert set(errors) == {field}
    assert errors[field] and "\n" not in errors[field] and len(errors[field]) < 500


@pytest.mark.parametrize("key, shown", [
    *((key, key) for key in ("cmd", "req_prologue", "Queue", "queue ", "__class__", "é")), ("x" * 10_000, "x" * 64),
    ("queue\n[I] forged", "queue\\n[I] forged"), ("\x1b[2J\u2028", "\\x1b[2J\\u2028"), ("", '""'),
])
def test_unknown_keys_are_refused_by_name(key, shown):
    assert refused({key: "x"}) == {shown: "is not an option here"}


@pytest.mark.parametrize("raw", [None, [], "queue", 5, [("queue", "x")], {1: "x"}, {None: "x"}])
def test_what_is_not_one_json_object_is_refused(raw):
    assert set(refused(raw)) == {"options"}


@pytest.mark.parametrize("blank", [None, ""])
def test_blank_values_leave_the_option_open(blank):
    assert parse_options(dict.fromkeys(Options.model_fields, blank)) == Options()


def test_all_bad_fields_are_named_at_once():
    assert set(refused({"nodes": 0, "memory": "x", "nonsense": 1})) == {"nodes", "memory", "nonsense"}


def test_options_cannot_be_changed():
    with pytest.raises(ValueError):
        parse_options({}).nodes = 5


POLICY = Policy(
    defaults={"queue": "normal", "cores": 2},
    profiles={"small": Profile({"cores": 1, "walltime": "1h", "memory": "2G"}, lock=("cores", "walltime"))},
)


@pytest.mark.parametrize("raw, expected", [
    ({}, {"queue": "normal", "cores": 2}),
    ({"cores": 3}, {"cores": 3}),
    ({"profile": "small"}, {"cores": 1, "walltime": 3600, "memory": 2 * GIB, "queue": "normal"}),
    ({"profile": "small", "memory": "1G"}, {"memory": GIB, "cores": 1}),
    ({"profile": "small", "cores": 1, "walltime": "1h"}, {"cores": 1, "walltime": 3600}),
    # The same values as the form and the database write them.
    ({"profile": "small", "cores": "1"}, {"cores": 1}),
    ({"profile": "small", "walltime": "01:00:00"}, {"walltime": 3600}),
])
def test_what_the_user_says_goes_over_the_preset_and_that_over_the_defaults(raw, expected):
    options = parse_options(raw, POLICY)
    assert {name: getattr(options, name) for name in expected} == expected


@pytest.mark.parametrize("raw, field", [
    ({"profile": "small", "cores": 2}, "cores"), ({"profile": "small", "walltime": "2h"}, "walltime"),
    ({"profile": "large"}, "profile"), ({"profile": ["small"]}, "profile"),
])
def test_locked_options_and_unknown_presets_are_refused(raw, field):
    assert set(refused(raw, POLICY)) == {field}


@pytest.mark.parametrize("site", [{"limits": {"walltime": 3600}}, {"allowed": {"walltime": ("1h", "4h")}}])
def test_a_locked_option_that_the_preset_leaves_open_is_the_sites_own(site):
    policy = Policy(profiles={"small": Profile({"cores": 1}, lock=("walltime",))}, **site)
    assert parse_options({"profile": "small"}, policy).walltime == 3600
    assert set(refused({"profile": "small", "walltime": "30m"}, policy)) == {"walltime"}


def test_a_preset_may_leave_an_option_blank():
    policy = Policy(profiles={"small": Profile({"queue": "", "cores": 1, "account": None}, lock=("queue",))})
    assert parse_options({"profile": "small"}, policy).queue is None


@pytest.mark.parametrize("profile", [Profile({"memory": "lots"}, lock=("cores",)), Profile({}, lock=("nonsense",))])
def test_a_preset_that_cannot_be_is_the_administrators_mistake(profile):
    with pytest.raises((ConfigError, OptionErrors)):
        parse_options({"profile": "small", "memory": "1G"}, Policy(profiles={"small": profile}))


def test_the_only_allowed_preset_is_applied_where_the_user_leaves_it_open():
    policy = dataclasses.replace(POLICY, allowed={"profile": ("small",)})
    assert parse_options({}, policy).cores == 1


@given(st.sampled_from([{}, {"profile": "small"}, {"profile": "small", "memory": "1G"}, {"cores": 7, "dask": True}]))
def test_dumped_options_parse_to_the_same_under_the_same_policy(raw):
    options = parse_options(raw, POLICY)
    assert parse_options(dump_options(options), POLICY) == options


LIMITS = Policy(limits=parse_limits({"nodes": 4, "memory": "64G", "walltime": "8h", "gpus": 2, "cores": "16"}))


@pytest.mark.parametrize("field, most, more, said", [
    ("nodes", 4, 5, "4"), ("memory", "64G", "65G", "64G"), ("walltime", "8h", "08:00:01", "08:00:00"),
    ("gpus", 2, 3, "2"), ("cores", 16, "17", "16"),
])
def test_limits_hold_and_are_said(field, most, more, said):
    parse_options({field: most}, LIMITS)
    assert refused({field: more}, LIMITS) == {field: f"at most {said} here"}


@pytest.mark.parametrize("limits", [{"walltim": 5}, {"memory": "much"}, {"nodes": "4G"}, {"nodes": None}, {"queue": 3}])
def test_limits_that_cannot_hold_are_the_administrators_mistake(limits):
    with pytest.raises(ConfigError, match="limits"):
        parse_limits(limits)


@pytest.mark.parametrize("default, limit, expected", [
    (None, "8h", 8 * 3600), (1800, "8h", 1800), (86400, "8h", 8 * 3600), (1800, None, None),
])
def test_a_walltime_left_open_is_the_queues_own_but_never_over_the_limit(default, limit, expected):
    policy = Policy(limits=parse_limits({"walltime": limit} if limit else {}))
    info = ClusterInfo(queues=(Queue("normal", default=True, default_walltime=default),))
    assert parse_options({}, policy, offer(policy, info)).walltime == expected


@pytest.mark.parametrize("allowed, raw, expected", [
    ({"queue": ("debug", "normal")}, {}, {"queue": "debug"}),
    ({"queue": ("debug", "normal")}, {"queue": ""}, {"queue": "debug"}),
    ({"queue": ("debug", "normal")}, {"queue": "normal"}, {"queue": "normal"}),
    ({"account": ("", "geo")}, {}, {"account": None}),
    ({"nodes": (1, 2)}, {"nodes": "2"}, {"nodes": 2}),
    ({"walltime": ("1h", "4h")}, {"walltime": "04:00:00"}, {"walltime": 14400}),
    ({"memory": ("16G", "32G")}, {}, {"memory": 16 * GIB}),
])
def test_of_the_allowed_values_a_blank_takes_the_first(allowed, raw, expected):
    options = parse_options(raw, Policy(allowed=allowed))
    assert {name: getattr(options, name) for name in expected} == expected


@pytest.mark.parametrize("allowed, raw", [
    ({"queue": ("debug",)}, {"queue": "normal"}), ({"nodes": (1, 2)}, {"nodes": 3}),
    ({"walltime": ("1h", "4h")}, {"walltime": "2h"}), ({"account": ("", "geo")}, {"account": "bio"}),
])
def test_other_than_allowed_values_are_refused(allowed, raw):
    assert set(refused(raw, Policy(allowed=allowed))) == set(allowed)


def test_allowed_values_hold_also_against_an_empty_default():
    assert parse_options({}, Policy(defaults={"queue": ""}, allowed={"queue": ("debug",)})).queue == "debug"


@pytest.mark.parametrize("raw, field", [
    ({"queue": "x"}, "queue"), ({"dask": True}, "dask"), ({"interface": "vnc"}, "interface"),
    ({"node_type": "gpu"}, "node_type"), ({"environment": "/opt/x"}, "environment"),
    ({"environment": "module:x"}, "environment"), ({"environment": "other"}, "environment"),
])
def test_what_the_site_does_not_offer_is_refused(raw, field):
    policy = Policy(unsupported=frozenset({"queue", "dask"}), interfaces={"lab": "/lab"}, node_types={"mc": "mc"},
                    environments={"jupyter": Environment("/opt/jupyter")})
    offered = offer(policy, ClusterInfo())
    parse_options({"interface": "lab", "node_type": "mc", "environment": "jupyter", "dask": False}, policy, offered)
    assert set(refused(raw, policy, offered)) == {field}


@pytest.mark.parametrize("value, custom, expected", [
    (None, False, Environment("/opt/a")), ("b", False, Environment(modules=("b/1",))),
    ("/x/y", True, Environment("/x/y")), ("~/y", True, Environment("~/y")),
    ("module:a/1  b", True, Environment(modules=("a/1", "b"))),
])
def test_an_environment_is_the_sites_by_name_or_the_users_own(value, custom, expected):
    policy = Policy(environments={"a": Environment("/opt/a"), "b": Environment(modules=("b/1",))},
                    custom_environment=custom)
    assert find_environment(value, policy) == expected
