"""A course of two hundred presses Start: the Hub takes up one start after the other, and answers everybody meanwhile.

JupyterHub works on each request for a server for some tens of milliseconds at a stretch. All of them at once would keep
every other page waiting for seconds, also where the batch system then takes longer than that for the jobs.
"""
import asyncio

from jupyterhub import apihandlers, handlers
from jupyterhub.apihandlers.users import UserServerAPIHandler
from jupyterhub.handlers.pages import SpawnHandler

from .turns import Turns

# Seconds for others between two starts, and the most that a start waits for the Hub to have time.
AIR = 0.02
PATIENCE = 1


class Paced:
    """Before a handler whose POST starts a server, where the Hub's spawner is ours."""

    async def prepare(self):
        await super().prepare()
        user = self.current_user
        if user and self.request.method == "POST" and getattr(self.settings["spawner_class"], "paced", False):
            async with self.settings.setdefault("hpc_spawner_pace", Turns(1)).turn(user.name):
                await _air()


async def _air():
    """Until the event loop has nothing else to do, as far as that can be told from how late a timer comes."""
    loop = asyncio.get_running_loop()
    late = loop.time() + PATIENCE
    while True:
        begin = loop.time()
        await asyncio.sleep(AIR)
        if loop.time() - begin < 1.5 * AIR or loop.time() > late:
            return


class PacedServer(Paced, UserServerAPIHandler):
    """By REST."""


class PacedSpawn(Paced, SpawnHandler):
    """By the form."""


def register():
    paced = {UserServerAPIHandler: PacedServer, SpawnHandler: PacedSpawn}
    for known in (apihandlers.default_handlers, handlers.default_handlers):
        known[:] = [(route, paced.get(handler, handler), *more) for route, handler, *more in known]
