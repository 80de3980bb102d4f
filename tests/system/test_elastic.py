"""Extra Dask workers as jobs of their own on a real Slurm, submitted from the session's job."""

from support.kernel import run_code

ONLY = ("slurm",)

BEGIN = """
import getpass, os, subprocess, time
from dask.distributed import Client
from jupyterhub_hpc_spawner.notebook import cluster

def squeue():
    return subprocess.run(["squeue", "-h", "-u", getpass.getuser(), "-o", "%i %T %j"], capture_output=True, text=True,
                          check=True).stdout.splitlines()

def until(condition, patience=60):
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, (squeue(), client.scheduler_info(n_workers=-1)["workers"])
        time.sleep(0.1)

def names():
    return sorted(worker["name"] for worker in client.scheduler_info(n_workers=-1)["workers"].values())

def slow(x):
    import time
    time.sleep(0.5)
    return x * x

client = Client()
client.wait_for_workers(4, timeout=60)
own = names()
"""

SCALE = BEGIN + """
c = cluster()
c.scale(2)
until(lambda: len(names()) == 6 and len(squeue()) == 3)
extra = sorted(set(names()) - set(own))
print(all(name.startswith("extra-") for name in extra), len(squeue()), set(own) <= set(names()))
print(c)
print(client.gather(client.map(slow, range(8), workers=extra)) == [x * x for x in range(8)])
print(sorted(set(client.run(os.getcwd).values())))
kept = client.submit(slow, 12, workers=extra[:1], allow_other_workers=False)
kept.result()
c.scale(0)
until(lambda: len(squeue()) == 1 and names() == own)
print("scaled down")
c.close()
print(names() == own, Client().submit(slow, 3).result())
"""

ADAPT = BEGIN + """
c = cluster()
c.adapt(minimum=0, maximum=3, interval="0.5s", target_duration="1s")
begin = time.monotonic()
futures = client.map(slow, range(120), pure=False)
until(lambda: len(squeue()) == 4)
print("up", "%.1f s" % (time.monotonic() - begin))
until(lambda: len(names()) == 7)
client.gather(futures)
begin = time.monotonic()
del futures
until(lambda: len(squeue()) == 1)
print("down", "%.1f s" % (time.monotonic() - begin))
until(lambda: names() == own)
print("own stay")
"""


def run(hub, code):
    return run_code(hub.server_url("alice"), hub.user_token("alice"), code, timeout=120)


def test_extra_workers_come_and_go_by_number(session):
    printed = run(session, SCALE)
    print(printed)
    lines = printed.splitlines()
    assert lines[0] == "True 3 True"
    assert "4 of the session, 2 extra" in lines[1]
    assert lines[2] == "True" and lines[4:] == ["scaled down", "True 9"]


def test_adapt_goes_up_under_load_and_down_after(session):
    printed = run(session, ADAPT)
    print(printed)
    assert [line.split()[0] for line in printed.splitlines()] == ["up", "down", "own"]
