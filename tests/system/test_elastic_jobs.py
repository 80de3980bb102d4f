"""Extra Dask workers as jobs of their own on a real cluster, submitted from the session's job."""
import json
import os
import re
import shutil
import signal
from contextlib import suppress
from pathlib import Path

import pytest
from support.kernel import UNTIL, Kernel
from support.running_hub import wait_for

ONLY = ("slurm", "sge")

BEGIN = UNTIL + """
import getpass, os, subprocess, time
from dask.distributed import Client
from jupyterhub_hpc_spawner.notebook import cluster

SLURM = "SLURM_JOB_ID" in os.environ

def queue(*states):  # the user's jobs that are pending, or running, or both
    if SLURM:
        command, head = ["squeue", "-h", "-t", ",".join(states or ["pending,running,completing"])], 0
    else:
        command, head = ["qstat", "-s", "".join(state[0] for state in states or ["pending", "running"])], 2
    done = subprocess.run([*command, "-u", getpass.getuser()], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[head:]

def shown():
    return (queue(), names())

def jobs():
    return len(queue())

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
            dask_worker.lifetime is not None, [len(name) for name in scratch if name.startswith("dask-")])

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
until(lambda: len(queue("pending")) >= 3 and len(queue("running")) >= 4 and len(names()) >= 6)
"""
# The batch system takes its time with each job.
SLOW = """
import shutil, tempfile
slow_bin, name = tempfile.mkdtemp(), "sbatch" if SLURM else "qsub"
with open(slow_bin + "/" + name, "w") as out:
    out.write("#!/bin/sh\\ntouch %s/asked.$$\\nsleep 1\\nexec %s \\"$@\\"\\n" % (slow_bin, shutil.which(name)))
os.chmod(out.name, 0o700)
os.environ["PATH"] = slow_bin + ":" + os.environ["PATH"]
c = cluster()
c.scale(3)
until(lambda: len(os.listdir(slow_bin)) == 4)
print(os.getpid(), slow_bin)
"""
HELD = """
import tempfile
c = cluster()
with tempfile.NamedTemporaryFile("w", suffix=".sh") as script:
    script.write(c.job_script())
    script.flush()
    command = ["sbatch", "--hold"] if SLURM else ["qsub", "-h"]
    said = subprocess.run([*command, script.name], capture_output=True, text=True, check=True).stdout
c.close()
print("".join(filter(str.isdigit, said.partition("(")[0])))
"""
PLAIN = """
from dask_jobqueue import SGECluster, SLURMCluster
plain = SLURMCluster() if SLURM else SGECluster()
plain.scale(jobs=1)
mine = Client(plain)
mine.wait_for_workers(1, timeout=60)
print(mine.scheduler.address.split(":")[0], mine.submit(slow, 4).result(), names() == own)
print(plain.job_script())
mine.close()
plain.close()
until(lambda: jobs() == 1)
"""


# What of the session's request is in the script of dask-jobqueue's own.
REQUEST = {"slurm": {"#SBATCH -p normal", "#SBATCH -A geo", "#SBATCH --cpus-per-task=1"},
           "sge": {"#$ -P geo", "#$ -pe smp 1"}}


def scratch(cluster):
    """The directories of alice's Dask workers and scheduler on all nodes: one machine, so one process table."""
    name, found = "DASK_TEMPORARY_DIRECTORY=", set()
    for line in cluster.processes("alice"):
        with suppress(OSError):  # it has just ended
            words = Path(f"/proc/{line.split()[0]}/environ").read_bytes().decode().split("\0")
            found.update(word.removeprefix(name) for word in words if word.startswith(name))
    return found


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
    kind = session.cluster.system.upper()
    assert first.startswith(f"True True Session{kind}Cluster(extra-") and first.endswith("4 of the session, 2 extra)")
    assert result == "[0, 1, 4, 9]"
    extra = set(session.cluster.jobs("alice")) - {session.state("alice")["job_id"]}
    for job in extra:
        records = session.cluster.records(job)
        assert "dask" in records and re.search(rf"\b{job}\b", records)
        assert not [secret for secret in secrets_of(session) if secret in records]
    assert len(extra) == 2
    assert kernel.run(PRIVATE).splitlines() == ["(True, [], '/home/alice', False, True, [13, 18])"] * 2
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


def test_jobs_that_are_being_submitted_when_their_kernel_is_killed_are_cancelled(session, kernel):
    pid, programs = kernel.run(SLOW).split()
    os.kill(int(pid), signal.SIGKILL)
    log = Path(session.state("alice")["directory"]) / "dask-scheduler.log"
    wait_for(lambda: re.search(r"are cancelled: \d+ \d+ \d+$", log.read_text(), re.MULTILINE), 30, log.read_text)
    wait_for(lambda: len(session.cluster.jobs("alice")) == 1, 30, lambda: session.cluster.jobs("alice"))
    shutil.rmtree(programs)
    assert kernel.run(BEGIN + "print(len(own))") == "4\n"


def test_dask_jobqueue_itself_knows_the_session(session, kernel):
    first, *script = kernel.run(PLAIN).splitlines()
    assert first == "tls 16 True"
    assert REQUEST[session.cluster.system] <= set(script), script
    assert "--interface eth0" in " ".join(script)


def test_the_end_of_the_session_leaves_no_job_and_nothing_on_any_node(session, kernel):
    kernel.run(CROWD)
    found = scratch(session.cluster)
    assert len(found) > 4, "those of extra jobs are there, too"
    session.stop_server("alice")
    session.assert_nothing_left("alice")
    for node in session.cluster.nodes:
        assert session.cluster.run("alice", "ls", "-d", *found, node=node).stdout == ""


def test_a_job_that_starts_when_its_session_is_over_ends(session, kernel):
    """Whatever kept it from being cancelled: no job is left that only its owner or an administrator can remove."""
    job = kernel.run(HELD).strip()
    try:
        session.stop_server("alice")
        wait_for(lambda: session.cluster.jobs("alice") == [job], 30, lambda: session.cluster.jobs("alice"))
        release = ("scontrol", "release") if session.cluster.system == "slurm" else ("qrls",)
        session.cluster.run("alice", *release, job)
        session.assert_nothing_left("alice")
    finally:
        if session.cluster.jobs("alice"):
            session.cluster.cancel("alice", job)
