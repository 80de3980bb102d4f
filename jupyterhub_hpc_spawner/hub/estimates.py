"""When would it start? Asked of the batch system before the request is made, in the background and seldom.

One question at a time for the whole cluster, and none twice: of each user only the latest request counts, and what is
known is kept for a while, also for others who pay from the same account.
"""
import asyncio
import time
from dataclasses import replace
from functools import partial

from jinja2 import TemplateError

from ..errors import HPCSpawnerError, QueryError
from . import staging

NAME = "jupyter-estimate"
TIMEOUT = 10
# Seconds: between two questions of one user, and of all; a slow batch system is busy with us a quarter of its time.
USER_PAUSE, PAUSE, SLOW = 3, 1, 3
KEEP = 60
# What nobody has looked at for so long is not asked any more.
PATIENCE = 30
# After a question that was not answered, doubled with each; after one that could not be put for a user.
SILENCE, MAX_SILENCE, USER_SILENCE = 30, 1800, 300
MAX_KNOWN = 2000


class Estimates:
    """Of one cluster. ``ask(username, request, text)`` returns an Estimate, or raises an HPCSpawnerError."""

    def __init__(self, ask, log, clock=time.monotonic):
        self._ask = ask
        self._log = log
        self._clock = clock
        self._known = {}
        self._wanted = {}
        self._not_before = {}
        self._silence = SILENCE
        self._silent_until = 0
        self._worker = None

    def look(self, username, request, render):
        """(Estimate or None, whether there will be one soon), at once. ``render`` is a
        coroutine function that makes what is to be asked."""
        known = self._find(username, request)
        now = self._clock()
        silent = max(self._silent_until, self._not_before.get(username, 0) - USER_PAUSE) > now
        if known or silent:
            self._wanted.pop(username, None)
            return known, False
        self._wanted[username] = (now, request, render)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.ensure_future(self._work())
        return None, True

    async def _work(self):
        while self._wanted:
            now = self._clock()
            due = [name for name in self._wanted if self._not_before.get(name, 0) <= now]
            if due:
                seen, request, render = self._wanted.pop(due[0])
                if now - seen > PATIENCE or self._find(due[0], request):
                    continue
                await self._question(due[0], request, render)
            await asyncio.sleep(max(PAUSE, SLOW * (self._clock() - now)))

    async def _question(self, username, request, render):
        pause = USER_PAUSE
        try:
            estimate = await self._ask(username, *await render())
            self._keep(username, request, estimate)
            self._silence = SILENCE
        except QueryError as error:
            self._log.warning("No estimates of starts for %d s: %s", self._silence, error)
            self._silent_until = self._clock() + self._silence
            self._silence = min(2 * self._silence, MAX_SILENCE)
            self._wanted.clear()
        except (HPCSpawnerError, TemplateError) as error:
            self._log.warning("No estimates of starts for %s for %d s: %s", username, USER_SILENCE, error)
            pause = USER_SILENCE
        self._not_before[username] = self._clock() + pause

    def _find(self, username, request):
        for key in self._keys(username, request):
            until, estimate = self._known.get(key, (0, None))
            if until > self._clock():
                return estimate
        return None

    def _keep(self, username, request, estimate):
        now = self._clock()
        if len(self._known) >= MAX_KNOWN:
            self._known = {key: value for key, value in self._known.items() if value[0] > now}
            self._not_before = {name: until for name, until in self._not_before.items() if until > now}
        own, *shared = self._keys(username, request)
        # A refusal may be about limits of this user.
        self._known[own if estimate.refusal or not shared else shared[0]] = (now + KEEP, estimate)

    def _keys(self, username, request):
        """The user's own, and that of all who may name this account; a reservation may be for one of them only."""
        request = replace(request, name="", session_dir="")
        yield username, request
        if request.account and not request.reservation:
            yield "", request


def look(spawner, options):
    """(Estimate or None, whether there will be one soon) of what these Options would submit."""
    estimates = spawner.cluster.estimates
    if estimates is None or not spawner.start_estimates:
        return None, False
    return estimates.look(spawner.user.name, staging.make_request(spawner, options, NAME, ""),
                          partial(_render, spawner, options))


async def _render(spawner, options):
    """(JobRequest, script), the same as for a start; no directory is made, and no secret is in them."""
    await staging.find_home(spawner)
    return staging.render(spawner, options, NAME, f"{staging.session_root(spawner)}/{NAME}")[:2]
