"""One question to the batch system for all sessions, and every session's answer from it."""
import asyncio
import time
from dataclasses import dataclass, replace

from ..errors import HPCSpawnerError
from ..model import JobState, JobStatus
from .commands import first_of, within

_UNASKED = JobStatus(JobState.UNKNOWN)
_MAX_PAUSE = 60
# So many intervals while all jobs run and nobody waits for one: jobs tell the Hub of their end themselves.
_REST = 3
_OWNERS_AT_ONCE = 4
# Seconds from a cancel to its job's end: some batch systems give jobs a minute.
GONE_WITHIN = 90


@dataclass
class _Watched:
    owner: str
    since: float
    status: JobStatus = _UNASKED
    asked: float = 0
    missing: int = 0
    ending: bool = False

    @property
    def in_doubt(self):
        return self.status is _UNASKED or (self.missing and self.status.state != JobState.FINISHED)

    @property
    def at_rest(self):
        return self.status.state == JobState.RUNNING and not self.missing and not self.ending


class Poller:
    """Asks while any job is watched, every ``interval`` seconds and never more than a fifth of the time; less often
    while nobody waits for an answer.

    ``ask`` is a coroutine function that returns the JobStatus by job id of all jobs. A question that fails
    changes nothing but the pause. A job that two successful answers lack, the first of them not just after its
    submission, may have ended, or be hidden from the Hub's account: ``ask_as``, the same question as its owner,
    tells. So a site that hides jobs costs one question per user with a session, and any other one for each end.
    """

    def __init__(self, ask, ask_as, interval, log, clock=time.monotonic):
        self._ask = ask
        self._ask_as = ask_as
        self.interval = interval
        self._log = log
        self._clock = clock
        self._watched = {}
        self._round = asyncio.Event()
        self._wanted = asyncio.Event()
        self._task = None
        self._last = -float("inf")
        self._blind = False
        self.failures = 0
        self.error = ""

    def watch(self, job_id, owner, submitted=True):
        """Begin with the job; the next question comes as soon as the interval allows. One that was not ``submitted``
        just now is listed, or has ended. False where it is watched already."""
        begins = job_id not in self._watched
        if begins:
            self._watched[job_id] = _Watched(owner, self._clock() if submitted else -float("inf"))
            self._wanted.set()
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._loop())
        return begins

    def expect_end(self, job_id):
        """Somebody waits for the job's end."""
        if job_id in self._watched:
            self._watched[job_id].ending = True
            self._wanted.set()

    def forget(self, job_id):
        self._watched.pop(job_id, None)

    def status(self, job_id):
        """What is known last; UNKNOWN before the first answer."""
        watched = self._watched.get(job_id)
        return watched.status if watched else _UNASKED

    def lacks(self, job_id):
        """Whether the batch system's last answer did not have the job, which may be why it is FINISHED."""
        watched = self._watched.get(job_id)
        return bool(watched and watched.missing)

    def asked(self, job_id):
        """When the question was put that the status answers, in seconds since 1970."""
        watched = self._watched.get(job_id)
        return watched.asked if watched else 0

    async def next_round(self):
        """Wait for the next question to have been answered, or to have failed."""
        await self._round.wait()

    async def answered(self, job_id, owner, timeout):
        """The job's status, if need be after waiting up to ``timeout`` seconds for an answer that tells whether it is
        there; not for a batch system that does not answer at all."""
        self.watch(job_id, owner, submitted=False)
        late = self._clock() + timeout
        while self._watched[job_id].in_doubt and (left := late - self._clock()) > 0:
            try:
                await within(left, self.next_round())
            except asyncio.TimeoutError:
                break
            if self.failures or job_id not in self._watched:
                break
        return self.status(job_id)

    async def is_gone(self, job_id, owner):
        """Whether a job that was cancelled has ended, if need be after GONE_WITHIN seconds. Its session may watch it,
        too, and forget it meanwhile."""
        mine, late = False, self._clock() + GONE_WITHIN
        while (state := self.status(job_id).state) != JobState.FINISHED and self._clock() < late:
            mine = self.watch(job_id, owner, submitted=False) or mine
            self.expect_end(job_id)
            await self.next_round()
        if mine:
            self.forget(job_id)
        return state == JobState.FINISHED

    async def _loop(self):
        pause = self.interval
        while self._watched:
            await asyncio.sleep(max(0, self._last + pause - self._clock()))
            await self._rest()
            self._last = self._clock()
            await self._ask_once()
            cost = self._clock() - self._last
            if self.failures:  # a command that hung was no work for the batch system: its cost counts once
                pause = cost + max(self.interval, min(self.interval * 2 ** min(self.failures, 4), _MAX_PAUSE))
            else:
                pause = max(self.interval, 5 * cost)
            self._round.set()
            self._round = asyncio.Event()

    async def _rest(self):
        """While all run, up to the end of the longer pause; who comes meanwhile ends it."""
        self._wanted.clear()
        pause = self._last + _REST * self.interval - self._clock()
        if pause > 0 and self._watched and all(watched.at_rest for watched in self._watched.values()):
            await first_of(asyncio.sleep(pause), self._wanted.wait())

    async def _ask_once(self):
        asked = time.time()
        try:
            jobs = await self._ask()
        except Exception as error:  # whatever it is, the sessions must be asked for again
            self._failed(error)
            return
        if self.failures:
            self._log.info("The batch system answers again, after %d failures", self.failures)
        self.failures, self.error = 0, ""
        for job_id, watched in self._watched.items():
            self._update(watched, jobs.get(job_id), asked)
        await self._ask_owners([job_id for job_id, watched in self._watched.items() if watched.missing >= 2])

    def _failed(self, error):
        if not isinstance(error, HPCSpawnerError):
            self._log.error("A question to the batch system failed in a way that nobody expected", exc_info=error)
        self.failures += 1
        self.error = str(error)
        if self.failures in (1, 10) or self.failures % 100 == 0:
            self._log.warning("The batch system could not be asked (%d times now); every session keeps its last "
                              "known state: %s", self.failures, error)

    def _update(self, watched, status, asked):
        if status is not None:
            watched.missing = 0
            if status.state == JobState.UNKNOWN and status.code != watched.status.code:
                self._log.warning("The batch system gives a job the state %r, which is not in the table", status.code)
            watched.status, watched.asked = status, asked
        elif self._clock() - watched.since > self.interval:
            watched.missing += 1

    async def _ask_owners(self, missing):
        """Of the jobs that the Hub does not see: what their owners are told."""
        missing = [job_id for job_id in missing if self._watched[job_id].status.state != JobState.FINISHED]
        owners = {self._watched[job_id].owner for job_id in missing}
        free, asked = asyncio.Semaphore(_OWNERS_AT_ONCE), time.time()

        async def ask(owner):
            async with free:
                return await self._ask_as(owner)

        answers = dict(zip(owners, await asyncio.gather(*map(ask, owners), return_exceptions=True)))
        for job_id in missing:
            if watched := self._watched.get(job_id):
                self._update_by_owner(job_id, watched, answers[watched.owner], asked)

    def _update_by_owner(self, job_id, watched, answer, asked):
        if isinstance(answer, BaseException):
            unexpected = None if isinstance(answer, HPCSpawnerError) else answer
            self._log.warning("Whether job %s has ended is not known: %s", job_id, answer, exc_info=unexpected)
        elif job_id not in answer:
            # What was known of it, such as what it waited for, was not about its end.
            watched.status = JobStatus(JobState.FINISHED, watched.status.code or "GONE")
        else:
            # Owners see their own jobs alone: nobody knows what is ahead of them.
            watched.status, watched.asked = replace(answer[job_id], ahead=None), asked
            if not self._blind:
                self._blind = True
                self._log.error("The Hub's account does not see job %s of %s, which is there: the batch system hides "
                                "other users' jobs. Each user with a session is asked for until the Hub's account may "
                                "see all jobs.", job_id, watched.owner)
