"""The launcher: what it tells notebooks, and how a session ends whatever fails in it."""
import asyncio
import json
import os
import shutil
import time
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
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


SERVER = """#!/usr/bin/env python3
import os, sys
from http.server import HTTPServer, SimpleHTTPRequestHandler
from urllib.parse import urlsplit
open("server-started", "w").close()
if "--broken" in sys.argv:
    sys.exit(3)
if "--not-at-first" in sys.argv and not os.path.exists("gave-up"):
    open("gave-up", "w").close()
    sys.exit(1)
url = urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
HTTPServer((url.hostname, url.port), SimpleHTTPRequestHandler).serve_forever()
"""


@pytest.fixture
def hub():
    """``answers`` by phase: (status, body), or a list of them, the last for ever; ``heard`` is what was reported."""
    hub = SimpleNamespace(heard=[], answers={}, phases=lambda: [report["phase"] for report in hub.heard])

    class Hub(BaseHTTPRequestHandler):
        def do_POST(self):
            report = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answers = hub.answers.get(report["phase"], [(204, "")])
            status, body = answers.pop(0) if answers[1:] else answers[0]
            hub.heard.append(dict(report, status=status))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Hub) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        hub.url = f"http://127.0.0.1:{server.server_port}/hub/api"
        yield hub
        server.shutdown()


class FakeRuntime:
    """One that does what its ``fault`` says: dies when it runs, or when it ends."""

    facts = {}

    def __init__(self, fault):
        self.plan = {"name": "dask"}
        self.fault = fault
        self.calls = []

    async def run(self):
        self.calls.append("run")
        if self.fault == "run":
            raise KeyError("nobody expected")
        await asyncio.sleep(600)

    async def stop(self):
        self.calls.append("stop")

    async def end(self):
        self.calls.append("end")
        if self.fault == "end":
            raise KeyError("nobody expected")


@pytest.fixture
def whole(launcher, hub, tmp_path, monkeypatch):
    """Make a launcher that can run: a Hub and a server are there, and maybe a runtime."""
    monkeypatch.chdir(tmp_path)
    script = tmp_path / "server"
    script.write_text(SERVER)
    script.chmod(0o755)

    def whole(*arguments, runtime=None, patience=20, url="http://0.0.0.0:0/user/alice/", **env):
        found = launcher(JUPYTERHUB_API_URL=hub.url, JUPYTERHUB_SERVICE_URL=url, **env)
        report = found.reporter.report
        found.plan = dict(PLAN, working_dir=str(tmp_path), runtimes=[], port_range=[0, 0], quick_start=True,
                          command=[str(script), *arguments])
        # The goodbye's own patience is too short for a test on a busy machine.
        found.reporter.report = lambda phase, **fields: report(phase, **{**fields, "patience": patience})
        if runtime:
            found._prepare_runtimes = lambda: found.runtimes.append(runtime)
            found.session_file.begin("dask", {})
        return found
    return whole


@asynccontextmanager
async def running(launcher):
    """The session, up to its end by a signal; its exit status is ``launcher.status``."""
    session = asyncio.ensure_future(launcher.run())
    try:
        yield
        launcher.ending.set()
        launcher.status = await asyncio.wait_for(session, 60)
    finally:
        session.cancel()
        await asyncio.wait([session])


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.02)


async def run(launcher):
    return await asyncio.wait_for(launcher.run(), 60)


async def test_a_session_reports_its_phases_and_ends_when_it_is_told(whole, hub):
    found = whole()
    async with running(found):
        await until(lambda: "listening" in hub.phases())
    assert found.status == 0 and sorted(hub.phases()) == ["ended", "listening", "started"]


async def test_a_server_that_gave_up_without_a_hub_starts_again_when_that_is_back(whole, hub, tmp_path):
    hub.answers["started"] = [(503, "")] * 4 + [(204, "")]
    found = whole("--not-at-first")
    async with running(found):
        await until((tmp_path / "gave-up").exists)
        assert "listening" not in hub.phases()
        await until(lambda: "listening" in hub.phases())
    assert found.status == 0 and "failed" not in hub.phases()


async def test_a_server_that_gave_up_without_a_hub_is_not_waited_for_when_the_job_ends(whole, hub, tmp_path):
    hub.answers["started"] = [(503, "")]
    found = whole("--not-at-first", patience=30)
    async with running(found):
        await until((tmp_path / "gave-up").exists)
    assert found.status == 0 and "listening" not in hub.phases()


