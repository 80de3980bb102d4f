"""jupyterhub-idle-culler ends idle sessions and gives their nodes back; what computes is not idle."""
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.kernel import Kernel
from support.running_hub import wait_for

ONLY = ("newest",)
TIMEOUT = 5
CONFIG = f"""
c.HPCSpawner.environment = {{"JUPYTERHUB_ACTIVITY_INTERVAL": "1"}}
c.JupyterHub.services.append({{"name": "culler", "api_token": "{'c' * 32}"}})
c.JupyterHub.load_roles.append({{"name": "culler", "services": ["culler"], "scopes": [
    "list:users", "read:users:activity", "read:servers", "delete:servers"]}})
"""
# Nobody waits for the answers: but for one, the kernels are idle.
WORK = """
def wait():
    import os, time
    while not os.path.exists("{end}"):
        time.sleep(0.1)
    os.rename("{end}", "{end}ed")
"""
BY_DASK = WORK + """
from dask.distributed import Client
future = Client().submit(wait)
"""
BY_ENGINES = WORK + """
import os, time
import ipyparallel as ipp
while not os.path.exists(os.environ["IPP_CLIENT_FILE"]):
    time.sleep(0.1)
client = ipp.Client(os.environ["IPP_CLIENT_FILE"])
client.wait_for_engines(1, timeout=60, interactive=False)
answer = client.load_balanced_view().apply_async(wait)
"""
# Nor is anything printed.
BY_CELL = WORK + "wait()"
DASK = {"dask": True, "dask_workers_per_node": 1}
ENGINES = {"ipyparallel": True, "ipyparallel_engines_per_node": 1}
SESSIONS = {"": (DASK, BY_DASK), "engines": (ENGINES, BY_ENGINES), "cell": ({}, BY_CELL),
            "idle": (DASK, "")}


@pytest.fixture
def begin_culling(hub_with, environment):
    """The Hub and a function that starts the culler, as a program of its own, once the sessions are what they are to
    be."""
    hub = hub_with(CONFIG)
    programs = []

    def begin():
        programs.append(subprocess.Popen(
            [environment / "bin/python", "-m", "jupyterhub_idle_culler", f"--url={hub.url}/hub/api",
             f"--timeout={TIMEOUT}", "--cull-every=1"], env={**os.environ, "JUPYTERHUB_API_TOKEN": "c" * 32}))
    yield hub, begin
    for program in programs:
        program.terminate()
        program.wait(20)


@pytest.fixture
def kernels():
    with ThreadPoolExecutor() as pool:
        yield pool


def running(hub):
    return {name for name, server in hub.servers(hub.user).items() if server["ready"]}


def test_what_computes_is_kept_and_what_is_idle_goes_and_only_that(begin_culling, tmp_path, kernels):
    hub, begin = begin_culling
    token = hub.user_token(hub.user)
    begun = {}
    ends = {name: tmp_path / f"{name}-end" for name, (_, code) in SESSIONS.items() if code}
    for name, (options, code) in SESSIONS.items():
        assert hub.spawn(hub.user, options, name)[-1].get("ready")
        if code:
            kernel = Kernel(f"{hub.server_url}{name and name + '/'}", token)
            begun[name] = kernels.submit(kernel.run, code.format(end=ends[name]))
    begun["engines"].result()
    begin()
    wait_for(lambda: running(hub) == set(ends), 60, lambda: f"running: {running(hub)}", pause=0.3)
    # Nothing happens, and that for longer than any idle session lives.
    enough = time.monotonic() + 2 * TIMEOUT
    wait_for(lambda: running(hub) != set(ends) or time.monotonic() > enough, 60, str, pause=0.5)
    assert running(hub) == set(ends)
    for end in ends.values():
        end.touch()
    wait_for(lambda: not hub.servers(hub.user), 60, lambda: f"running: {running(hub)}", pause=0.3)
    assert sorted(path.name for path in tmp_path.glob("*-ended")) == ["-ended", "cell-ended", "engines-ended"]
    hub.assert_nothing_left()


def test_the_engines_of_an_extra_job_work_for_its_session(hub_with, tmp_path):
    hub = hub_with(CONFIG)
    assert hub.spawn(hub.user, {})[-1].get("ready")
    code = "%ipcluster start -n 1\n" + WORK.format(end=tmp_path / "end") + "answer = rc[:].apply_async(wait)"
    Kernel(hub.server_url, hub.user_token(hub.user)).run(code)
    busy = hub.home / "sessions" / hub.state(hub.user)["name"] / "busy"
    for _ in range(5):  # once it could still be from the kernel, which is idle now
        busy.unlink(missing_ok=True)
        wait_for(busy.exists, 60, lambda: "the session is idle")
    (tmp_path / "end").touch()
    wait_for((tmp_path / "ended").exists, 60, lambda: "the task does not end")
