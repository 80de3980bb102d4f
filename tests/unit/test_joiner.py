"""An extra job on its node: what it reads of its session, and how it notices that the session is over."""
import asyncio
import json
import os
import socket
from contextlib import suppress

import pytest

from jupyterhub_hpc_spawner.node import joiner
from jupyterhub_hpc_spawner.node.dask_extra import Runtime
from jupyterhub_hpc_spawner.node.dask_workers import specification
from jupyterhub_hpc_spawner.node.joiner import Joiner, join

ADDRESS = "tls://127.0.0.1:1"


@pytest.fixture
def session(tmp_path, monkeypatch):
    """The session's directory; its server listens. ``write`` changes the session file."""
    monkeypatch.setattr(os, "environ", dict(os.environ, HPC_JOB_NODES="n1 n2", HPC_JOB_ID="7"))
    monkeypatch.setattr(joiner, "LOOK", 0.01)
    for name in ("session", "extra"):
        (tmp_path / name).mkdir()
    with socket.create_server(("127.0.0.1", 0)) as server:
        facts = {"end": None, "server": {"address": "127.0.0.1", "port": server.getsockname()[1]},
                 "runtimes": {"dask": {"address": ADDRESS}}}

        def write(**changes):
            facts.update(changes)
            (tmp_path / "session/session.json").write_text(json.dumps(facts))
        write()
        yield tmp_path, server, write


def plan(tmp_path):
    return {"extra": "extra-a", "joins": str(tmp_path / "session"), "working_dir": None,
            "runtime": {"name": "dask", "module": "dask_extra"}}


def make(tmp_path):
    return Joiner(str(tmp_path / "extra"), plan(tmp_path))


def test_a_session_that_lives_is_not_over(session):
    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(asyncio.wait_for(make(session[0])._session_ended(), 0.5))


async def test_the_watch_on_a_session_ends_when_it_is_cancelled(session, monkeypatch):
    """Whatever it does just then: wait_for of Python 3.11 may lose it."""
    monkeypatch.setattr(joiner, "LOOK", 0)
    made, server = make(session[0]), session[1]
    server.setblocking(False)
    for _ in range(100):
        watch = asyncio.ensure_future(made._session_ended())
        await asyncio.sleep(0.002)
        watch.cancel()
        done, _ = await asyncio.wait([watch], timeout=5)
        assert done
        with suppress(BlockingIOError):  # what waits is taken, or soon nobody can connect
            server.accept()[0].close()


def test_a_session_is_over_when_its_file_says_so(session):
    tmp_path, _, write = session
    made = make(tmp_path)
    write(end=1000)
    asyncio.run(asyncio.wait_for(made._session_ended(), 5))


@pytest.mark.parametrize("loss", [
    lambda tmp_path, server: (tmp_path / "session/session.json").unlink(),
    lambda tmp_path, server: server.close(),
], ids=["its directory went", "its server is gone"])
def test_a_session_is_over_that_ended_without_a_word(session, loss):
    tmp_path, server, _ = session
    made = make(tmp_path)
    loss(tmp_path, server)
    asyncio.run(asyncio.wait_for(made._session_ended(), 5))


def test_one_look_in_vain_is_not_the_end(session, monkeypatch):
    tmp_path, _, _ = session
    made = make(tmp_path)
    answers = [True, True, False, True, True, True]

    async def refuses():
        return answers.pop(0)
    monkeypatch.setattr(made, "_refuses", refuses)
    asyncio.run(asyncio.wait_for(made._session_ended(), 5))
    assert not answers


@pytest.mark.parametrize(("changes", "words"), [
    ({"end": 1000}, "the session has ended"),
    ({"runtimes": {}}, "the session has no Dask to join"),
])
def test_a_job_that_comes_too_late_says_why(session, capfd, changes, words):
    tmp_path, _, write = session
    write(**changes)
    assert join(str(tmp_path / "extra"), plan(tmp_path)) == 1
    assert f"the extra job cannot start: {words}" in capfd.readouterr().err


def test_workers_get_the_sessions_scheduler_from_its_file(session):
    made = make(session[0])
    runtime = Runtime(made, {})
    assert runtime.prepare() == {"DASK_SCHEDULER_ADDRESS": ADDRESS} and runtime.facts == {"address": ADDRESS}
    assert made.session_file.data["job_id"] == "7" and made.nodes == ["n1", "n2"]


@pytest.mark.parametrize(("nodes", "name"), [(1, "extra-a"), (2, "extra-a-n2")])
def test_names_are_the_wished_ones_and_unique_over_nodes(nodes, name):
    extra = {"name": "extra-a", "lifetime": 60, "stagger": None, "nodes": nodes}
    env = {"SLURMD_NODENAME": "n2", "DASK_SCHEDULER_ADDRESS": ADDRESS, "HPC_JOB_MEMORY": str(2 ** 30)}
    spec = specification(env, ADDRESS, 2, 1, "/tmp", extra=extra)
    assert (spec["name"], spec["lifetime"], spec["stagger"]) == (name, 60, None)
    beside = specification(env, ADDRESS, 2, 1, "/tmp")
    assert spec["memory"] > beside["memory"], "there is no notebook in an extra job"
    assert (beside["name"], beside["lifetime"]) == ("n2", None)
