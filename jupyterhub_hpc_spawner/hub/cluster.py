"""One cluster as the Hub sees it: its batch system, its poller, what the form may offer, the cancels it owes."""
import asyncio
import time

from ..batch.base import StartEstimates, info_rounds
from ..errors import HelperError, HPCSpawnerError, NoAnswer, QueryError
from ..model import ClusterInfo
from . import estimates, metrics
from .commands import base_environment, run
from .owed import OwedCancels
from .poller import Poller
from .turns import Turns

# Seconds before each look for a job whose submission got no answer.
LOOKS = (0, 2, 5)
# Seconds before each look for one that was not found, when nobody waits for it any more.
LATE_LOOKS = (20, 300)


class Cluster:
    """Shared by all spawners of one configuration. ``env`` are variables such as SLURM_CONF for every command;
    intervals and ``timeout``, that of one command, are in seconds. ``at_once`` submissions run at a time, and as many
    commands that end jobs; ``owed_file`` outlives the Hub."""

    def __init__(self, system, helper, env, log, status_interval=5, info_interval=60, timeout=60, at_once=8,
                 owed_file=None):
        self.system = system
        self.helper = helper
        self.log = log
        # UTC: most systems print times in the caller's zone, and without its name.
        self.env = {**base_environment(env), "TZ": "UTC"}
        self.poller = Poller(self._ask_status, self._ask_status_as, status_interval, log)
        self.info = ClusterInfo()
        self.estimates = estimates.Estimates(self._estimate, log) if isinstance(system, StartEstimates) else None
        self.info_interval = info_interval
        self.timeout = timeout
        self._info_time = -float("inf")
        self._refreshing = None
        self._late = set()
        self._submits, self._ends = Turns(at_once), Turns(at_once)
        self.owed = OwedCancels(owed_file, self._cancel, self.poller.is_gone, log)
        metrics.watch_owed(self.owed)

    async def submit(self, username, request, text, files):
        """The new job's id. Raises SubmitError in the batch system's words, QueryError, HelperError.

        A submission without an answer may have made a job all the same: it is looked for by its name, so that there
        are never two. After an error nothing is left of the session's directory.
        """
        try:
            async with self._submits.turn(username), metrics.command("submit"):
                completed = await self.helper.run(
                    username, self.system.submit_command(request), self.timeout, verb="submit",
                    session_dir=request.session_dir, files=files, stdin=text)
                return self.system.parse_job_id(completed)
        except (QueryError, NoAnswer) as error:
            self.log.warning("Whether %s of %s was submitted is not known: %s", request.name, username, error)
            job_id = await self._found(username, request.name)
            if not job_id:
                await self.end(username, request.session_dir)
                late = asyncio.ensure_future(self._cancel_late(username, request.name))
                self._late.add(late)
                late.add_done_callback(self._late.discard)
                raise
            return job_id
        except HelperError:  # it was not carried out
            raise
        except HPCSpawnerError:
            await self.end(username, request.session_dir)
            raise

    async def _cancel_late(self, username, name):
        """A job that comes when nobody waits for it ends when it starts, but may wait long, or be put on hold."""
        for pause in LATE_LOOKS:
            await asyncio.sleep(pause)
            if job_id := await self._found(username, name):
                self.log.warning("Job %s of %s came when it was given up, and is cancelled", job_id, username)
                return await self.cancel(username, job_id)

    async def _found(self, username, name):
        try:
            return await self.find(username, name)
        except HPCSpawnerError as error:
            self.log.error("If there is a job %s of %s after all, it ends when it starts: %s", name, username, error)
            return None

    async def find(self, username, name):
        """The id of the user's job of this name, None where there is none: it may take a while to be listed. Raises
        HelperError, QueryError where the last answer was none."""
        for pause in LOOKS:
            await asyncio.sleep(pause)
            unknown = None
            try:
                async with metrics.command("find"):
                    completed = await self.helper.run(username, self.system.find_command(name, username), self.timeout)
                if found := self.system.parse_found(name, completed):
                    return found
            except (QueryError, NoAnswer) as error:
                unknown = error
        if unknown:
            raise unknown
        return None

    async def cancel(self, username, job_id):
        """End the job. What could not be cancelled now is tried again until the batch system took it, also by the next
        Hub."""
        self.poller.expect_end(job_id)
        try:
            await self._cancel(username, job_id)
        except HPCSpawnerError as error:
            self.log.error("Job %s of %s could not be cancelled and will be tried again: %s", job_id, username, error)
            self.owed.add(username, job_id)

    async def end(self, username, session_dir, lines=0, remove=True):
        """The end of a session's log; its directory is removed. "" where the helper could not look."""
        try:
            async with self._ends.turn(username):
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

    @metrics.command("status")
    async def _ask_status(self):
        completed = await run(self.system.status_command(), env=self.env, timeout=self.timeout)
        # In a thread: ten thousand jobs take some tenths of a second to read, and pages wait for nobody.
        return await asyncio.get_running_loop().run_in_executor(None, self.system.parse_status, completed)

    @metrics.command("owner_status")
    async def _ask_status_as(self, username):
        completed = await self.helper.run(username, self.system.status_command(), self.timeout, env=self._user_env)
        return self.system.parse_status(completed)

    @metrics.command("estimate")
    async def _estimate(self, username, request, text):
        completed = await self.helper.run(username, self.system.estimate_command(request),
                                          min(self.timeout, estimates.TIMEOUT), stdin=text, env=self._user_env)
        return self.system.parse_estimate(completed)

    @property
    def _user_env(self):
        return {**self.helper.env, "TZ": "UTC"}

    async def _refresh_info(self):
        answers = {}
        for commands in info_rounds(self.system, answers):
            done = await asyncio.gather(*map(self._ask_info, commands.values()), return_exceptions=True)
            for name, completed in zip(commands, done):
                if isinstance(completed, QueryError):
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

    @metrics.command("info")
    async def _ask_info(self, argv):
        completed = await run(argv, env=self.env, timeout=self.timeout)
        if completed.returncode:
            raise QueryError(str(completed))
        return completed

    async def _cancel(self, username, job_id):
        async with self._ends.turn(username), metrics.command("cancel"):
            self.system.parse_cancel(await self.helper.run(username, self.system.cancel_command(job_id), self.timeout))
