"""Extra jobs that have nothing to do end by themselves on a real cluster, those of either road, and say why."""
import pytest
from support import system_hub
from support.kernel import UNTIL, Kernel
from support.system_hub import SystemHub

ONLY = ("slurm",)

BEGIN = UNTIL + """
import glob, os, time
from dask.distributed import Client
from jupyterhub_hpc_spawner.notebook import cluster, jobs, session
client = Client()
client.wait_for_workers(1, timeout=60)

def shown():
    return (session(), workers())

def workers():
    found = client.scheduler_info(n_workers=-1)["workers"].values()
    return {worker["name"]: worker["host"] for worker in found}

until(lambda: len(workers()) == 1)
own = list(workers())
"""
# Of two jobs, each of all cores of a node, one works for longer than the other may idle.
TWO = """
c = cluster({})
c.scale(2)
until(lambda: len(workers()) == 3)
first, second = sorted(set(workers()) - set(own))
print("HOSTS", len({{workers()[first], workers()[second]}}))
busy = client.submit(lambda: time.sleep(15) or os.urandom(8), workers=[first], pure=False)
until(lambda: second not in workers())
print("LEFT", sorted(workers()) == sorted([*own, first]), busy.status)
value = busy.result()
until(lambda: list(workers()) == own)
print("KEPT", busy.result() == value, c)
until(lambda: "Workers     1 of 1\\n" in repr(session()))
print(session())
c.close()
"""
LOG = """
logs = glob.glob(os.path.dirname(os.environ["HPC_SESSION_FILE"]) + "/dask-jobs/*")
print(sum("Reason: no task for 6 s" in open(log).read() for log in logs))
"""
REASONS = """
until(lambda: [job["state"] for job in jobs.jobs()] == ["finished"] * 2)
print(sum("the workers have ended: no task for 6 s" in job["reason"] for job in jobs.jobs()))
"""


@pytest.fixture(scope="module")
def impatient(cluster):
    """Alice's session on one node, at a site that lets extra jobs idle for six seconds."""
    with system_hub.hub_directory() as directory:
        hub = SystemHub(directory, cluster, "c.HPCSpawner.extra_idle_timeout = 6\n").start()
        hub.add_user("alice")
        options = {"nodes": 1, "cores": 1, "account": "geo", "memory": "1G", "dask": True, "dask_workers_per_node": 1}
        assert hub.spawn("alice", options)[-1].get("ready")
        yield hub
        hub.stop_server("alice")
        hub.assert_nothing_left("alice")
        hub.stop()


@pytest.mark.parametrize(("arguments", "why"), [
    ("cores=4, processes=1, memory='1GB'", LOG), ("road='hub', cores=4", REASONS)], ids=["from the job", "hub"])
def test_a_job_without_a_task_ends_while_another_works(impatient, arguments, why):
    with Kernel(impatient.server_url("alice"), impatient.user_token("alice")) as kernel:
        kernel.run(BEGIN)
        printed = kernel.run(TWO.format(arguments), 120)
        assert "HOSTS 2\nLEFT True pending\nKEPT True " in printed, printed
        assert "no task for long: " in printed, printed
        assert kernel.run(why) == "2\n"
