"""A session that computes says so to the Hub, and one that does not is silent."""
import asyncio
import json
from contextlib import asynccontextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from jupyterhub_hpc_spawner.node import activity


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """What was posted to it."""
    posted = []

    class Hub(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            posted.append((self.path, self.headers["Authorization"], body))
            self.send_response(200 if len(posted) > 1 else 503)
            self.end_headers()

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Hub) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        for name, value in {"ACTIVITY_URL": f"http://127.0.0.1:{server.server_port}/users/ada/activity",
                            "API_TOKEN": "t", "SERVER_NAME": "second", "ACTIVITY_INTERVAL": "0.2"}.items():
            monkeypatch.setenv(f"JUPYTERHUB_{name}", value)
        monkeypatch.setenv("HPC_SESSION_FILE", str(tmp_path / "session.json"))
        yield posted
        server.shutdown()


@asynccontextmanager
async def running(*coroutines):
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    yield
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.05)


async def silence(hub):
    heard = None
    async with asyncio.timeout(30):
        while heard != len(hub):
            heard = len(hub)
            await asyncio.sleep(5 * activity.interval())


async def test_the_hub_hears_of_work_while_there_is_some_and_whose(hub, capsys):
    work = [True]
    async with running(activity.watch(lambda: bool(work)), activity.tell_hub()):
        await until(lambda: len(hub) >= 2)  # also after the Hub was away
        path, token, body = hub[-1]
        assert (path, token) == ("/users/ada/activity", "token t")
        assert body["servers"] == {"second": {"last_activity": body["last_activity"]}}
        assert datetime.fromisoformat(body["last_activity"]).tzinfo
        work.clear()
        await silence(hub)
    assert capsys.readouterr().err.count("does not hear that this session computes: HTTP Error 503") == 1


async def test_nothing_is_said_where_the_site_wants_no_word(hub, monkeypatch):
    monkeypatch.setenv("JUPYTERHUB_ACTIVITY_INTERVAL", "0")
    await activity.watch(lambda: True)
    await activity.tell_hub()
    assert hub == [] and not activity.busy_file().exists()


@pytest.mark.parametrize(("said", "seconds"), [("", 300), ("60", 60), ("0", 0)])
def test_the_interval_is_that_of_the_single_user_server(monkeypatch, said, seconds):
    monkeypatch.setenv("JUPYTERHUB_ACTIVITY_INTERVAL", said)
    assert activity.interval() == seconds
