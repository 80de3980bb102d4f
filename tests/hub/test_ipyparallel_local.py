"""IPyParallel with batch_system = "local"."""
import json

import pytest
from support.kernel import KernelError, run_code
from support.running_hub import wait_for

# What the job does does not depend on the Hub's version.
ONLY = ("newest",)

CONNECT = """
import os
import ipyparallel as ipp
client = ipp.Client(os.environ["IPP_CLIENT_FILE"])
client.wait_for_engines(2, timeout=60, interactive=False)
"""
RANKS = """
def ranks():
    from mpi4py import MPI
    return MPI.COMM_WORLD.rank, MPI.COMM_WORLD.allreduce(MPI.COMM_WORLD.rank + 1)
print(client.ids, client[:].apply_sync(ranks))
"""
WITH_DASK = """
from dask.distributed import Client
dask = Client()
print(dask.submit(lambda x: x + 1, 41).result(), client[:].apply_sync(lambda x: x + 1, 41))
"""


@pytest.fixture
def start(idle, environment):
    """Start a session with two engines and wait until IPyParallel is there or has failed."""
    def start(broken="", **options):
        """``broken`` is a Python package that cannot be imported in the session."""
        if broken:
            package = idle.home / f"no-{broken}" / broken
            package.mkdir(parents=True)
            (package / "__init__.py").write_text("raise ImportError('broken on purpose')\n")
            (idle.home / ".jupyterhub.env").write_text(f"export PYTHONPATH={package.parent}\n")
        elif not has(environment, "ipyparallel"):
            pytest.skip("this environment has no ipyparallel")
        events = idle.spawn(idle.user, {"ipyparallel": True, "ipyparallel_engines_per_node": 2, **options})
        assert events[-1].get("ready"), events
        wait_for(lambda: facts(idle)["state"] != "starting", 60, lambda: f"it stays {facts(idle)}")
        return idle.user_token(idle.user)
    return start


def has(environment, package):
    return bool(list(environment.glob(f"lib/python*/site-packages/{package}")))


def directory(hub):
    return hub.home / "sessions" / hub.state(hub.user)["name"]


def facts(hub):
    return json.loads((directory(hub) / "session.json").read_text())["runtimes"]["ipyparallel"]


def test_the_engines_are_the_ranks_of_one_mpi_program(idle, start):
    token = start(dask=True, dask_workers_per_node=1)
    printed = run_code(idle.server_url, token, CONNECT + RANKS + WITH_DASK).splitlines()
    assert printed == ["[0, 1] [(0, 3), (1, 3)]", "42 [42, 42]"]
    assert facts(idle) == {"state": "running", "engines": 2, "mpi": True,
                           "client_file": f"{directory(idle)}/ipp/security/ipcontroller-client.json"}


def test_the_connection_files_are_the_users_alone_and_stop_leaves_nothing(idle, start):
    start()
    security = directory(idle) / "ipp" / "security"
    files = sorted(security.iterdir())
    assert [file.name for file in files] == ["ipcontroller-client.json", "ipcontroller-engine.json"]
    assert [path.stat().st_mode & 0o777 for path in (security, security.parent, *files)] == [0o700] * 2 + [0o600] * 2
    idle.stop_server(idle.user)
    idle.assert_nothing_left()


def test_engines_start_without_mpi_where_there_is_none(idle, start, environment):
    if not has(environment, "ipyparallel"):
        pytest.skip("this environment has no ipyparallel")
    token = start(broken="mpi4py")
    printed = run_code(idle.server_url, token, CONNECT + "print(client.ids, client[:].apply_sync(lambda: 1))")
    assert printed.strip() == "[0, 1] [1, 1]"
    found = facts(idle)
    assert (found["state"], found["mpi"]) == ("running", False)
    assert "broken on purpose" in found["mpi_error"]
    idle.stop_server(idle.user)
    idle.assert_nothing_left()


def test_a_controller_that_cannot_start_is_said_and_never_replaced(idle, start):
    token = start(broken="ipyparallel")
    found = facts(idle)
    assert found["state"] == "failed" and "broken on purpose" in found["error"]
    with pytest.raises(KernelError, match="FileNotFoundError"):
        run_code(idle.server_url, token, "import os; open(os.environ['IPP_CLIENT_FILE'])")
