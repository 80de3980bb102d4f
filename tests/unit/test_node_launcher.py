"""What the launcher tells notebooks: the session file, their start, the dashboard in the sidebar."""
import asyncio
import json
import os
import shutil
import time
from types import SimpleNamespace

import pytest
from jupyterhub_hpc_spawner.node import dask
from jupyterhub_hpc_spawner.node.launcher import Launcher
from jupyterhub_hpc_spawner.node.processes import Child

PLAN = {"session": "jupyter-abc", "secret": "s", "walltime": 3600, "job": {"account": None, "queue": "short"}}
DASK = {"name": "dask", "remote_run": [], "workers_per_node": 2, "threads_per_worker": 1, "ipyparallel": None}


@pytest.fixture
def launcher(tmp_path, monkeypatch):
    """Make one in this environment."""
    monkeypatch.setattr(os, "environ", dict(os.environ, JUPYTERHUB_API_URL="http://127.0.0.1:1/hub/api",
                                            JUPYTERHUB_API_TOKEN="t", JUPYTERHUB_SERVICE_PREFIX="/user/alice/"))
    for name in ("PYTHONSTARTUP", "JUPYTER_CONFIG_PATH", "SLURM_JOB_START_TIME", "SLURM_JOB_END_TIME"):
        os.environ.pop(name, None)

    def launcher(**env):
        os.environ.update(env)
        return Launcher(str(tmp_path), PLAN)
    return launcher


@pytest.mark.parametrize("env, account, queue", [
    ({}, None, "short"),
    ({"SLURM_JOB_ACCOUNT": "geo", "SLURM_JOB_PARTITION": "normal"}, "geo", "normal"),
    ({"PBS_QUEUE": "workq", "PBS_ACCOUNT": ""}, None, "workq"),
])
def test_the_session_file_says_what_the_job_got_and_not_only_what_was_asked_for(launcher, env, account, queue):
    facts = launcher(**env).session_file.data
    assert (facts["account"], facts["queue"]) == (account, queue)


@pytest.mark.parametrize(("start", "end", "seconds"), [
    (None, None, 3600),
    (36000, 37800, 1800),  # the batch system's clock is ten hours ahead, and the job has what its queue gives
    (None, 1800, 1800),
])
def test_the_end_is_by_the_nodes_own_clock(launcher, start, end, seconds):
    times = {"START": start, "END": end}
    env = {f"SLURM_JOB_{name}_TIME": str(int(time.time()) + ahead) for name, ahead in times.items() if ahead}
    assert 0 <= time.time() + seconds - launcher(**env).session_file.data["ends"] < 60


@pytest.mark.parametrize(("left", "why"), [
    (3000, "the batch system told it to end"), (30, "it reached its walltime of 1:00 h"), (-5, "walltime of 1:00 h"),
])
def test_a_signal_near_the_end_is_that_of_the_walltime(launcher, left, why):
    found = launcher()
    found.session_file.data["ends"] = time.time() + left
    assert found._why_told().endswith(why)


@pytest.mark.parametrize("own", [None, "/home/alice/mine.py"])
def test_interactive_pythons_start_with_the_sessions_file_and_the_users_own(launcher, tmp_path, own):
    launcher(**({"PYTHONSTARTUP": own} if own else {}))._tell_notebooks()
    assert os.environ["PYTHONSTARTUP"] == str(tmp_path / "startup.py")
    assert os.environ["HPC_SESSION_FILE"] == str(tmp_path / "session.json")
    assert os.environ.get("HPC_USER_PYTHONSTARTUP") == own


async def test_a_node_that_lost_its_workers_is_named(launcher):
    found = launcher(HPC_JOB_NODES="n1 n2")
    runtime = dask.Runtime(found, DASK)
    shutil.rmtree(runtime.private)
    found.session_file.begin("dask", {})
    runtime.scheduler = SimpleNamespace(returncode=None)
    children = [await Child.start("n1", ["sleep", "60"]), await Child.start("n2", ["false"])]
    runtime.workers = SimpleNamespace(children=children, log="/s/dask-workers.log")
    watching = [asyncio.ensure_future(task) for task in map(runtime._watch_node, *runtime._by_node())]
    try:
        await asyncio.wait_for(watching[1], 10)
        assert found.session_file.data["runtimes"]["dask"]["notes"] == {
            "n2": "its workers ended with status 1; the reason may be in /s/dask-workers.log"}
        runtime._note("n1", "slow")
        assert sorted(found.session_file.data["runtimes"]["dask"]["notes"]) == ["n1", "n2"]
    finally:
        watching[0].cancel()
        await children[0].end(0)


def test_dask_says_how_many_workers_there_will_be_and_where_its_dashboard_is(launcher, tmp_path):
    found = launcher(HPC_JOB_NODES="n1 n2 n3")
    runtime = dask.Runtime(found, DASK)
    try:
        env = runtime.prepare()
        facts = runtime.facts
        assert (facts["workers"], facts["dashboard"]) == (6, "/user/alice/dask-dashboard/status")
        settings = json.loads((tmp_path / "jupyter/labconfig/default_setting_overrides.json").read_text())
        assert settings["dask-labextension:plugin"]["defaultURL"] == "dask-dashboard"
        assert env["JUPYTER_CONFIG_PATH"] == str(tmp_path / "jupyter")
    finally:
        runtime.held.close()
        shutil.rmtree(runtime.private)
