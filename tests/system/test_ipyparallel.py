"""IPyParallel on a real cluster: engines on two nodes, ranks of one MPI program, closed to everybody else."""
import json
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from support.kernel import run_code
from support.running_hub import wait_for

ONLY = ("slurm",)
CONNECT = """
import os, socket
import ipyparallel as ipp
client = ipp.Client(os.environ["IPP_CLIENT_FILE"])
client.wait_for_engines(4, timeout=60, interactive=False)
"""
RANKS = """
def rank():
    import os, socket
    from mpi4py import MPI
    world = MPI.COMM_WORLD
    return world.rank, socket.gethostname(), world.allreduce(10 ** world.rank), os.environ["OMP_NUM_THREADS"]
print(client.ids)
for line in client[:].apply_sync(rank):
    print(*line)
"""
DASK = """
from dask.distributed import Client
dask = Client()
dask.wait_for_workers(2, timeout=60)
print(sorted(set(dask.run(socket.gethostname).values())))
print(sorted(set(client[:].apply_sync(socket.gethostname))))
"""
INTERRUPT = """
import time
def loop():
    while True:
        pass
result = client[:].apply_async(loop)
time.sleep(1)
client.send_signal("SIGINT").result(10)
try:
    print("returned", result.get(10))
except Exception as error:
    print(type(error).__name__, "KeyboardInterrupt" in str(error))
print(client[:].apply_sync(lambda: 1))
"""
# A client that was refused may hang in the end of its Python.
# Its own limit of time bounds the wait for an answer only; a client may also hang while it gives up.
CONNECTS = """
import os, signal, sys
import ipyparallel as ipp
def give_up(*ignored):
    raise TimeoutError
signal.signal(signal.SIGALRM, give_up)
signal.alarm(40)
try:
    ipp.Client(sys.argv[1], timeout=float(sys.argv[2]))
except Exception as error:
    print("refused", type(error).__name__, flush=True)
else:
    print("connected", flush=True)
os._exit(0)
"""
# What a ZeroMQ socket announces: bytes 12 to 31 of its greeting (ZMTP 3.1).
MECHANISMS = """
import socket, sys
for address in sys.argv[1:]:
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), 5) as connection:
        connection.settimeout(0.5)
        greeting = b""
        try:
            connection.sendall(b"\\xff" + bytes(7) + b"\\x01\\x7f\\x03\\x01")
            while len(greeting) < 64 and (more := connection.recv(64)):
                greeting += more
        except OSError:
            pass
        if greeting[:1] == b"\\xff":
            print(address, greeting[12:32].rstrip(b"\\0").decode())
"""
OPTIONS = {"nodes": 2, "cores": 2, "account": "geo", "ipyparallel": True, "ipyparallel_engines_per_node": 2}


@pytest.fixture
def session(hub):
    """Bob's session with Dask and IPyParallel on two nodes; the next test that wants one takes the same."""
    if not hub.servers("bob"):
        start(hub, {**OPTIONS, "dask": True, "dask_workers_per_node": 1})
    return hub


def start(hub, options):
    events = hub.spawn("bob", options)
    assert events[-1].get("ready"), events
    wait_for(lambda: facts(hub)["state"] != "starting", 60, lambda: f"it stays {facts(hub)}")


def directory(hub):
    return Path("~bob").expanduser() / ".local/share/jupyterhub-hpc-spawner" / hub.state("bob")["name"]


def facts(hub):
    return json.loads((directory(hub) / "session.json").read_text())["runtimes"]["ipyparallel"]


def run(hub, code):
    return run_code(hub.server_url("bob"), hub.user_token("bob"), CONNECT + code).splitlines()


def test_engines_on_both_nodes_are_the_ranks_of_one_mpi_program(session):
    ids, *lines = run(session, RANKS)
    assert ids == "[0, 1, 2, 3]"
    ranks, hosts, sums, threads = zip(*(line.split() for line in lines))
    assert ranks == ("0", "1", "2", "3") and set(sums) == {"1111"} and set(threads) == {"1"}
    assert hosts[0] == hosts[1] != hosts[2] == hosts[3]
    assert facts(session) == {"state": "running", "engines": 4, "mpi": True,
                              "client_file": f"{directory(session)}/ipp/security/ipcontroller-client.json"}


def test_dask_and_ipyparallel_work_side_by_side(session):
    dask, engines = run(session, DASK)
    assert dask == engines and engines.count("n") == 2


def test_engines_can_be_interrupted(session):
    assert run(session, INTERRUPT) == ["CompositeError True", "[1, 1, 1, 1]"]


