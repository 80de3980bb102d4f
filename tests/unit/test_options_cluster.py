"""Options against what the cluster has, and any JSON at all."""
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jupyterhub_hpc_spawner.errors import OptionErrors
from jupyterhub_hpc_spawner.model import ClusterInfo, Environment, Queue
from jupyterhub_hpc_spawner.offers import offer
from jupyterhub_hpc_spawner.options import Options, Policy, Profile, dump_options, parse_limits, parse_options

GIB = 1024 ** 3
INFO = ClusterInfo(
    queues=(
        Queue("normal", default=True, max_walltime=86400, max_nodes=3, cores=4, memory=6 * GIB),
        Queue("gpu", gpus={"a100": 4, "v100": 2}, cores=64),
        Queue("closed", up=False),
    ),
    accounts={"alice": ("geo", "bio")},
)


def bad_fields(raw, policy=Policy(), info=INFO, user="alice"):
    try:
        parse_options(raw, policy, offer(policy, info, user))
    except OptionErrors as errors:
        return {error.field for error in errors.errors}
    return set()


@pytest.mark.parametrize("raw, bad", [
    ({}, set()), ({"queue": "gpu"}, set()), ({"queue": "nope"}, {"queue"}), ({"queue": "closed"}, {"queue"}),
    ({"account": "geo"}, set()), ({"account": "fin"}, {"account"}),
    ({"walltime": "1-0"}, set()), ({"walltime": "1-00:00:01"}, {"walltime"}),
    ({"walltime": "9-0", "queue": "gpu"}, set()),
    ({"nodes": 3}, set()), ({"nodes": 4}, {"nodes"}), ({"nodes": 400, "queue": "gpu"}, set()),
    ({"cores": 4}, set()), ({"cores": 5}, {"cores"}), ({"memory": "6G"}, set()), ({"memory": "7G"}, {"memory"}),
    ({"gpus": 0}, set()), ({"gpus": 1}, {"gpus"}), ({"gpus": 4, "queue": "gpu"}, set()),
    ({"gpus": 4, "gpu_type": "v100", "queue": "gpu"}, {"gpus"}),
    ({"gpus": 2, "gpu_type": "v100", "queue": "gpu"}, set()),
    ({"gpus": 1, "gpu_type": "h100", "queue": "gpu"}, {"gpu_type"}),
    ({"nodes": 4, "cores": 5, "account": "fin"}, {"nodes", "cores", "account"}),
])
def test_a_request_that_the_queue_cannot_fulfil_is_refused_field_by_field(raw, bad):
    assert bad_fields(raw) == bad


def test_where_no_queue_is_the_default_what_no_queue_allows_is_refused():
    info = ClusterInfo(queues=(Queue("a", max_nodes=1, cores=8), Queue("b", max_nodes=4, cores=2),
                               Queue("away", max_nodes=99, up=False)))
    with pytest.raises(OptionErrors, match="nodes: at most 4 in any queue"):
        parse_options({"nodes": 5}, info=offer(Policy(), info))
    assert bad_fields({"nodes": 4, "cores": 8}, info=info) == set()
    assert bad_fields({"nodes": 2, "queue": "a"}, info=info) == {"nodes"}


@pytest.mark.parametrize("raw, info, user", [
    ({"queue": "any", "account": "any", "nodes": 999, "gpus": 9}, ClusterInfo(), "alice"),
    ({"account": "any"}, INFO, "bob"),
    ({"nodes": 999, "gpus": 2}, ClusterInfo(queues=(Queue("a", max_nodes=1), Queue("b")), untold={"gpus"}), "alice"),
    ({"nodes": 999}, ClusterInfo(queues=(Queue("away", max_nodes=1, up=False),)), "alice"),
])
def test_what_the_cluster_did_not_tell_limits_nobody(raw, info, user):
    assert bad_fields(raw, info=info, user=user) == set()


ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=30)
NEARLY = st.sampled_from(["normal", "gpu", "small", "16G", "4h", "1-0", "on", "0", "module:x", "/opt", "~/x", "lab",
                          "\ud800"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT | NEARLY
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
                    max_leaves=6)
REQUESTS = JSON | st.dictionaries(st.sampled_from(list(Options.model_fields)) | ANY_TEXT, SCALARS | JSON, max_size=8)
BUSY = Policy(
    defaults={"queue": "normal", "cores": 2},
    profiles={"small": Profile({"cores": 1, "walltime": "1h"}, lock=("cores",))},
    environments={"jupyter": Environment("/opt")}, custom_environment=True, interfaces={"lab": "/lab"},
    node_types={"mc": "mc"}, limits=parse_limits({"nodes": 4, "memory": "64G", "walltime": "8h"}),
    allowed={"account": ("geo", "bio")}, unsupported=frozenset({"ipyparallel"}),
)


@pytest.mark.parametrize("policy, info", [(Policy(), ClusterInfo()), (BUSY, INFO)], ids=["plain", "busy"])
def test_any_json_gives_options_or_option_errors_and_nothing_else(policy, info):
    offered = offer(policy, info, "alice")

    @given(REQUESTS)
    def parse(raw):
        try:
            options = parse_options(raw, policy, offered)
        except OptionErrors as errors:
            assert errors.errors and all(error.message for error in errors.errors)
            "".join(f"{error.field}{error.message}" for error in errors.errors).encode()
        else:
            assert parse_options(dump_options(options), policy, offered) == options

    parse()


GOOD = st.fixed_dictionaries({}, optional={
    "queue": st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.+@:/=-]{0,127}", fullmatch=True),
    "nodes": st.integers(1, 10 ** 9 - 1), "gpus": st.integers(0, 99).map(str), "dask": st.booleans(),
    "memory": st.integers(1, 10 ** 6).map("{}M".format), "walltime": st.integers(1, 3650 * 24).map("{}h".format),
    "working_dir": st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=50).map("/{}".format),
})


@given(GOOD)
def test_dumped_options_parse_to_the_same_options(raw):
    options = parse_options(raw)
    assert parse_options(dump_options(options)) == options
    assert {name for name in raw} <= set(dump_options(options))
