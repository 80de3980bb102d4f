"""One cluster as the Hub sees it: its batch system, its poller, what the form may offer, the cancels it owes."""
import asyncio
import time
from itertools import count

from ..errors import HPCSpawnerError, QueryError
from ..model import ClusterInfo
from .commands import base_environment, run
from .poller import Poller

MAX_CANCEL_PAUSE = 600


class Cluster:
    """Shared by all spawners of one configuration. ``env`` are variables such as SLURM_CONF for every command;
    intervals and ``timeout``, that of one command, are in seconds."""

    def __init__(self, system, helper, env, log, status_interval=5, info_interval=60, timeout=60):
        self.system = system
        self.helper = helper
        self.log = log
        # UTC: most systems print times in the caller's zone, and without its name.
        self.env = {**base_environment(env), "TZ": "UTC"}
        self.poller = Poller(self._ask_status, self._ask_status_as, status_interval, log)
        self.info = ClusterInfo()
        self.info_interval = info_interval
        self.timeout = timeout
        self._info_time = -float("inf")
        self._refreshing = None
        self._owed = set()

    async def submit(self, username, request, text, files):
        """The new job's id. Raises SubmitError in the batch system's words, QueryError, HelperError."""
        completed = await self.helper.run(
            username, self.system.submit_command(request), self.timeout, verb="submit",
            session_dir=request.session_dir, files=files, stdin=text)
        return self.system.parse_job_id(completed)

    async def cancel(self, username, job_id):
        """End the job. What could not be cancelled now is tried again until the batch system took it."""
        try:
            await self._cancel(username, job_id)
        except HPCSpawnerError as error:
            self.log.error("Job %s of %s could not be cancelled and will be tried again: %s", job_id, username, error)
            task = asyncio.ensure_future(self._cancel_later(username, job_id))
            self._owed.add(task)
            task.add_done_callback(self._owed.discard)

    async def end(self, username, session_dir, lines=0, remove=True):
        """The end of a session's log; its directory is removed. "" where the helper could not look."""
        try:
            answer = await self.helper.ask(username, "end", self.timeout, session_dir=session_dir, lines=lines,
                                           remove=remove)
        except HPCSpawnerError as error:
            self.log.error("The session directory %s of %s is left over: %s", session_dir, username, error)
            return ""
        return answer["log"]

    async def known_info(self, patience=2):
        """What the form may offer: never waits but for the very first answer, and for that ``patience`` seconds."""
        if self._refreshing is None or self._refreshing.done():
            if time.monotonic() - self._info_time > self.info_interval:
                self._refreshing = asyncio.ensure_future(self._refresh_info())
        if self._info_time == -float("inf") and self._refreshing:
            await asyncio.wait([self._refreshing], timeout=patience)
        return self.info

    async def _ask_status(self):
        completed = await run(self.system.status_command(), env=self.env, timeout=self.timeout)
        return self.system.parse_status(completed)

    async def _ask_status_as(self, username):
        env = {**self.helper.env, "TZ": "UTC"}
        completed = await self.helper.run(username, self.system.status_command(), self.timeout, env=env)
        return self.system.parse_status(completed)

    async def _refresh_info(self):
        commands = self.system.info_commands()
        done = await asyncio.gather(*(run(argv, env=self.env, timeout=self.timeout) for argv in commands.values()),
                                    return_exceptions=True)
        answers = {}
        for name, completed in zip(commands, done):
            if isinstance(completed, QueryError) or (not isinstance(completed, BaseException) and completed.returncode):
                self.log.warning("The form lacks the cluster's %s: %s", name, completed)
            elif isinstance(completed, BaseException):
                raise completed
            else:
                answers[name] = completed
        try:
            self.info = self.system.parse_info(answers)
        except (HPCSpawnerError, ValueError) as error:
            self.log.error("The form keeps what it knew of the cluster: %s", error)
        self._info_time = time.monotonic()

    async def _cancel(self, username, job_id):
        self.system.parse_cancel(await self.helper.run(username, self.system.cancel_command(job_id), self.timeout))

    async def _cancel_later(self, username, job_id):
        for attempt in count():
            await asyncio.sleep(min(5 * 2 ** min(attempt, 10), MAX_CANCEL_PAUSE))
            try:
                await self._cancel(username, job_id)
            except HPCSpawnerError as error:
                self.log.error("Job %s of %s is still not cancelled: %s", job_id, username, error)
            else:
                self.log.info("Job %s of %s is cancelled at last", job_id, username)
                return
