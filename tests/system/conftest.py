"""One scenario for all batch systems: each has its cluster and a Hub on it, one after the other."""
import os
import shutil
from pathlib import Path

import pytest
from support import system_hub
from support.clusters import SYSTEMS
from support.system_hub import SystemHub


def pytest_generate_tests(metafunc):
    """Every test here runs on every system, or on those that its module names in ``ONLY``."""
    systems = [name for name in SYSTEMS if name in getattr(metafunc.module, "ONLY", SYSTEMS)]
    if "refusal" in metafunc.fixturenames:
        cases = [(name, refusal) for name in systems for refusal in SYSTEMS[name].refusals]
        metafunc.parametrize(("cluster", "refusal"), cases, indirect=["cluster"], scope="session")
    elif "cluster" in metafunc.fixturenames:
        metafunc.parametrize("cluster", systems, indirect=True, scope="session")


@pytest.fixture(scope="session")
def cluster(request):
    kind = SYSTEMS[request.param]
    if reason := system_hub.missing(kind):
        if os.environ.get("CI"):
            pytest.fail(f"the {request.param} cluster cannot be made: {reason}")
        pytest.skip(reason)
    cluster = kind()
    for user in ("alice", "bob"):  # what a run left that was broken off
        if jobs := cluster.jobs(user):
            cluster.cancel(user, *jobs)
        shutil.rmtree(Path(f"~{user}").expanduser() / ".local/share/jupyterhub-hpc-spawner", ignore_errors=True)
    system_hub.allow_helper()
    yield cluster
    system_hub.SUDOERS.unlink()
    if not os.environ.get("HPC_TEST_KEEP_CLUSTER"):
        cluster.stop()


@pytest.fixture(scope="session")
def hub(cluster):
    with system_hub.hub_directory() as directory:
        # All that it may say, in which there is no secret either.
        hub = SystemHub(directory, cluster, 'c.JupyterHub.log_level = "DEBUG"\n').start()
        hub.add_user("alice").add_user("bob")
        yield hub
        hub.end_sessions()
        hub.stop()


@pytest.fixture
def idle(hub):
    """The Hub without sessions, before and after, and nothing logged."""
    hub.end_sessions()
    hub.forget_log()
    yield hub
    hub.end_sessions()
    for user in ("alice", "bob"):
        (Path(f"~{user}").expanduser() / ".jupyterhub.env").unlink(missing_ok=True)


@pytest.fixture
def session(hub):
    """Alice's session on two nodes with Dask; the next test that wants one takes the same."""
    if not hub.servers("alice"):
        events = hub.spawn("alice", {**hub.cluster.two_nodes, "dask": True, "dask_workers_per_node": 2})
        assert events[-1].get("ready"), events
    return hub
