"""The site's choice of how Dask's workers start, in a whole session."""
import json

import pytest
from support.kernel import run_code
from support.running_hub import wait_for

ONLY = ("newest",)

OPTIONS = {"dask": True, "dask_workers_per_node": 2, "dask_threads_per_worker": 1}
CONNECT = """
from dask.distributed import Client
client = Client()
client.wait_for_workers(2, timeout=60)
print(client.submit(lambda x: x + 1, 41).result())
"""
RANKS = """
def ranks():
    from mpi4py import MPI
    return MPI.COMM_WORLD.rank, MPI.COMM_WORLD.allreduce(1)
print(sorted(client.run(ranks).values()))
"""
# As the processes got it, not as they may have set it later; a hash shows what the interpreter started with.
SEED = """
def seed():
    with open("/proc/self/environ") as text:
        trim = [word for word in text.read().split("\\0") if word.startswith("MALLOC_TRIM")]
    return hash("x"), trim
seeds = list(client.run(seed).values())
print(len(seeds), seeds[0] == seeds[1], seeds[0][1])
"""
SEEDED = "2 True ['MALLOC_TRIM_THRESHOLD_=65536']\n"
# Two tasks that ask for a GPU each at the same time, and one that has to wait for theirs.
GPUS = """
from dask.distributed import Client
client = Client()
client.wait_for_workers(2, timeout=60)
def gpu(_):
    import os, time
    time.sleep(0.5)
    return os.environ["CUDA_VISIBLE_DEVICES"]
print(sorted(set(client.gather(client.map(gpu, range(3), resources={"GPU": 1}, pure=False)))))
workers = client.scheduler_info()["workers"].values()
print(sorted(client.run(gpu, 0).values()), [worker["resources"] for worker in workers])
"""
RESTART = 'from jupyterhub_hpc_spawner.notebook import session; card = session().restart("dask")'


def facts(hub):
    name = hub.state(hub.user)["name"]
    return json.loads((hub.home / "sessions" / name / "session.json").read_text())["runtimes"]["dask"]


@pytest.mark.parametrize(("launcher", "code", "printed"), [
    ("nanny", CONNECT + SEED, "42\n" + SEEDED),
    ("mpi", CONNECT + RANKS + SEED, "42\n[(0, 2), (1, 2)]\n" + SEEDED)])
def test_a_session_with_the_sites_launcher(hub_with, environment, launcher, code, printed):
    if launcher == "mpi" and not list(environment.glob("lib/python*/site-packages/dask_mpi")):
        pytest.skip("this environment has no dask-mpi")
    hub = hub_with(f"c.HPCSpawner.dask_launcher = {launcher!r}")
    assert hub.spawn(hub.user, OPTIONS)[-1].get("ready")
    assert run_code(hub.server_url, hub.user_token(hub.user), code) == printed
    again = run_code(hub.server_url, hub.user_token(hub.user), RESTART + code)
    assert again.startswith("Dask starts again ... running") and again.endswith(printed)
    hub.end_session()
    hub.assert_nothing_left()


@pytest.mark.parametrize("launcher", ["nanny", "mpi"])
def test_each_worker_has_a_gpu_of_its_own_with_every_launcher(hub_with, environment, launcher):
    """That of ``fork`` is in test_dask_workers.py."""
    if launcher == "mpi" and not list(environment.glob("lib/python*/site-packages/dask_mpi")):
        pytest.skip("this environment has no dask-mpi")
    hub = hub_with(f"c.HPCSpawner.dask_launcher = {launcher!r}")
    (hub.home / ".jupyterhub.env").write_text("export CUDA_VISIBLE_DEVICES=GPU-a,3\n")  # as a batch system does it
    assert hub.spawn(hub.user, {"dask": True})[-1].get("ready")
    assert run_code(hub.server_url, hub.user_token(hub.user), GPUS) == (
        "['3', 'GPU-a']\n['3', 'GPU-a'] [{'GPU': 1}, {'GPU': 1}]\n")


def test_the_death_of_a_rank_leaves_the_scheduler(hub_with, environment):
    if not list(environment.glob("lib/python*/site-packages/dask_mpi")):
        pytest.skip("this environment has no dask-mpi")
    hub = hub_with("c.HPCSpawner.dask_launcher = 'mpi'")
    assert hub.spawn(hub.user, OPTIONS)[-1].get("ready")
    code = CONNECT + """
import os, signal, time
pid = list(client.run(os.getpid).values())[0]
os.kill(pid, signal.SIGKILL)
deadline = time.monotonic() + 30
while client.scheduler_info()["workers"] and time.monotonic() < deadline:
    time.sleep(0.2)
print(client.run_on_scheduler(lambda: "alive"))
"""
    assert run_code(hub.server_url, hub.user_token(hub.user), code) == "42\nalive\n"
    wait_for(lambda: facts(hub)["state"] == "failed", 20, lambda: f"it stays {facts(hub)}")
    assert "the workers ended" in facts(hub)["error"]


def test_mpi_without_dask_mpi_is_said(hub_with):
    hub = hub_with("c.HPCSpawner.dask_launcher = 'mpi'")
    package = hub.home / "hidden" / "dask_mpi"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('broken on purpose')\n")
    (hub.home / ".jupyterhub.env").write_text(f"export PYTHONPATH={package.parent}\n")
    assert hub.spawn(hub.user, OPTIONS)[-1].get("ready")
    wait_for(lambda: facts(hub)["state"] == "failed", 60, lambda: f"it stays {facts(hub)}")
    assert "started with MPI" in facts(hub)["error"] or "not installed" in facts(hub)["error"]


def test_an_unknown_launcher_needs_the_administrator(hub_with):
    hub = hub_with("c.HPCSpawner.dask_launcher = 'magic'")
    event = hub.spawn(hub.user, OPTIONS)[-1]
    assert event.get("failed") and "there is no 'magic', only fork, nanny, mpi" in event["message"]
