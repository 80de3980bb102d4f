"""A bound on what runs at once, fair between users."""
import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyterhub_hpc_spawner.hub.turns import Turns

USERS = st.sampled_from("abc")


class Work:
    """Tasks that take a turn, note it, and go on when they are told to."""

    def __init__(self, limit):
        self.turns = Turns(limit)
        self.begun, self.running, self.tasks = [], 0, []
        self.most = 0

    def want(self, user):
        end = asyncio.Event()
        task = asyncio.ensure_future(self._work(user, end))
        task.end = end
        self.tasks.append(task)
        return task

    async def _work(self, user, end):
        async with self.turns.turn(user):
            self.begun.append(user)
            self.running += 1
            self.most = max(self.most, self.running)
            try:
                await end.wait()
            finally:
                self.running -= 1

    async def end_all(self):
        for _ in range(len(self.tasks) + 1):
            for task in self.tasks:
                task.end.set()
            await asyncio.sleep(0)
        done, waiting = await asyncio.wait(self.tasks, timeout=5)
        assert not waiting
        return done


async def test_who_asks_for_much_delays_himself():
    work = Work(1)
    for user in "aaaabab":
        work.want(user)
    await asyncio.sleep(0)
    assert work.begun == ["a"] and len(work.turns) == 6
    await work.end_all()
    # After the one that ran: a and b in turn as long as both wait.
    assert "".join(work.begun) == "a" + "ababaa"
    assert len(work.turns) == 0


async def test_the_bound_holds_and_all_of_it_is_used():
    work = Work(3)
    for user in "abcdefgh":
        work.want(user)
    await asyncio.sleep(0)
    assert work.running == 3
    await work.end_all()
    assert work.most == 3 and sorted(work.begun) == list("abcdefgh")


@given(st.integers(1, 3), st.lists(st.tuples(st.sampled_from(["want", "cancel", "end"]), USERS), max_size=30))
def test_who_goes_away_takes_nobodys_turn(limit, steps):
    async def play():
        work = Work(limit)
        for step, user in steps:
            if step == "want" or not work.tasks:
                work.want(user)
            elif step == "cancel":
                work.tasks[ord(user) % len(work.tasks)].cancel()
            else:
                work.tasks[ord(user) % len(work.tasks)].end.set()
            await asyncio.sleep(0)
        await work.end_all() if work.tasks else None
        assert work.most <= limit and len(work.turns) == 0
        last = [work.want("z") for _ in range(limit)]
        await asyncio.sleep(0)
        assert work.running == limit, "a turn was lost"
        for task in last:
            task.end.set()
        await asyncio.gather(*last)
    asyncio.run(play())


async def test_an_error_gives_the_turn_back():
    turns = Turns(1)
    with pytest.raises(ValueError):
        async with turns.turn("a"):
            raise ValueError
    async with asyncio.timeout(1), turns.turn("b"):
        pass
