"""Dask and IPyParallel on two and three nodes of a real cluster: alone, together, and when something of them dies.

Dask alone on two nodes is in test_lifecycle.py, IPyParallel alone in test_engines.py.
"""
import json
import re
import shutil
from pathlib import Path

import pytest
from jupyterhub_hpc_spawner.hub.credentials import tls_pem
from jupyterhub_hpc_spawner.runtimes.dask import Dask
from support.kernel import run_code

# What kernels start with; DASK and ENGINES wait until all are there and have ``hosts``, sorted.
HEAD = """
import json, os, signal, socket, time
from collections import Counter
from jupyterhub_hpc_spawner.notebook import session

def facts(name):
    return json.load(open(os.environ["HPC_SESSION_FILE"]))["runtimes"][name]

def wait(condition, patience=60):
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, session()
        time.sleep(0.02)
"""
DASK = """
from dask.distributed import Client
client = Client()
wait(lambda: facts("dask")["state"] == "running")
count = facts("dask")["workers"]
client.wait_for_workers(count, timeout=60)

def by_name():
    return client.run_on_scheduler(lambda dask_scheduler: {
        worker.name: [worker.address, worker.nthreads, worker.memory_limit]
        for worker in dask_scheduler.workers.values()})
"""
ENGINES = """
import ipyparallel as ipp
wait(lambda: facts("ipyparallel")["state"] == "running")
rc = ipp.Client(os.environ["IPP_CLIENT_FILE"])
wait(lambda: len(rc) == facts("ipyparallel")["engines"])
"""
HOSTS = {"dask": DASK + "print(json.dumps(sorted(client.run(socket.gethostname).values())))\n",
         "ipyparallel": ENGINES + "print(json.dumps(sorted(rc[:].apply_sync(socket.gethostname))))\n"}


def options(cluster, nodes, *runtimes):
    return {**cluster.two_nodes, "nodes": nodes, "memory": "1G", **dict.fromkeys(runtimes, True)}


def run(hub, code):
    return run_code(hub.server_url("alice"), hub.user_token("alice"), HEAD + code, timeout=120)


# MPICH's mpiexec leaves one of 5 kB on a node where Grid Engine's SIGUSR2 ends it.
NOT_OURS = ["-not", "-name", "hydra_hwloc_xmlfile_*"]


def own_files(cluster):
    """What of alice's is in the temporary directories of the nodes."""
    command = ["find", "/tmp", "/dev/shm", "-maxdepth", "1", "-user", "alice", *NOT_OURS]
    return {(node, path) for node in cluster.nodes
            for path in cluster.run("alice", *command, node=node).stdout.splitlines()}


def stop(hub, before):
    hub.stop_server("alice")
    hub.assert_nothing_left("alice")
    assert own_files(hub.cluster) - before == set()


@pytest.mark.parametrize(("nodes", "runtimes"), [(3, ["dask"]), (3, ["ipyparallel"]), (2, ["dask", "ipyparallel"])],
                         ids=["Dask on 3", "IPyParallel on 3", "both on 2"])
