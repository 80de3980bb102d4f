"""``session()`` in real kernels of a real session, also in an environment that does not have this package."""
import json
import re
import subprocess

import pytest
from support.kernel import run_code
from support.own_environment import make_kernel
from support.running_hub import wait_for

# What the job does does not depend on the Hub's version.
ONLY = ("newest",)

SHOW = """
from jupyterhub_hpc_spawner.notebook import session
print(session())
print(session()._repr_html_())
"""
WHERE = """
import importlib.metadata, sys
import jupyterhub_hpc_spawner.notebook as found
try:
    print(importlib.metadata.version("jupyterhub-hpc-spawner"))
except importlib.metadata.PackageNotFoundError:
    print("not installed")
print(found.__file__)
"""
PATHS = """
import json, os, sys
from dask.distributed import Client
client = Client()
client.wait_for_workers(1, timeout=80)
def paths():
    import os, sys
    return sys.path, os.environ.get("PYTHONPATH")
print(json.dumps([paths(), list(client.run(paths).values())[0], mine, os.environ.get("IPYTHONDIR")]))
"""


@pytest.fixture
def dask(session):
    """A session whose Dask runs; (URL, token)."""
    wait_for(lambda: facts(session)["runtimes"]["dask"]["state"] == "running", 60, lambda: f"it stays {facts(session)}")
    return session.server_url, session.user_token(session.user)


@pytest.fixture(scope="module")
def own(hub, environment, tmp_path_factory):
    """The name of a kernel in the user's own environment."""
    make_kernel("own", tmp_path_factory.mktemp("own") / "venv", environment, hub.home, [("msgpack", "0.1")])
    return "own"


def directory(hub):
    return hub.home / "sessions" / hub.state(hub.user)["name"]


def facts(hub):
    return json.loads((directory(hub) / "session.json").read_text())


def test_the_card_tells_what_runs(session, dask):
    text = run_code(*dask, SHOW)
    job = session.state(session.user)["job_id"]
    assert text.startswith(f"Session of job {job}, running\n  Nodes       1: ")
    assert re.search(r"Address +tls://[\d.]+:\d+\n +Workers +(\d of 2|2 expected)\n", text)
    assert f"Dashboard   /user/{session.user}/dask-dashboard/status\n" in text
    assert f'href="/user/{session.user}/dask-dashboard/status"' in text
    assert "not that of the Dask workers" not in text


def test_an_environment_without_the_package_has_the_sessions_code(session, dask, own):
    version, where = run_code(*dask, WHERE, kernel=own).split("\n")[:2]
    staged = directory(session) / "python/jupyterhub_hpc_spawner/notebook/__init__.py"
    assert (version, where) == ("not installed", str(staged))
    text = run_code(*dask, SHOW, kernel=own)
    assert "Session of job" in text and re.search("Workers     ([0-9] of 2|2 expected)", text)


def test_an_environment_with_the_package_has_its_own(session, dask):
    version, where = run_code(*dask, WHERE).split("\n")[:2]
    assert version != "not installed" and str(directory(session)) not in where


def test_other_versions_in_the_kernel_are_said(dask, own):
    note = re.search(r"\* This kernel's software is not that of the Dask workers: (.*)\. Results",
                     run_code(*dask, SHOW, kernel=own))
    assert re.fullmatch(r"msgpack 0\.1 here, [\d.]+ there", note[1])


def test_the_users_own_startup_and_paths_are_kept(idle, environment):
    (idle.home / "mine.py").write_text("mine = 'my startup'\n")
    (idle.home / "packages").mkdir(exist_ok=True)
    (idle.home / ".jupyterhub.env").write_text(
        "export PYTHONSTARTUP=~/mine.py PYTHONPATH=~/packages IPYTHONDIR=~/my-ipython\n")
    assert idle.spawn(idle.user, {"dask": True, "dask_workers_per_node": 1})[-1].get("ready")
    own = f"{idle.home}/packages"
    kernel, worker, mine, ipython = json.loads(run_code(idle.server_url, idle.user_token(idle.user), PATHS))
    assert kernel[1] == worker[1] == own and own in kernel[0] and own in worker[0]
    assert (mine, ipython) == ("my startup", f"{idle.home}/my-ipython")
    assert not [path for path in worker[0] if "/sessions/" in path]


def test_a_runtime_that_failed_is_in_the_card_with_what_to_do(idle):
    broken = "export DASK_DISTRIBUTED__COMM__TLS__SCHEDULER__CERT=/nonexistent.pem\n"
    (idle.home / ".jupyterhub.env").write_text(broken)
    assert idle.spawn(idle.user, {"dask": True})[-1].get("ready")
    wait_for(lambda: facts(idle)["runtimes"]["dask"]["state"] == "failed", 60, lambda: f"it stays {facts(idle)}")
    text = run_code(idle.server_url, idle.user_token(idle.user), SHOW)
    assert "Dask, failed" in text and "| FileNotFoundError: " in text and "* Client() does not connect." in text
    assert f"The logs are in {directory(idle)} " in text


def test_a_console_in_a_terminal_has_it_too(session, dask, environment):
    """An interactive Python that has nothing but the session's variables."""
    env = {"HPC_SESSION_FILE": str(directory(session) / "session.json"),
           "PYTHONSTARTUP": str(directory(session) / "startup.py")}
    done = subprocess.run([environment / "bin/python", "-S", "-i", "-q"], input=SHOW, env=env, capture_output=True,
                          text=True, timeout=30)
    assert done.stdout.startswith("Session of job ")
