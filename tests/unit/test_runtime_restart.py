"""``session().restart()`` and the launcher's side of it, with runtimes of fakes; real ones are in hub and system."""
import asyncio
import json
from types import SimpleNamespace

import pytest
import pytest_asyncio
from jupyterhub_hpc_spawner.node import restarts
from jupyterhub_hpc_spawner.node.session_file import SessionFile
from jupyterhub_hpc_spawner.notebook import RestartError, restart, session

NOW = 1_800_000_000


class FakeRuntime:
    """Starts when it is told ``go``, and then runs until it is told to ``fail``; what is ``broken`` never runs."""

    broken = False

    def __init__(self, name, session_file):
        self.plan = {"name": name}
        self.facts = {"address": "tls://10.0.0.1:1"}
        self.session_file = session_file
        self.calls = []
        self.go, self.fail = asyncio.Event(), asyncio.Event()
        session_file.begin(name, self.facts)

    def tell(self, **fields):
        self.session_file.runtime(self.plan["name"], **fields)

    async def run(self):
        self.calls.append("run")
        await self.go.wait()
        if not self.broken:
            self.tell(state="running", notes={"n1": "slow"})
            await self.fail.wait()
        self.tell(state="failed", error="the stars are wrong\nlast line")

    async def stop(self):
        self.calls.append("stop")
        self.fail.clear()


