"""Runtimes that die in a session: the notebook lives, reads why, and starts them again at the same address."""
import pytest
from support.kernel import run_code
from support.running_hub import request

ONLY = ("newest",)

# One kernel does it all. Print what is to be seen, last the answer of the new one.
WAIT = """
import json, os, signal, time
from jupyterhub_hpc_spawner.notebook import session
def facts(name):
    return json.load(open(os.environ["HPC_SESSION_FILE"]))["runtimes"][name]
def wait(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, facts(NAME)
        time.sleep(0.05)
"""
DASK = """
NAME = "dask"
from dask.distributed import Client
client = Client()
client.wait_for_workers(2, timeout=60)
def pids():
    return sorted(client.run(os.getpid).values())
before = client.scheduler.address, pids()
"""
KILL_SCHEDULER = 'os.kill(client.run_on_scheduler(os.getpid), signal.SIGKILL)\n'
KILL_WORKERS = """
import subprocess
ours = os.path.dirname(os.environ["HPC_SESSION_FILE"]) + "/run.py dask-"
for kind in ("worker", "keeper"):
    for line in subprocess.run(["pgrep", "-f", ours + kind], stdout=subprocess.PIPE).stdout.split():
        try:
            os.kill(int(line), signal.SIGKILL)
        except ProcessLookupError:
            pass
"""
FAILED = """
wait(lambda: facts(NAME)["state"] == "failed")
print(session())
"""
RESTART_DASK = """
client.close()
session().restart()
client = Client()
client.wait_for_workers(2, timeout=60)
print("again", client.submit(lambda x: x + 1, 41).result(), client.scheduler.address == before[0],
      not set(pids()) & set(before[1]), facts(NAME).get("error"))
"""
CONTROLLER = """
NAME = "ipyparallel"
import subprocess
import ipyparallel as ipp
wait(lambda: facts(NAME)["state"] == "running")
client = ipp.Client(os.environ["IPP_CLIENT_FILE"])
client.wait_for_engines(2, timeout=60, interactive=False)
pattern = os.path.dirname(os.environ["HPC_SESSION_FILE"]) + "/run.py ipcontroller"
for pid in subprocess.run(["pgrep", "-f", pattern], stdout=subprocess.PIPE).stdout.split():
    os.kill(int(pid), signal.SIGKILL)
"""
RESTART_ENGINES = """
client.close()
session().restart()
client = ipp.Client(os.environ["IPP_CLIENT_FILE"])
client.wait_for_engines(2, timeout=60, interactive=False)
print("again", client.ids, client[:].apply_sync(lambda: 42), facts(NAME).get("error"))
"""


@pytest.mark.parametrize(("kill", "reason", "lost"), [
    (KILL_SCHEDULER, "the scheduler ended with status -9", "Client() does not connect."),
    (KILL_WORKERS, "the workers ended with status", "Client() connects, but workers are missing."),
], ids=["scheduler", "all workers"])
def test_dask_is_brought_back_at_its_address(session, kill, reason, lost):
    token = session.user_token(session.user)
    printed = run_code(session.server_url, token, WAIT + DASK + kill + FAILED + RESTART_DASK)
    assert f"| {reason}" in printed and lost in printed and "session().restart() starts it again" in printed
    assert "Dask starts again ... running after" in printed
    assert printed.splitlines()[-1] == "again 42 True True None"
    assert request("GET", f"{session.server_url}dask-dashboard/status", token=token).status == 200


def test_a_client_of_a_dead_scheduler_gets_an_error_and_the_kernel_lives(session):
    code = WAIT + DASK + KILL_SCHEDULER + """
try:
    client.submit(lambda: 1).result(timeout=15)
except Exception as error:
    print("met", type(error).__name__)
client.close()
session().restart("dask")
print(session().parts[1].state)
"""
    printed = run_code(session.server_url, session.user_token(session.user), code).splitlines()
    assert [line for line in printed if line.startswith("met ")] and printed[-1] == "running", printed


def test_stop_after_restarts_leaves_nothing(session):
    session.stop_server(session.user)
    session.assert_nothing_left()


def test_ipyparallel_is_brought_back_with_the_same_client_file(idle, environment):
    if not list(environment.glob("lib/python*/site-packages/ipyparallel")):
        pytest.skip("this environment has no ipyparallel")
    assert idle.spawn(idle.user, {"ipyparallel": True, "ipyparallel_engines_per_node": 2})[-1].get("ready")
    printed = run_code(idle.server_url, idle.user_token(idle.user), WAIT + CONTROLLER + FAILED + RESTART_ENGINES)
    assert "| ipcontroller ended" in printed and "Clients do not connect." in printed
    assert printed.splitlines()[-1] == "again [0, 1] [42, 42] None"
    idle.stop_server(idle.user)
    idle.assert_nothing_left()
