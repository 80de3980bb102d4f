"""``%ipcluster`` in real kernels of a real session: a cluster in a job of its own, from start to stop."""
import re

import pytest
from support.kernel import run_code
from support.running_hub import wait_for

ONLY = ("newest",)

START = """
%ipcluster start -n 2
print(rc.ids)
def ranks():
    from mpi4py import MPI
    return MPI.COMM_WORLD.rank, MPI.COMM_WORLD.allreduce(1)
print(rc[:].apply_sync(ranks))
%ipcluster status
"""
FILES = """
import os, stat
from jupyterhub_hpc_spawner.notebook import jobs
job, = [job for job in jobs.jobs() if job["state"] == "running"]
path = job["directory"] + "/ipp/security/ipcontroller-client.json"
print(oct(stat.S_IMODE(os.stat(path).st_mode)), oct(stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode)))
print(open(job["directory"] + "/job.log").read())
"""
STOP = """
import time
from jupyterhub_hpc_spawner.notebook import jobs
%ipcluster stop
deadline = time.monotonic() + 60
while [job["state"] for job in jobs.jobs()] != ["finished"] and time.monotonic() < deadline:
    time.sleep(0.2)
%ipcluster status
"""


@pytest.fixture
def run(hub, environment):
    """Run code in a kernel of a session; without Dask or IPyParallel of its own."""
    if not list(environment.glob("lib/python*/site-packages/ipyparallel")):
        pytest.skip("this environment has no ipyparallel")
    if not hub.servers(hub.user):
        assert hub.spawn(hub.user, {})[-1].get("ready")
    return lambda code: run_code(hub.server_url, hub.user_token(hub.user), code)


def test_start_gives_a_connected_client_of_a_cluster_in_its_own_job(hub, run):
    printed = run(START)
    job = hub.state(hub.user)["extra"][0]["job_id"]
    assert f"Job {job} is submitted." in printed and "rc has 2 engines: rc = ipp.Client(" in printed
    assert "[0, 1]\n[(0, 2), (1, 2)]\n" in printed
    assert re.search(rf"^{job} +running +2 engines on 1 nodes, ipp.Client", printed, re.MULTILINE)
    assert run(FILES).startswith("0o600 0o700\n")


def test_stop_ends_it_and_leaves_nothing(hub, run):
    if not hub.state(hub.user)["extra"]:
        run("%ipcluster start -n 1")
    printed = run(STOP)
    assert re.search(r"^Job \d+ is ended\.\n\d+ +finished", printed)
    wait_for(lambda: not hub.state(hub.user)["extra"], 20, lambda: "it still counts")
    hub.end_session()
    hub.assert_nothing_left()


@pytest.mark.parametrize(("line", "words"), [
    ("start -n 3 --nodes 2", "3 engines are not the same number on each of 2 nodes"),
    ("start -n many", "invalid int value: 'many'\n%ipcluster start"),
    ("begin", "invalid choice: 'begin'"),
    ("start --queue nowhere", "queue: cannot be chosen on this cluster"),
    ("stop 4711", "there is no cluster 4711"),
])
def test_a_wrong_line_is_said_in_words_and_ends_the_cell(run, line, words):
    printed = run(f"%ipcluster {line}\nprint('went', 'on')")
    assert printed.startswith("UsageError: ") and words in printed
    assert "Traceback" not in printed and "went on" not in printed


def test_a_cluster_that_cannot_start_says_why_and_leaves_nothing(hub, run):
    package = hub.home / "no-ipyparallel" / "ipyparallel"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").write_text("raise ImportError('broken on purpose')\n")
    (hub.home / ".jupyterhub.env").write_text(f"export PYTHONPATH={package.parent}\n")
    try:
        printed = run("%ipcluster start -n 1")
    finally:
        (hub.home / ".jupyterhub.env").unlink()
    assert re.search("UsageError: job [0-9]+ gives no cluster", printed) and "broken on purpose" in printed
    wait_for(lambda: not hub.state(hub.user)["extra"], 20, lambda: "it still counts")


def test_the_magic_of_somebody_else_is_kept(run):
    printed = run("""
def ipcluster(line):
    print("mine", line)
get_ipython().register_magic_function(ipcluster, "line")
%load_ext jupyterhub_hpc_spawner.notebook.magics
%ipcluster start
""")
    assert printed.splitlines() == ["There is a %ipcluster already, of __main__: it is kept.", "mine start"]
