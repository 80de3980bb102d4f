"""Extra jobs: what a session asks for beside its own job. Dask workers that join it, clusters of IPyParallel.

Each is staged, submitted and looked after as a session is, and goes with its session at the latest.
"""
import asyncio
from collections import defaultdict, deque

from ..errors import ConfigError, HelperError, OptionError, OptionErrors, QueryError, SubmitError
from ..model import JobState
from . import private, staging
from .commands import within
from .failures import StartFailed, bad_options
from .session import LOG_LINES, ExtraJob, new_name

OVERRIDES = frozenset({"queue", "account", "qos", "reservation", "node_type", "nodes", "cores", "memory", "gpus",
                       "gpu_type", "walltime"})
# What the session's own options say of these is not for an extra job.
_OWN = {"nodes", "dask_workers_per_node", "dask_threads_per_worker", "ipyparallel_engines_per_node"}


def extra_options(own, wish):
    """The session's own options, overridden by what is wished: for ``parse_options``. Raises OptionErrors.

    Counts for runtimes are the wish's alone, and the number of nodes the preset's or the site's if not said.
    """
    if bad := sorted(wish.options.keys() - OVERRIDES):
        raise OptionErrors([OptionError(name, "is not an option of an extra job") for name in bad])
    raw = {name: value for name, value in own.items() if name not in _OWN}
    raw.update((name, value) for name, value in wish.options.items() if value is not None)
    if wish.runtime == "dask":
        return {**raw, "dask": True, "dask_workers_per_node": wish.workers, "dask_threads_per_worker": wish.threads}
    return {**raw, "ipyparallel": True, "ipyparallel_engines_per_node": wish.engines}


def jobs_of(spawner):
    """The ExtraJobs of the spawner's session."""
    if spawner.session.extra is None:
        spawner.session.extra = ExtraJobs(spawner)
    return spawner.session.extra


