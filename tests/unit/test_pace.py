"""Of many starts that are asked for at once the Hub takes up one after the other, and nothing else waits for them."""
import asyncio
import time
from types import SimpleNamespace

import pytest
from jupyterhub import apihandlers, handlers
from jupyterhub_hpc_spawner.hub import pace


class Handler:
    """JupyterHub's part: who asks is known when it has prepared."""

    def __init__(self, settings, user="ada", method="POST"):
        self.settings, self.current_user = settings, user and SimpleNamespace(name=user)
        self.request = SimpleNamespace(method=method)

    async def prepare(self):
        pass


class Paced(pace.Paced, Handler):
    pass


@pytest.fixture
def settings():
    return {"spawner_class": SimpleNamespace(paced=True)}


async def begun(settings, *users):
    """The users in the order in which their starts begin; each keeps the Hub's event loop busy for a while."""
    order = []

    async def start(user):
        await Paced(settings, user).prepare()
        order.append(user)
        time.sleep(0.03)

    await asyncio.gather(*map(start, users))
    return order


async def test_others_have_the_hub_between_two_starts(settings):
    """With all of them at once, nothing else would run from the first to the last."""
    starts, ticks = asyncio.ensure_future(begun(settings, *"abcdef")), 0
    while not starts.done():
        await asyncio.sleep(0)
        ticks += 1
    assert ticks > 6
    assert sorted(await starts) == list("abcdef")


async def test_who_starts_much_lets_others_in_between(settings):
    order = await begun(settings, "ada", "ada", "ada", "ada", "bob")
    assert order.index("bob") <= 2


@pytest.mark.parametrize("fields", [{"method": "GET"}, {"method": "DELETE"}, {"user": None}])
async def test_what_starts_nothing_does_not_wait(settings, fields):
    starts = asyncio.ensure_future(begun(settings, *"abcdef"))
    await asyncio.sleep(0)
    waits = Paced(settings, **fields).prepare()
    with pytest.raises(StopIteration):
        waits.send(None)
    await starts


async def test_a_hub_of_another_spawner_is_as_it_was():
    with pytest.raises(StopIteration):
        Paced({"spawner_class": object}).prepare().send(None)


async def test_a_hub_that_is_busy_all_the_time_starts_servers_all_the_same(settings, monkeypatch):
    monkeypatch.setattr(pace, "PATIENCE", 0.1)

    async def busy():
        while True:
            time.sleep(2 * pace.AIR)
            await asyncio.sleep(0)
    other = asyncio.ensure_future(busy())
    await asyncio.wait_for(begun(settings, "ada", "bob"), 20)
    other.cancel()


def test_it_stands_before_every_road_that_starts_a_server():
    from jupyterhub_hpc_spawner.hub import spawner  # noqa: F401
    for known, plain, paced in ((apihandlers.default_handlers, pace.UserServerAPIHandler, pace.PacedServer),
                                (handlers.default_handlers, pace.SpawnHandler, pace.PacedSpawn)):
        found = [entry[1] for entry in known]
        assert paced in found and plain not in found
