"""Questions about starts: in the background, seldom, and none twice."""
import asyncio
import logging
from datetime import datetime, timezone
from types import SimpleNamespace

import pytest
import pytest_asyncio
from jupyterhub_hpc_spawner.errors import ConfigError, HelperError, QueryError
from jupyterhub_hpc_spawner.hub import estimates as module
from jupyterhub_hpc_spawner.model import Estimate, JobRequest

START = Estimate(datetime(2026, 11, 21, 20, tzinfo=timezone.utc))
REFUSED = Estimate(refusal="no such node")


class World:
    """A clock that only pauses and the questions' costs move, and a batch system that answers at once."""

    def __init__(self):
        self.now = 1000.0
        self.asked = []
        self.answer, self.cost = START, 0.1
        self.estimates = module.Estimates(self.ask, logging.getLogger("test"), clock=lambda: self.now)

    async def sleep(self, seconds):
        self.now += seconds
        await asyncio.sleep(0)

    async def ask(self, username, request, text):
        self.asked.append((self.now, username, request.nodes))
        self.now += self.cost
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def look(self, user="alice", nodes=1, **fields):
        request = JobRequest("jupyter-estimate", f"/home/{user}", nodes=nodes, **fields)

        async def render():
            return request, "#!/bin/sh"

        return self.estimates.look(user, request, render)

    async def settled(self):
        await asyncio.wait_for(self.estimates._worker, 5)

    async def asked_now(self, *arguments, **fields):
        """What is known after the questions that this look gave rise to."""
        self.look(*arguments, **fields)
        await self.settled()
        return self.look(*arguments, **fields)

    @property
    def users(self):
        return [user for _, user, _ in self.asked]


@pytest_asyncio.fixture(loop_scope="function")
async def world(monkeypatch):
    world = World()
    monkeypatch.setattr(module, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": world.sleep}))
    yield world


async def test_the_first_look_waits_for_nothing_and_the_next_has_the_answer(world):
    assert world.look() == (None, True) and not world.asked
    await world.settled()
    assert world.look() == (START, False) and len(world.asked) == 1


async def test_what_is_known_is_not_asked_again_until_it_is_old(world):
    await world.asked_now()
    world.now += module.KEEP - 10
    assert world.look() == (START, False)
    world.now += 20
    assert world.look() == (None, True)
    await world.settled()
    assert len(world.asked) == 2


async def test_of_one_who_types_only_the_last_is_asked(world):
    for nodes in (1, 12, 128):
        world.look(nodes=nodes)
    await world.settled()
    assert [nodes for _, _, nodes in world.asked] == [128]


async def test_one_user_is_asked_for_only_so_often(world):
    for nodes in range(1, 6):
        await world.asked_now(nodes=nodes)
    times = [when for when, _, _ in world.asked]
    assert all(later - earlier >= module.USER_PAUSE for earlier, later in zip(times, times[1:]))


async def test_two_hundred_who_type_are_asked_for_one_after_the_other_while_they_wait(world):
    for number in range(200):
        world.look(f"student{number}", number + 1)
    await world.settled()
    times = [when for when, _, _ in world.asked]
    assert all(later - earlier >= module.PAUSE for earlier, later in zip(times, times[1:]))
    assert 20 <= len(times) <= module.PATIENCE / module.PAUSE + 1
    assert world.users == [f"student{number}" for number in range(len(times))]


async def test_a_slow_batch_system_is_asked_less(world):
    world.cost = 5
    for number in range(4):
        world.look(f"student{number}")
    await world.settled()
    times = [when for when, _, _ in world.asked]
    assert len(times) == 2 and times[1] - times[0] == 20


@pytest.mark.parametrize("fields, others", [
    ({"account": "geo"}, (START, False)), ({}, (None, True)),
    # It may be for the other only.
    ({"account": "geo", "reservation": "course"}, (None, True)),
])
async def test_who_pays_from_the_same_account_shares_an_answer(world, fields, others):
    await world.asked_now("alice", **fields)
    assert world.look("bob", **fields) == others
    assert world.look("alice", **fields) == (START, False)


async def test_a_whole_class_with_one_request_is_one_question(world):
    for number in range(200):
        world.look(f"student{number}", account="geo", reservation=None)
    await world.settled()
    assert len(world.asked) == 1 and world.look("student199", account="geo") == (START, False)


async def test_a_refusal_is_nobody_elses(world):
    world.answer = REFUSED
    assert await world.asked_now("alice", account="geo") == (REFUSED, False)
    assert world.look("bob", account="geo") == (None, True)


async def test_no_answer_silences_all_for_longer_and_longer(world, caplog):
    world.answer = QueryError("sbatch did not answer within 10 s")
    assert await world.asked_now() == (None, False) and world.look("bob") == (None, False)
    world.now += module.SILENCE + 1
    assert await world.asked_now() == (None, False)
    world.now += module.SILENCE + 1
    assert world.look() == (None, False) and len(world.asked) == 2
    assert "No estimates of starts for 30 s: sbatch did not answer" in caplog.text
    world.now += module.SILENCE
    world.answer = START
    assert await world.asked_now() == (START, False)


@pytest.mark.parametrize("error", [HelperError("sudo: a password is required"), ConfigError("two lines")])
async def test_what_cannot_be_asked_for_one_user_is_asked_for_others(world, error, caplog):
    world.answer = error
    assert await world.asked_now("alice") == (None, False)
    assert f"No estimates of starts for alice for 300 s: {error}" in caplog.text
    world.answer = START
    assert await world.asked_now("bob") == (START, False)
    assert world.look("alice") == (None, False)


def test_a_site_may_turn_it_off():
    spawner = SimpleNamespace(start_estimates=False, cluster=SimpleNamespace(estimates=object()))
    assert module.look(spawner, None) == (None, False)
    spawner = SimpleNamespace(start_estimates=True, cluster=SimpleNamespace(estimates=None))
    assert module.look(spawner, None) == (None, False)
