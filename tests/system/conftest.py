"""The Slurm cluster and one Hub for all system tests."""
import os
from pathlib import Path

import pytest
from support import slurm_hub
from support.slurm_hub import SlurmCluster, SystemHub


@pytest.fixture(scope="session")
def cluster():
    if reason := slurm_hub.missing():
        if os.environ.get("CI"):
            pytest.fail(f"the Slurm cluster cannot be made: {reason}")
        pytest.skip(reason)
    cluster = SlurmCluster()
    slurm_hub.allow_helper()
    yield cluster
    slurm_hub.SUDOERS.unlink()
    if not os.environ.get("HPC_TEST_KEEP_CLUSTER"):
        cluster.stop()


@pytest.fixture(scope="session")
def hub(cluster):
    with slurm_hub.hub_directory() as directory:
        hub = SystemHub(directory, cluster).start()
        hub.add_user("alice").add_user("bob")
        yield hub
        hub.end_sessions()
        hub.stop()


@pytest.fixture
def idle(hub):
    """The Hub without sessions, before and after."""
    hub.end_sessions()
    yield hub
    hub.end_sessions()
    for user in ("alice", "bob"):
        (Path(f"~{user}").expanduser() / ".jupyterhub.env").unlink(missing_ok=True)


@pytest.fixture
def session(hub):
    """Alice's session on two nodes with Dask; the next test that wants one takes the same."""
    if not hub.servers("alice"):
        events = hub.spawn("alice", {"nodes": 2, "cores": 2, "account": "geo",
                                     "dask": True, "dask_workers_per_node": 2})
        assert events[-1].get("ready"), events
    return hub
