"""Cancels that the batch system has not taken yet, over the Hub's life."""
import asyncio
import json
import logging

import pytest

from jupyterhub_hpc_spawner.errors import QueryError
from jupyterhub_hpc_spawner.hub import owed as module

LOG = logging.getLogger("test")


class System:
    """Takes a cancel when it is ``well``, and heeds it when it is not ``deaf``; each try is noted."""

    def __init__(self, well=False, deaf=False):
        self.well, self.deaf = well, deaf
        self.tried = asyncio.Queue()

    async def cancel(self, username, job_id):
        self.tried.put_nowait((username, job_id))
        if not self.well:
            raise QueryError("no answer")

    async def is_gone(self, job_id, username):
        return not self.deaf

    async def next(self):
        return await asyncio.wait_for(self.tried.get(), 5)


@pytest.fixture
def system():
    return System()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "owed.json"


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(module, "FIRST_PAUSE", 0)


async def until_none_is_left(owed):
    async with asyncio.timeout(5):
        while len(owed):
            await asyncio.sleep(0)


async def test_a_cancel_is_tried_until_it_is_taken(system, path):
    owed = module.OwedCancels(path, system.cancel, system.is_gone, LOG)
    owed.add("alice", "7")
    assert [await system.next() for _ in range(3)] == [("alice", "7")] * 3
    assert json.loads(path.read_text()) == [["alice", "7"]] and path.stat().st_mode & 0o777 == 0o600
    system.well = True
    await until_none_is_left(owed)
    assert json.loads(path.read_text()) == []


async def test_a_cancel_that_is_taken_and_not_heeded_is_tried_until_the_job_is_gone(path, caplog):
    system = System(well=True, deaf=True)
    owed = module.OwedCancels(path, system.cancel, system.is_gone, LOG)
    owed.add("alice", "7")
    assert [await system.next() for _ in range(3)] == [("alice", "7")] * 3
    assert json.loads(path.read_text()) == [["alice", "7"]]
    assert "took the cancel, and the job is still there" in caplog.text
    system.deaf = False
    await until_none_is_left(owed)


async def test_the_next_hub_goes_on_with_them(system, path):
    module.OwedCancels(path, system.cancel, system.is_gone, LOG).add("alice", "7")
    following = System(well=True)
    owed = module.OwedCancels(path, following.cancel, following.is_gone, LOG)
    owed.load()
    assert await following.next() == ("alice", "7")
    await until_none_is_left(owed)
    assert json.loads(path.read_text()) == []


@pytest.mark.parametrize("text", ["", "{", "[1]", '[["a"]]', "7", '{"a": 1}'])
async def test_a_file_that_cannot_be_read_is_told_and_stays(system, path, caplog, text):
    path.write_text(text)
    owed = module.OwedCancels(path, system.cancel, system.is_gone, LOG)
    owed.load()
    assert "look for jobs without a session" in caplog.text and path.read_text() == text and not len(owed)


async def test_a_directory_that_cannot_be_written_is_told_and_the_cancel_goes_on(system, tmp_path, caplog):
    owed = module.OwedCancels(tmp_path / "gone" / "owed.json", system.cancel, system.is_gone, LOG)
    owed.load()
    owed.add("alice", "7")
    assert "a restarted Hub will not know them" in caplog.text
    system.well = True
    await until_none_is_left(owed)


async def test_without_a_file_they_are_in_memory(system):
    owed = module.OwedCancels(None, system.cancel, system.is_gone, LOG)
    owed.load()
    owed.add("alice", "7")
    owed.add("alice", "7")
    assert len(owed) == 1 and await system.next() == ("alice", "7")
