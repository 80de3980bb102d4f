"""One question to the batch system for all sessions, and every session's answer from it."""
import asyncio
import time
from dataclasses import dataclass, replace

from ..errors import HPCSpawnerError
from ..model import JobState, JobStatus

_UNASKED = JobStatus(JobState.UNKNOWN)
_MAX_PAUSE = 60


@dataclass
class _Watched:
    since: float
    status: JobStatus = _UNASKED
    missing: int = 0


class Poller:
    """Asks while any job is watched, every ``interval`` seconds and never more than a fifth of the time.

    ``ask`` is a coroutine function that returns the JobStatus by job id of all jobs. A question that fails
    changes nothing but the pause; a job that two successful answers lack, the first of them not just after its
    submission, has ended.
    """

    def __init__(self, ask, interval, log, clock=time.monotonic):
        self._ask = ask
        self.interval = interval
        self._log = log
        self._clock = clock
        self._watched = {}
        self._round = asyncio.Event()
        self._task = None
        self._last = -float("inf")
        self.failures = 0
        self.error = ""

    def watch(self, job_id):
        """Begin with the job; the next question comes as soon as the interval allows."""
        self._watched.setdefault(job_id, _Watched(self._clock()))
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._loop())

    def forget(self, job_id):
        self._watched.pop(job_id, None)

    def status(self, job_id):
        """What is known last; UNKNOWN before the first answer."""
        watched = self._watched.get(job_id)
        return watched.status if watched else _UNASKED

    async def next_round(self):
        """Wait for the next question to have been answered, or to have failed."""
        await self._round.wait()

    async def answered(self, job_id, timeout):
        """The job's status, if need be after waiting up to ``timeout`` seconds for a first answer."""
        self.watch(job_id)
        if self.status(job_id) is _UNASKED:
            try:
                await asyncio.wait_for(self.next_round(), timeout)
            except asyncio.TimeoutError:
                pass
        return self.status(job_id)

    async def _loop(self):
        pause = self.interval
        while self._watched:
            await asyncio.sleep(max(0, self._last + pause - self._clock()))
            self._last = self._clock()
            await self._ask_once()
            cost = self._clock() - self._last
            pause = min(max(self.interval, 5 * cost) * 2 ** min(self.failures, 4), max(_MAX_PAUSE, 5 * cost))
            self._round.set()
            self._round = asyncio.Event()

    async def _ask_once(self):
        try:
            jobs = await self._ask()
        except Exception as error:  # whatever it is, the sessions must be asked for again
            if not isinstance(error, HPCSpawnerError):
                self._log.exception("A question to the batch system failed in a way that nobody expected")
            self.failures += 1
            self.error = str(error)
            if self.failures in (1, 10) or self.failures % 100 == 0:
                self._log.warning("The batch system could not be asked (%d times now); every session keeps its last "
                                  "known state: %s", self.failures, error)
            return
        if self.failures:
            self._log.info("The batch system answers again, after %d failures", self.failures)
        self.failures, self.error = 0, ""
        for job_id, watched in self._watched.items():
            self._update(watched, jobs.get(job_id))

    def _update(self, watched, status):
        if status is not None:
            watched.missing = 0
            if status.state == JobState.UNKNOWN and status.code != watched.status.code:
                self._log.warning("The batch system gives a job the state %r, which is not in the table", status.code)
            watched.status = status
        elif self._clock() - watched.since > self.interval:
            watched.missing += 1
            if watched.missing >= 2:
                watched.status = replace(watched.status, state=JobState.FINISHED, code=watched.status.code or "GONE")
