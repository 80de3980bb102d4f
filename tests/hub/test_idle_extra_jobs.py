"""Extra jobs end when they have had nothing to do for as long as the site says: not earlier, and they say why."""
import pytest
from support.kernel import UNTIL, Kernel

ONLY = ("newest",)

BEGIN = UNTIL + """
import os, time
from dask.distributed import Client
from jupyterhub_hpc_spawner.notebook import jobs, session
client = Client()
client.wait_for_workers(1, timeout=60)

def shown():
    return (session(), jobs.jobs())

def names():
    return sorted(worker["name"] for worker in client.scheduler_info(n_workers=-1)["workers"].values())

def ended(job):
    return [found["reason"] for found in jobs.jobs() if found["job_id"] == job and found["state"] == "finished"]
"""
DASK = """
job = jobs.submit("dask", workers=2, threads=1, name="more")
until(lambda: len(names()) == 3)
until(lambda: "1 of 1, 2 extra" in repr(session()))
print(session())
# One of its two workers computes for longer than the others' patience, and what it found is not lost.
def work(n):
    time.sleep(n)
    return os.urandom(8)
kept = client.submit(work, 10, workers=["more-0"])
value = kept.result()
assert len(names()) == 3, "a job that computes is not idle"
until(lambda: len(names()) == 1)
until(lambda: ended(job))
print("REASON", *ended(job))
print("KEPT", kept.status, kept.result() == value, names())
until(lambda: "Workers     1 of 1\\n" in repr(session()))
print(session())
"""
ENGINES = """
import ipyparallel as ipp
job = jobs.submit("ipyparallel", engines=1)
directory = next(found["directory"] for found in jobs.jobs() if found["job_id"] == job)
file = directory + "/ipp/security/ipcontroller-client.json"
until(lambda: os.path.exists(file))
rc = ipp.Client(file)
rc.wait_for_engines(1, timeout=60, interactive=False)
rc[:].apply_sync(time.sleep, 10)  # a cluster that computes is not idle
until(lambda: ended(job))
print("REASON", *ended(job))
print(session())
"""


@pytest.fixture
def kernel(hub_with):
    hub = hub_with("c.HPCSpawner.extra_idle_timeout = 7")
    options = {"dask": True, "dask_workers_per_node": 1, "dask_threads_per_worker": 1}
    assert hub.spawn(hub.user, options)[-1].get("ready")
    with Kernel(hub.server_url, hub.user_token(hub.user)) as kernel:
        kernel.run(BEGIN)
        yield kernel


def test_dask_workers_without_a_task_end_and_hand_on_what_they_hold(kernel):
    printed = kernel.run(DASK)
    print(printed)
    assert "the workers have ended: no task for 7 s\n" in printed.partition("REASON")[2].partition("KEPT")[0]
    kept = printed.partition("KEPT ")[2].splitlines()
    assert kept[0].startswith("finished True [") and "more" not in kept[0]
    assert "Extra jobs that ended because they had no task for long: 1, the last at " in printed


def test_an_ipyparallel_cluster_without_a_task_ends(kernel):
    printed = kernel.run(ENGINES)
    assert "the engines had no task for 7 s, so this cluster ends" in printed.partition("REASON")[2]
    assert "Extra jobs that ended because they had no task for long: 1, the last at " in printed