@pytest_asyncio.fixture(loop_scope="function")
async def launched(tmp_path, monkeypatch):
    """A session file, its runtimes, and what keeps them."""
    monkeypatch.setattr(restarts, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(restart, "PAUSE", 0.01)
    monkeypatch.setattr(restart, "PATIENCE", 10)
    file = SessionFile(str(tmp_path / "session.json"), job_id="1")
    monkeypatch.setenv("HPC_SESSION_FILE", file.path)
    launcher = SimpleNamespace(session_file=file, path=lambda name: str(tmp_path / name), directory=tmp_path)
    runtimes = {name: FakeRuntime(name, file) for name in ("dask", "ipyparallel")}
    tasks = [asyncio.ensure_future(restarts.keep(runtime, launcher)) for runtime in runtimes.values()]
    await asyncio.sleep(0)
    yield SimpleNamespace(file=file, requests=lambda: list(tmp_path.glob("restart-*")), **runtimes)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def until(condition):
    async def turn():
        while not condition():
            await asyncio.sleep(0.005)
    await asyncio.wait_for(turn(), 10)


def facts(launched, name="dask"):
    return json.loads(open(launched.file.path).read())["runtimes"][name]


async def test_what_failed_is_started_anew_and_what_runs_is_left_alone(launched, capsys):
    launched.dask.go.set()
    launched.ipyparallel.go.set()
    launched.dask.fail.set()
    await until(lambda: facts(launched)["state"] == "failed")
    card = await asyncio.to_thread(session().restart)
    assert facts(launched) == {"state": "running", "address": "tls://10.0.0.1:1", "notes": {"n1": "slow"}}
    assert launched.dask.calls == ["run", "stop", "run"] and launched.ipyparallel.calls == ["run"]
    assert not launched.requests() and "Dask, running" in repr(card)
    assert capsys.readouterr().out == "Dask starts again ... running after 0 s\n"


async def test_one_that_runs_is_started_anew_where_it_is_named(launched):
    launched.ipyparallel.go.set()
    await until(lambda: facts(launched, "ipyparallel")["state"] == "running")
    await asyncio.to_thread(lambda: session().restart("ipyparallel"))
    assert launched.ipyparallel.calls == ["run", "stop", "run"] and launched.dask.calls == ["run"]


async def test_where_nothing_failed_nothing_is_done(launched, capsys):
    await asyncio.to_thread(session().restart)
    assert launched.dask.calls == ["run"] and "No runtime has failed." in capsys.readouterr().out


async def test_requests_during_a_start_wait_for_that_start(launched, capsys):
    printed = []
    asked = [asyncio.ensure_future(asyncio.to_thread(lambda: session().restart("dask"))) for _ in range(3)]
    await until(lambda: printed.append(capsys.readouterr().out) or "".join(printed).count("starts again") == 3)
    await until(lambda: not launched.requests())
    assert not any(task.done() for task in asked)
    launched.dask.go.set()
    await asyncio.gather(*asked)
    assert launched.dask.calls == ["run"]


async def test_a_start_that_fails_is_an_error_with_the_reason_and_what_to_do(launched):
    launched.dask.broken = True
    launched.dask.go.set()
    await until(lambda: facts(launched)["state"] == "failed")
    with pytest.raises(RestartError, match="(?s)could not be started again. the stars are wrong.*last line.*logs"):
        await asyncio.to_thread(lambda: restart.restart({"HPC_SESSION_FILE": launched.file.path}))


async def test_a_start_that_nobody_expected_to_break_off_is_told_and_can_be_repeated(launched):
    launched.dask.go.set()
    await until(lambda: facts(launched)["state"] == "running")

    async def run(times=[]):
        times.append(1)
        if len(times) == 1:
            raise KeyError("a mistake of ours")
        launched.dask.tell(state="running")
    launched.dask.run = run
    with pytest.raises(RestartError, match="(?s)could not be started again.*a mistake of ours"):
        await asyncio.to_thread(lambda: restart.restart({"HPC_SESSION_FILE": launched.file.path}, "dask"))
    assert launched.dask.calls == ["run", "stop", "stop"]
    await asyncio.to_thread(lambda: restart.restart({"HPC_SESSION_FILE": launched.file.path}, "dask"))
    assert facts(launched)["state"] == "running"


@pytest.mark.parametrize("content, name, words", [
    ({"runtimes": {"dask": {}}}, "ipyparallel", "was started without 'ipyparallel'; it has 'dask'"),
    ({"runtimes": {}}, "dask", "it has no runtime"),
    ({"runtimes": {"dask": {"state": "failed"}}, "end": NOW}, None, "The session is ending"),
    ({"runtimes": {"dask": {"state": "failed"}}}, None, "did not take the request"),
    (None, None, "has ended, or this node does not see its file"),
])
def test_what_cannot_be_is_said_and_leaves_no_request(tmp_path, monkeypatch, content, name, words):
    monkeypatch.setattr(restart, "NOTICE", 0.1)
    if content is not None:
        (tmp_path / "session.json").write_text(json.dumps(content))
    with pytest.raises(RestartError, match=words):
        restart.restart({"HPC_SESSION_FILE": str(tmp_path / "session.json")}, name)
    assert not list(tmp_path.glob("restart-*"))


def test_outside_of_a_session_there_is_nothing_to_restart():
    with pytest.raises(RestartError, match="not started in a session"):
        restart.restart({})


async def test_the_end_of_the_session_ends_the_wait(launched, capsys):
    asked = asyncio.ensure_future(asyncio.to_thread(lambda: outcome("dask")))
    await until(lambda: "starts again" in capsys.readouterr().out)
    launched.file.update(end=NOW)
    assert "The session is ending" in await asyncio.wait_for(asked, 5)


def outcome(name):
    try:
        return repr(session().restart(name))
    except RestartError as error:
        return str(error)


async def test_who_ends_a_runtime_waits_until_its_start_is_over(launched):
    """Or what it is just starting would come after everything was ended, and stay."""
    over = []

    async def run():
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            over.append(True)
    runtime = SimpleNamespace(plan={"name": "dask"}, facts={}, run=run)
    kept = asyncio.ensure_future(restarts.keep(runtime, SimpleNamespace(path=str)))
    await asyncio.sleep(0.02)
    kept.cancel()
    await asyncio.wait([kept], timeout=5)
    assert over and kept.cancelled()