def test_a_session_has_its_runtimes_on_all_nodes(idle, nodes, runtimes):
    if nodes == 2 and idle.cluster.system == "slurm":
        pytest.skip("in test_ipyparallel.py")
    before = own_files(idle.cluster)
    event = idle.spawn("alice", options(idle.cluster, nodes, *runtimes))[-1]
    assert event.get("ready"), event
    for runtime in runtimes:
        hosts = json.loads(run(idle, HOSTS[runtime]).splitlines()[-1])
        # Two cores a node: alone a runtime has both, together each has one.
        assert sorted(set(hosts)) == hosts[::2 // len(runtimes)] and len(set(hosts)) == nodes, (runtime, hosts)
    stop(idle, before)


GPUS = """
def gpu(_):
    import os, time
    time.sleep(0.5)  # long enough for the second task to meet the first, where both would be on one worker
    return os.environ["CUDA_VISIBLE_DEVICES"], os.environ.get("SLURM_STEP_GPUS"), socket.gethostname()

used = client.gather(client.map(gpu, range(2), resources={"GPU": 1}, pure=False))
workers = client.scheduler_info(n_workers=-1)["workers"].values()
print(sorted(used), sorted(client.run(gpu, 0).values()), [worker["resources"] for worker in workers])
"""


def test_each_worker_has_one_of_the_gpus_that_the_batch_system_gave(idle):
    if idle.cluster.system != "slurm":
        pytest.skip("only the Slurm cluster has pretended GPUs that jobs see as CUDA's")
    event = idle.spawn("alice", {"gpus": 2, "cores": 2, "account": "geo", "memory": "1G", "dask": True})[-1]
    assert event.get("ready"), event
    # Slurm's word for the step shows that it has the GPUs, and not only the job's variables.
    both = [("0", "0,1", "n3"), ("1", "0,1", "n3")]
    assert run(idle, DASK + GPUS) == f"{both} {both} {[{'GPU': 1}] * 2}\n"


BEFORE = {}


@pytest.fixture
def three(hub):
    """Alice's session with both runtimes on three nodes; the next test that wants one takes the same."""
    if not hub.servers("alice"):
        BEFORE[hub.cluster.system] = own_files(hub.cluster)
        event = hub.spawn("alice", options(hub.cluster, 3, "dask", "ipyparallel"))[-1]
        assert event.get("ready"), event
    return hub


def directory(hub):
    return Path("~alice").expanduser() / ".local/share/jupyterhub-hpc-spawner" / hub.state("alice")["name"]


KILL_WORKERS = """
pids = client.run(os.getpid)
for name in (min(by_name()), max(by_name())):
    before = by_name()
    begin = time.monotonic()
    os.kill(pids[before[name][0]], signal.SIGKILL)
    wait(lambda: by_name().get(name, before[name])[0] != before[name][0])
    print(name, time.monotonic() - begin)
    assert client.submit(lambda x: x + 1, 41, workers=[name]).result(10) == 42
    assert len(by_name()) == count
"""


def test_a_killed_worker_is_back_in_five_seconds_on_every_node(three):
    """From the signal to the scheduler's having its successor, for one worker beside the notebook and one elsewhere."""
    seconds = {name: float(took) for name, took in map(str.split, run(three, DASK + KILL_WORKERS).splitlines())}
    print(three.cluster.system, seconds)
    assert len(seconds) == 2 and max(seconds.values()) <= 5, seconds


SHARES = """
for name, (address, threads, memory) in sorted(by_name().items()):
    print(name, threads, memory)
print(facts("ipyparallel")["engines"], *sorted(rc[:].apply_sync(lambda: os.environ["OMP_NUM_THREADS"])))
"""


def test_both_runtimes_share_cores_and_memory(three):
    *workers, engines = (line.split() for line in run(three, DASK + ENGINES + "rc[:].execute('import os').get()\n"
                                                      + SHARES).splitlines())
    assert engines == ["3", "1", "1", "1"] and [threads for _, threads, _ in workers] == ["1"] * 3
    limits = [int(memory) for _, _, memory in workers]
    total = 1024 ** 3
    assert sorted(limits) == [int((total * 0.95 - total // 8) / 2), *[int(total * 0.95 / 2)] * 2]


HOG = """
from distributed import KilledWorker
client.run_on_scheduler(lambda dask_scheduler: setattr(dask_scheduler, "allowed_failures", 0))
before = by_name()
name = max(before)

def hog():
    data = [bytearray(b"x" * 2 ** 20) for _ in range(2000)]
    time.sleep(60)

begin = time.monotonic()
try:
    client.submit(hog, workers=[name]).result(60)
except KilledWorker:
    print("killed")
wait(lambda: len(by_name()) == count)
print("back", time.monotonic() - begin)
after = by_name()
print(sorted(worker for worker in after if after[worker] != before[worker]) == [name], session().parts[1].state)
print(client.submit(lambda x: x + 1, 41, workers=[name]).result(10))
"""


def test_a_task_that_eats_memory_costs_its_worker_and_no_more(three):
    killed, back, *rest = run(three, "import distributed.comm.core\n" + DASK + HOG).splitlines()[-4:]
    print(three.cluster.system, back)
    assert killed == "killed" and rest == ["True running", "42"]
    assert "MiB is too much of its" in "".join(path.read_text() for path in directory(three).glob("dask-workers.log*"))


KILL_SCHEDULER = """
address, notebook = client.scheduler.address, "lives"
begin = time.monotonic()
os.kill(client.run_on_scheduler(os.getpid), signal.SIGKILL)
wait(lambda: facts("dask")["state"] == "failed")
print("noticed", time.monotonic() - begin)
print(session())
client.close()
session().restart()
client = Client()
client.wait_for_workers(count, timeout=60)
print("back", time.monotonic() - begin, client.submit(lambda x: x + 1, 41).result())
print(client.scheduler.address == address, notebook, rc[:].apply_sync(lambda: 1), session().parts[1].error == "")
"""


def test_the_death_of_the_scheduler_is_told_and_a_restart_brings_dask_back(three):
    printed = run(three, ENGINES + DASK + KILL_SCHEDULER)
    for words in ("Dask, failed", "| the scheduler ended with status -9", "Client() does not connect.",
                  "session().restart() starts it again", "Dask starts again ... running after"):
        assert words in printed, printed
    times = [line for line in printed.splitlines() if line.startswith(("noticed ", "back "))]
    print(three.cluster.system, *times)
    assert times[1].endswith(" 42") and printed.splitlines()[-1] == "True lives [1, 1, 1] True"


KILL_CONTROLLER = """
import subprocess
pattern = os.path.dirname(os.environ["HPC_SESSION_FILE"]) + "/run.py ipcontroller"
for pid in subprocess.run(["pgrep", "-f", pattern], stdout=subprocess.PIPE).stdout.split():
    os.kill(int(pid), signal.SIGKILL)
begin = time.monotonic()
wait(lambda: facts("ipyparallel")["state"] == "failed")
print("noticed", time.monotonic() - begin)
print(session())
rc.close()
session().restart()
"""
RANKS = """
def rank():
    from mpi4py import MPI
    return MPI.COMM_WORLD.allreduce(1)
print("back", time.monotonic() - begin)
print(facts("ipyparallel")["mpi"], rc[:].apply_sync(rank) if facts("ipyparallel")["mpi"] else "",
      client.submit(lambda x: x + 1, 41).result())
"""


def test_the_death_of_the_controller_is_told_and_a_restart_brings_the_engines_back(three):
    printed = run(three, DASK + ENGINES + KILL_CONTROLLER + ENGINES + RANKS)
    assert "IPyParallel, failed" in printed and "| ipcontroller ended" in printed, printed
    print(three.cluster.system, *(line for line in printed.splitlines() if line.startswith(("noticed ", "back "))))
    mpi = three.cluster.mpi
    assert printed.splitlines()[-1] == f"{mpi} {[3, 3, 3] if mpi else ''} 42", printed


ADDRESSES = """
print(client.scheduler.address, *client.scheduler_info(n_workers=-1)["workers"])
print(os.environ["JUPYTERHUB_HPC_DASHBOARD"], socket.gethostname())
"""
ASK = """
import asyncio, sys
from distributed import Security
from distributed.core import connect

async def ask(address):
    comm = await connect(address, timeout=5, **Security().get_connection_args("client"))
    await comm.write({"op": "identity", "reply": True})
    return await comm.read()

for address in sys.argv[1:]:
    try:
        print(asyncio.run(ask(address))["type"])
    except Exception as error:
        print("refused", type(error).__name__)
"""
OPEN = """
import socket, sys
with socket.socket(socket.AF_UNIX) as dashboard:
    try:
        dashboard.connect(sys.argv[1])
        print("connected")
    except OSError as error:
        print(type(error).__name__)
"""
# What the server itself answers, of each path the status and where it sends to, or the beginning of what it gives.
ASK_SERVER = """
import sys, urllib.error, urllib.request
class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments):
        return None
server, token, *paths = sys.argv[1:]
opener = urllib.request.build_opener(Stay, urllib.request.ProxyHandler({}))
for path in paths:
    ask = urllib.request.Request(server + path, headers={"Authorization": "token " + token} if token else {})
    try:
        print(200, opener.open(ask, timeout=20).read()[:60])
    except urllib.error.HTTPError as error:
        print(error.code, error.headers["Location"])
"""
PATHS = ("api/contents", "api/kernels", "api/terminals", "lab", "files/.bashrc", "dask-dashboard/status")


def test_another_user_of_the_same_node_is_refused_everywhere(three):
    """Scheduler and workers, asked with a certificate of bob's own; the dashboard's socket; all files; the server."""
    addresses, last = run(three, DASK + ADDRESSES).splitlines()[-2:]
    dashboard, node = last.split()
    own = Path("~bob").expanduser() / "tls"
    own.mkdir()
    (own / "tls.pem").write_text(tls_pem())
    shutil.chown(own / "tls.pem", "bob")
    try:
        assert ask(three, "alice", directory(three), addresses, node) == ["Scheduler", *["NodeWorker"] * 3]
        answers = ask(three, "bob", own, addresses, node)
        assert len(answers) == 4 and all(answer.startswith("refused") for answer in answers), answers
    finally:
        shutil.rmtree(own)
    python = three.bin_dir / "python"
    assert three.cluster.run("alice", python, "-c", OPEN, dashboard, node=node).stdout == "connected\n"
    assert three.cluster.run("bob", python, "-c", OPEN, dashboard, node=node).stdout == "PermissionError\n"
    for command in (["ls", directory(three)], ["cat", directory(three) / "tls.pem"], ["ls", Path(dashboard).parent],
                    ["ls", directory(three) / "node"]):
        assert three.cluster.run("alice", *command, node=node).returncode == 0
        assert "Permission denied" in three.cluster.run("bob", *command, node=node).stderr, command
    request = directory(three) / "restart-dask"
    assert "Permission denied" in three.cluster.run("bob", "touch", request, node=node).stderr
    assert ask_server(three, "alice", three.user_token("alice"), node)[0].startswith("200 b'{\"name\"")
    for token in ("", three.user_token("bob")):
        answers = ask_server(three, "bob", token, node)
        assert len(answers) == len(PATHS), answers
        assert all(re.match("403 |302 .*(/hub/api/oauth2/authorize|/hub/login)", answer) for answer in answers), answers


def ask_server(hub, user, token, node):
    state = hub.state("alice")
    server = f"http://{state['address']}:{state['port']}/user/alice/"
    return hub.cluster.run(user, hub.bin_dir / "python", "-c", ASK_SERVER, server, token, *PATHS,
                           node=node).stdout.splitlines()


def ask(hub, user, keys, addresses, node):
    env = [f"{name}={value}" for name, value in Dask().environment(str(keys)).items()]
    return hub.cluster.run(user, "env", *env, hub.bin_dir / "python", "-c", ASK, *addresses.split(),
                           node=node).stdout.splitlines()


def test_stop_after_all_that_leaves_nothing_on_any_node(three):
    stop(three, BEFORE[three.cluster.system])
