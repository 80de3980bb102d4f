"""The other ways to start Dask's workers, on two nodes of a real cluster: nannies, and the ranks of dask-mpi."""
import pytest
from support import system_hub
from support.kernel import run_code
from support.system_hub import SystemHub

ONLY = ("slurm",)

WORKERS = """
import os, socket, time
from collections import Counter
from dask.distributed import Client
from jupyterhub_hpc_spawner.notebook import session
client = Client()
client.wait_for_workers(4, timeout=60)
print(sorted(Counter(client.run(socket.gethostname).values()).values()))
print(sum(client.gather(client.map(lambda n: n * n, range(100)))))
deadline = time.monotonic() + 20
while "Workers     4 of 4\\n" not in repr(session()) and time.monotonic() < deadline:
    time.sleep(0.1)
print("Workers     4 of 4\\n" in repr(session()))
"""
NANNIES = """
before = client.run(os.getpid)
client.restart()
print(len(set(before.values()) & set(client.run(os.getpid).values())), len(client.nthreads()))
"""
RANKS = """
def rank():
    from mpi4py import MPI
    return MPI.COMM_WORLD.rank, MPI.COMM_WORLD.allreduce(1)
print(sorted(client.run(rank).values()))
"""


@pytest.mark.parametrize(("launcher", "code", "last"), [
    ("nanny", NANNIES, "0 4"), ("mpi", RANKS, "[(0, 4), (1, 4), (2, 4), (3, 4)]")])
def test_workers_are_on_both_nodes_and_end_with_the_session(cluster, launcher, code, last):
    with system_hub.hub_directory() as directory:
        hub = SystemHub(directory, cluster, f"c.HPCSpawner.dask_launcher = {launcher!r}\n").start()
        try:
            hub.add_user("alice")
            options = {**cluster.two_nodes, "memory": "1G", "dask": True, "dask_workers_per_node": 2}
            assert hub.spawn("alice", options)[-1].get("ready")
            printed = run_code(hub.server_url("alice"), hub.user_token("alice"), WORKERS + code).splitlines()
            assert printed == ["[2, 2]", "328350", "True", last]
            hub.stop_server("alice")
            hub.assert_nothing_left("alice")
        finally:
            hub.end_sessions()
            hub.stop()