class ExtraJobs:
    """Those of one session. The records are in the session's state; ``ended`` are the last ones, with the reason."""

    def __init__(self, spawner):
        self.spawner = spawner
        self.session = spawner.session
        self.cluster = spawner.cluster
        self.username = spawner.user.name
        self.ended = deque(maxlen=20)
        self.over = False
        self._submitting = None
        self._following = None
        self._burials = {}

    @property
    def jobs(self):
        return self.session.state.extra

    async def submit(self, wish):
        """The new job's id. Raises StartFailed in the policy's or the batch system's own words."""
        options = await self._options(wish)
        job = self._admit(wish, options)
        # Shielded: whoever asked may go away, the job must be known all the same.
        return await asyncio.shield(asyncio.ensure_future(self._in_turn(wish, options, job)))

    async def cancel(self, job_id):
        """End one of them; one that is over already is no error."""
        if any(job.job_id == job_id for job in self.jobs):
            async with self._turn():
                await self.cluster.cancel(self.username, job_id)

    def show(self):
        """A dict for each, the ones that ended included."""
        return [*(_shown(job, JobState.FINISHED, reason) for job, reason in self.ended),
                *(_shown(job, *self._state(job)) for job in self.jobs if job.job_id)]

    def _state(self, job):
        """Finished is only what is buried: its reason is the log's."""
        status = self.cluster.poller.status(job.job_id)
        if job.job_id in self._burials or status.state == JobState.FINISHED:
            return JobState.UNKNOWN, "It has ended."
        return status.state, status.explanation or status.reason

    def watch(self):
        """Look after them, also after a restart of the Hub."""
        for job in self.jobs:
            if job.job_id:
                self.cluster.poller.watch(job.job_id, self.username)
        if self.jobs and not self.over and (self._following is None or self._following.done()):
            self._following = asyncio.ensure_future(self._follow())

    async def cancel_all(self):
        """With the end of the session; what is just being submitted is waited for."""
        if self.over:
            return
        self.over = True
        if self._submitting:
            await asyncio.wait([self._submitting])
        await asyncio.gather(*(self.cluster.cancel(self.username, job.job_id) for job in self.jobs if job.job_id))

    async def end(self, patience):
        """Cancel all, wait so many seconds for their end, and remove what they leave."""
        await self.cancel_all()
        if self._following:
            self._following.cancel()
        try:
            await within(patience, self._all_finished())
        except asyncio.TimeoutError:
            if self.jobs:
                self.session.log.warning("Extra jobs were cancelled and have not ended yet: %s",
                                         ", ".join(job.job_id for job in self.jobs))
        for job in self.jobs:
            if job.job_id:
                self._bury(job)
        if self._burials:
            await asyncio.wait(self._burials.values())

    async def _options(self, wish):
        if self.over or self.session.over or not self.session.state.job_id:
            raise StartFailed(409, "The session does not run.")
        if self.spawner.extra_jobs == "none":
            raise StartFailed(403, "This site does not allow extra jobs.")
        await self.spawner.apply_group_overrides()
        own = private.unwrap(self.spawner.user_options)
        if wish.runtime == "dask" and not (await self.spawner.check_options(own)).dask:
            raise StartFailed(400, "dask: this session was started without Dask, so there is nothing to join.")
        try:
            raw = extra_options(own, wish)
        except OptionErrors as errors:
            raise bad_options(errors) from None
        options = await self.spawner.check_options(raw)
        engines = options.ipyparallel_engines_per_node or 0
        if engines > (options.cores or 1) and "cores" not in wish.options and self._can_choose_cores():
            options = await self.spawner.check_options({**raw, "cores": engines})
        return options

    def _can_choose_cores(self):
        return "cores" not in self.cluster.system.unsupported()

    def _admit(self, wish, options):
        """The job's record, from now on counted. Raises StartFailed where that is too many."""
        most, taken = self.spawner.max_extra_nodes, sum(job.nodes for job in _all_of(self.spawner.user))
        if taken + options.nodes > most:
            raise StartFailed(400, f"nodes: {options.nodes} more in extra jobs would be {taken + options.nodes}; "
                                   f"at most {most} for each user here")
        name = new_name()
        job = ExtraJob(wish.runtime, wish.name or name.replace("jupyter", "extra"), options.nodes, name,
                       f"{self.session.state.directory.rpartition('/')[0]}/{name}")
        self.jobs.append(job)
        return job

    def _turn(self):
        """One command of a user at a time."""
        return private.shared(self.spawner, "hpc_spawner_turns", lambda: defaultdict(asyncio.Lock))[self.username]

    async def _in_turn(self, wish, options, job):
        try:
            async with self._turn():
                if self.over:
                    raise StartFailed(409, "The session is ending.")
                self._submitting = asyncio.ensure_future(self._submit(wish, options, job))
                return await self._submitting
        except BaseException:
            self.jobs.remove(job)
            raise

    async def _submit(self, wish, options, job):
        try:
            request, text, files = staging.render(self.spawner, options, job.name, job.directory)
            files.update(staging.extra_files(self.spawner, options, job, request, self.cluster.system,
                                             wish.settings(job.label)))
            job.job_id = await self.cluster.submit(self.username, request, text, files)
        except SubmitError as error:
            raise StartFailed(400, f"The batch system refused the job: {error}") from error
        except (ConfigError, HelperError, QueryError) as error:
            self.session.log.error("No extra job: %s", error)
            raise StartFailed.not_submitted(error) from error
        private.persist(self.spawner)
        self.session.log.info("The session has the extra job %s (%s, %d nodes)", job.job_id, job.runtime, job.nodes)
        self.watch()
        return job.job_id

    async def _follow(self):
        """Bury what has ended, until none is left."""
        while self.jobs:
            await self.cluster.poller.next_round()
            for job in self._finished():
                self._bury(job)

    def _finished(self):
        poller = self.cluster.poller
        return [job for job in self.jobs if job.job_id and poller.status(job.job_id).state == JobState.FINISHED]

    async def _all_finished(self):
        self.watch()
        while len(self._finished()) < len([job for job in self.jobs if job.job_id]):
            await self.cluster.poller.next_round()

    def _bury(self, job):
        """Its directory goes, and it no longer counts; the end of its log is kept for a while."""
        if job.job_id not in self._burials:
            self._burials[job.job_id] = asyncio.ensure_future(self._remove(job))

    async def _remove(self, job):
        log = await self.cluster.end(self.username, job.directory, LOG_LINES)
        self.ended.append((job, "\n".join(filter(None, [self.cluster.poller.status(job.job_id).reason, log]))))
        self.cluster.poller.forget(job.job_id)
        self.jobs.remove(job)
        del self._burials[job.job_id]
        private.persist(self.spawner)


def _all_of(user):
    """The extra jobs of all sessions of a user."""
    for spawner in user.spawners.values():
        if session := getattr(spawner, "session", None):
            yield from session.state.extra


def _shown(job, state, reason):
    return {"job_id": job.job_id, "runtime": job.runtime, "name": job.label, "nodes": job.nodes, "state": state.value,
            "reason": reason[-4000:], "directory": job.directory}
