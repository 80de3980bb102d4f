"""Extra Dask workers as jobs of their own on a real Slurm, submitted from the session's job."""
import json
import os
import re
import signal
from pathlib import Path

import pytest
from support.kernel import Kernel
from support.running_hub import wait_for

ONLY = ("slurm",)

BEGIN = """
import getpass, os, subprocess, time
from dask.distributed import Client
from jupyterhub_hpc_spawner.notebook import cluster

def squeue(state="all"):
    return subprocess.run(["squeue", "-h", "-t", state, "-u", getpass.getuser(), "-o", "%i %T %j %L"],
                          capture_output=True, text=True, check=True).stdout.splitlines()

def until(condition, patience=60):
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, (squeue(), names())
        time.sleep(0.1)

def jobs():
    return len(squeue("pending,running,completing"))

def names():
    return sorted(worker["name"] for worker in client.scheduler_info(n_workers=-1)["workers"].values())

def slow(x):
    time.sleep(0.5)
    return x * x

client = Client()
client.wait_for_workers(4, timeout=60)
until(lambda: len(names()) == 4)
own = names()
"""
SCALE = """
c = cluster()
c.scale(2)
until(lambda: len(names()) == 6 and jobs() == 3)
extra = sorted(set(names()) - set(own))
print(all(name.startswith("extra-") for name in extra), set(own) <= set(names()), c)
part = [client.submit(slow, x, workers=extra, pure=False) for x in range(4)]
print(client.gather(part))
"""
PRIVATE = """
def look(dask_worker):
    inodes = set()
    for pid in (os.getpid(), os.getppid()):
        for fd in os.listdir("/proc/%s/fd" % pid):
            try:
                inodes.add(os.readlink("/proc/%s/fd/%s" % (pid, fd)))
            except OSError:
                pass
    rows = [line.split() for name in ("tcp", "tcp6") for line in list(open("/proc/net/" + name))[1:]]
    ports = {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A" and "socket:[%s]" % row[9] in inodes}
    known = {int(address.rpartition(":")[2]) for address in (dask_worker.address, dask_worker.nanny)}
    words = open("/proc/%s/cmdline" % os.getppid()).read()
    scratch = dask_worker.local_directory.split("/")
    return (ports == known, [name for name in os.environ if "TOKEN" in name], os.getcwd(), "PRIVATE" in words,
            dask_worker.lifetime is not None, scratch[1], len(scratch[2]))

for found in client.run(look, workers=[address for address, facts in
                                       client.scheduler_info(n_workers=-1)["workers"].items()
                                       if facts["name"] in extra]).values():
    print(found)
"""
AWAY = """
c.scale(0)
until(lambda: jobs() == 1 and names() == own)
print(all(future.status == "finished" for future in part), client.gather(part))
c.close()
print(names() == own, client.submit(slow, 3).result())
"""
ADAPT = """
c = cluster()
c.adapt(minimum=0, maximum=3, interval="0.5s", target_duration="1s")
begin = time.monotonic()
futures = client.map(slow, range(120), pure=False)
until(lambda: jobs() == 4)
print("up %.1f s" % (time.monotonic() - begin))
until(lambda: len(names()) == 7)
client.gather(futures)
begin = time.monotonic()
del futures
until(lambda: jobs() == 1)
print("down %.1f s" % (time.monotonic() - begin))
until(lambda: names() == own)
print("own stay")
"""
CROWD = """
c = cluster()
c.scale(12)
until(lambda: len(squeue("pending")) >= 3 and len(squeue("running")) >= 4 and len(names()) >= 6)
"""
PLAIN = """
from dask_jobqueue import SLURMCluster
plain = SLURMCluster()
plain.scale(jobs=1)
mine = Client(plain)
mine.wait_for_workers(1, timeout=60)
print(mine.scheduler.address.split(":")[0], mine.submit(slow, 4).result(), names() == own)
print(plain.job_script())
mine.close()
plain.close()
until(lambda: jobs() == 1)
"""


def scratch():
    """Alice's directories of Dask workers on all nodes: one machine, so one /tmp."""
    return {path for path in Path("/tmp").glob("dask-????????") if path.owner() == "alice"}


@pytest.fixture
def kernel(session):
    with Kernel(session.server_url("alice"), session.user_token("alice")) as kernel:
        kernel.run(BEGIN)
        yield kernel


def secrets_of(session):
    """The report's secret, the server's token and lines of the key."""
    directory = Path(session.state("alice")["directory"])
    secret = json.loads((directory / "plan.json").read_text())["secret"]
    token = re.search(r"JUPYTERHUB_API_TOKEN=(\S+)", (directory / "environment.sh").read_text())[1]
    return [secret, token, *(directory / "tls.pem").read_text().splitlines()[1:4]]


def test_extra_workers_come_and_go_by_number(session, kernel):
    first, result = kernel.run(SCALE, 120).splitlines()
    assert first.startswith("True True SessionSLURMCluster(extra-") and first.endswith("4 of the session, 2 extra)")
    assert result == "[0, 1, 4, 9]"
    extra = set(session.cluster.jobs("alice")) - {session.state("alice")["job_id"]}
    for job in extra:
        records = session.cluster.records(job)
        assert "dask" in records and f"JobId={job}" in records
        assert not [secret for secret in secrets_of(session) if secret in records]
    assert len(extra) == 2
    assert kernel.run(PRIVATE).splitlines() == ["(True, [], '/home/alice', False, True, 'tmp', 13)"] * 2
    assert kernel.run(AWAY).splitlines() == ["True [0, 1, 4, 9]", "True 9"]


def test_adapt_goes_up_under_load_and_down_after(kernel):
    printed = kernel.run(ADAPT, 120)
    print(printed)
    assert [line.split()[0] for line in printed.splitlines()] == ["up", "down", "own"]


def test_a_killed_kernel_leaves_no_job_running_or_waiting(session, kernel):
    kernel.run(CROWD)
    pid = int(kernel.run("print(os.getpid())"))
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: len(session.cluster.jobs("alice")) == 1, 30, lambda: session.cluster.jobs("alice"))
    assert kernel.run(BEGIN + "print(len(own))") == "4\n"


def test_dask_jobqueue_itself_knows_the_session(kernel):
    first, *script = kernel.run(PLAIN).splitlines()
    assert first == "tls 16 True"
    assert {"#SBATCH -p normal", "#SBATCH -A geo", "#SBATCH --cpus-per-task=1"} <= set(script)
    assert "--interface eth0" in " ".join(script)


def test_the_end_of_the_session_leaves_no_job_and_nothing_on_any_node(session, kernel):
    before = scratch()
    kernel.run(CROWD)
    assert scratch() - before
    session.stop_server("alice")
    session.assert_nothing_left("alice")
    assert scratch() <= before