@pytest.mark.parametrize("status", [403, 503])
async def test_a_session_that_the_hub_does_not_know_ends_its_job(whole, hub, status):
    """Refused, or never taken."""
    hub.answers["listening"] = [(status, "")]
    found = whole(patience=5)
    assert await run(found) == 1
    last = [report for report in hub.heard if report["phase"] in ("failed", "ended")]
    assert [report["phase"] for report in last] == ["failed", "ended"]
    for report in last:
        assert report["message"] == "the Hub did not take the report that its server answers"
    assert json.loads(open(found.session_file.path).read())["end"]


async def test_an_error_before_the_hub_hears_of_the_server_fails_the_start(whole, hub, capsys):
    found = whole()
    found._answers = lambda address, port: 1 / 0
    assert await run(found) == 1
    assert hub.phases()[-2:] == ["failed", "ended"] and "listening" not in hub.phases()
    assert hub.heard[-2]["message"].startswith("its launcher failed: ZeroDivisionError")
    assert "in _report_listening" in capsys.readouterr().err


async def test_an_error_in_the_word_of_activity_is_logged_and_the_session_lives(whole, hub, capsys):
    found = whole(JUPYTERHUB_ACTIVITY_URL=hub.url, JUPYTERHUB_ACTIVITY_INTERVAL="soon")
    async with running(found):
        await until(lambda: "listening" in hub.phases())
    assert found.status == 0 and "launcher failed: ValueError(" in capsys.readouterr().err


@pytest.mark.parametrize("state", ["running", "failed"])
async def test_how_the_first_start_of_the_runtimes_went_is_told_once(whole, hub, state):
    found = whole(runtime=FakeRuntime(""))
    async with running(found):
        await until(lambda: "listening" in hub.phases())
        assert "runtimes" not in hub.phases(), "it still starts"
        found.session_file.runtime("dask", state=state)
        await until(lambda: "runtimes" in hub.phases())
        found.session_file.runtime("dask", state="failed")
    report, = [report for report in hub.heard if report["phase"] == "runtimes"]
    assert report["runtimes"] == {"dask": state} and 0 <= report["seconds"] < 60 and found.status == 0


async def test_a_runtime_that_dies_of_an_error_is_told_to_notebooks_and_the_session_lives(whole, hub, capsys):
    runtime = FakeRuntime("run")
    found = whole(runtime=runtime)
    async with running(found):
        await until(lambda: "stop" in runtime.calls and "listening" in hub.phases())
        assert found.session_file.data["runtimes"]["dask"] == {
            "state": "failed", "error": "KeyError('nobody expected')"}
    assert found.status == 0 and runtime.calls == ["run", "stop", "end"]
    assert "Traceback" in capsys.readouterr().err


async def test_a_runtime_that_cannot_end_keeps_nothing_else_from_ending(whole, hub, capsys):
    found = whole(runtime=FakeRuntime("end"))
    async with running(found):
        await until(lambda: "listening" in hub.phases())
    assert found.status == 0 and hub.phases()[-1] == "ended"
    assert "launcher failed: KeyError('nobody expected')" in capsys.readouterr().err


async def test_what_was_prepared_is_ended_where_the_server_cannot_start(whole, hub):
    runtime = FakeRuntime(None)
    found = whole(runtime=runtime)
    found.plan["command"] = ["no-such-server"]
    assert await run(found) == 1
    assert runtime.calls == ["end"] and "no-such-server is not in this software" in hub.heard[-1]["message"]


SECURE = "https://0.0.0.0:0/user/alice/"


@pytest.mark.parametrize("answer", [(403, ""), (204, "")])
async def test_without_the_hubs_certificate_there_is_no_server(whole, hub, tmp_path, answer):
    hub.answers["started"] = [answer]
    assert await run(whole(url=SECURE)) == 1
    assert hub.phases() == ["started", "failed"] and not (tmp_path / "server-started").exists()
    assert hub.heard[-1]["message"] == "the Hub gave this session no certificate for its server"


async def test_the_hub_is_asked_for_the_certificate_until_it_knows_where_the_job_runs(whole, hub, tmp_path):
    hub.answers["started"] = [(503, ""), (503, ""), (200, json.dumps({"certificate": "that of n1"}))]
    assert await run(whole("--broken", url=SECURE, JUPYTERHUB_SSL_CERTFILE=str(tmp_path / "hub-cert.pem"))) == 3
    assert [report["status"] for report in hub.heard if report["phase"] == "started"] == [503, 503, 200]
    assert (tmp_path / "hub-cert.pem").read_text() == "that of n1" and (tmp_path / "server-started").exists()