def test_the_connection_files_are_the_users_alone(session):
    security = directory(session) / "ipp" / "security"
    files = sorted(security.iterdir())
    assert [file.name for file in files] == ["ipcontroller-client.json", "ipcontroller-engine.json"]
    assert [path.stat().st_mode & 0o777 for path in (security, security.parent, *files)] == [0o700] * 2 + [0o600] * 2
    for node in (None, "n1", "n3"):
        assert session.cluster.run("alice", "cat", files[0], node=node).returncode != 0


@pytest.mark.parametrize("serverkey", ["", "wrong"])
def test_without_the_key_a_client_is_refused(session, serverkey):
    """What another user could find out: everything of the connection file but the server's key."""
    info = json.loads((directory(session) / "ipp" / "security" / "ipcontroller-client.json").read_text())
    other = (info["curve_serverkey"] or "").swapcase() if serverkey else ""
    stolen = Path("~alice").expanduser() / "stolen.json"
    stolen.write_text(json.dumps({**info, "curve_serverkey": other}))
    try:
        for node in (None, "n1", "n3"):
            done = session.cluster.run("alice", session.bin_dir / "python", "-c", CONNECTS, stolen, "2", node=node)
            # TimeoutError, or ZMQError where the other key is none at all
            assert done.stdout.startswith("refused "), (node, done.stdout, done.stderr)
        stolen.write_text(json.dumps(info))
        done = session.cluster.run("alice", session.bin_dir / "python", "-c", CONNECTS, stolen, "20", node="n3")
        assert done.stdout.strip() == "connected", "it is the key that decides"
    finally:
        stolen.unlink()


def test_every_zeromq_port_of_controller_and_engines_speaks_curve(session):
    """Also on loopback, which is open to everybody on a shared node; the other ports are MPI's own."""
    facts = json.loads((directory(session) / "session.json").read_text())
    first, second = (mechanisms(session, node) for node in facts["nodes"])
    assert len(first) > 10 and len(second) >= 2
    assert {*first.values(), *second.values()} == {"CURVE"}
    hosts = {address.rsplit(":", 1)[0] for address in first}
    assert hosts == {facts["server"]["address"], "127.0.0.1"}


def mechanisms(hub, node):
    """What each ZeroMQ port of bob's controller, engines and nannies there announces to alice, by address."""
    ps = subprocess.run(["ps", "-ww", "-u", "bob", "-o", "pid=,args="], capture_output=True, text=True).stdout
    pids = [line.split()[0] for line in ps.splitlines()
            if re.search(r"python3 \S+run\.py ip(controller|engines)|ipyparallel\.engine|multiprocessing", line)]
    listeners = hub.cluster.run("bob", "ss", "-ltnpH", node=node).stdout.splitlines()
    addresses = [line.split()[3] for line in listeners if any(f"pid={pid}," in line for pid in pids)]
    done = hub.cluster.run("alice", hub.bin_dir / "python", "-c", MECHANISMS, *addresses, node=node)
    return dict(line.split() for line in done.stdout.splitlines())


def test_the_job_shows_no_key_to_anybody(session):
    info = json.loads((directory(session) / "ipp" / "security" / "ipcontroller-client.json").read_text())
    job = session.state("bob")["job_id"]
    seen = session.cluster.run("alice", "scontrol", "show", "job", "-dd", job).stdout
    seen += session.cluster.run("alice", "scontrol", "show", "step", job).stdout
    seen += session.cluster.run("alice", "sacct", "-P", "-j", job, "-o", "ALL").stdout
    seen += session.cluster.run("alice", "ps", "-ef", "www").stdout + session.log.read_text()
    assert job in seen and info["curve_serverkey"] not in seen


def test_stop_leaves_no_job_no_directory_no_process(session):
    session.stop_server("bob")
    session.assert_nothing_left("bob")


def test_engines_left_open_are_one_for_each_core(idle):
    start(idle, {**OPTIONS, "ipyparallel_engines_per_node": None, "cores": 1})
    assert facts(idle)["engines"] == 2 and facts(idle)["mpi"] is True


def test_engines_start_on_both_nodes_where_mpi_cannot(idle):
    """An environment whose MPI is broken: engines without MPI, and the reason in the session file."""
    home = Path("~bob").expanduser()
    package = home / "broken" / "mpi4py"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").write_text("raise ImportError('broken on purpose')\n")
    (home / ".jupyterhub.env").write_text(f"export PYTHONPATH={package.parent}\n")
    try:
        start(idle, OPTIONS)
        assert facts(idle)["mpi"] is False and "broken on purpose" in facts(idle)["mpi_error"]
        ids, hosts = run(idle, "print(client.ids); print(*client[:].apply_sync(socket.gethostname))")
        assert ids == "[0, 1, 2, 3]" and sorted(Counter(hosts.split()).values()) == [2, 2]
    finally:
        shutil.rmtree(package.parent)
