"""Loaded by the Dask scheduler: workers of extra jobs come and go, the session's own stay.

Extra workers are named ``extra-OWNER-…`` by whoever started their jobs, ``cluster()`` in a notebook. The owner keeps a
connection. When that ends, however it may, so do its jobs: they are submitted here, so that each is known here before
its owner, which may end meanwhile, knows of it.
"""
import asyncio
import logging
import os
import re
import signal
from asyncio.subprocess import DEVNULL, PIPE

from distributed.diagnostics.plugin import SchedulerPlugin

PREFIX = "extra-"
# Seconds for submissions that are under way at an owner's end, and at the session's; then for the command that cancels.
SUBMIT_PATIENCE, LAST_PATIENCE = 120, 2
CANCEL_TIMEOUT = 2
logger = logging.getLogger("distributed.scheduler")


def owner_of(name):
    """``extra-OWNER`` of a worker, "" where it is one of the session's."""
    return "-".join(str(name).split("-")[:2]) if str(name).startswith(PREFIX) else ""


class Jobs:
    """Those of one owner: the ids that are ``known``, and the submissions that are under way."""

    def __init__(self, cancel):
        self.cancel = cancel
        self.known = set()
        self.coming = set()
        self.cancelling = asyncio.Lock()

    async def submit(self, words, pattern, shell, env, cwd):
        """``words`` are an argument list, or with ``shell`` one text; ``pattern`` finds the job's id; ``env`` is pairs.
        """
        run = asyncio.create_subprocess_shell if shell else asyncio.create_subprocess_exec
        try:
            process = await run(*words, env=dict(env), cwd=cwd, stdin=DEVNULL, stdout=PIPE, stderr=PIPE,
                                start_new_session=True)
        except OSError as error:
            return {"error": str(error)}
        try:
            printed, errors = await process.communicate()
        finally:
            if process.returncode is None:  # with whatever submits for it
                os.killpg(process.pid, signal.SIGKILL)
        text = printed.decode(errors="replace")
        if process.returncode:
            return {"error": "%s ended with status %d: %s" % (
                words[0], process.returncode, (errors.decode(errors="replace") or text).strip())}
        found = re.search(pattern, text)
        if found:
            self.known.add(found["job_id"])
        return {"printed": text}

    def note(self, job, over):
        """HTCondor's ``17.0`` was known as ``17`` until its owner said so."""
        self.known -= {job, job.partition(".")[0]}
        if not over:
            self.known.add(job)

    async def end(self, owner, patience):
        """Cancel what waits in the queue and what runs, after what is just being submitted."""
        if self.coming:
            _, late = await asyncio.wait(self.coming, timeout=patience)
            for task in late:
                task.cancel()
        async with self.cancelling:
            known, self.known = sorted(self.known), set()
            if known:
                logger.info("Extra jobs of %s are cancelled: %s", owner, " ".join(known))
                await self._cancel(owner, known)

    async def _cancel(self, owner, known):
        try:
            # In a session of its own: what ends this scheduler must not end it half-way.
            process = await asyncio.create_subprocess_exec(*self.cancel, *known, start_new_session=True)
            status = await asyncio.wait_for(process.wait(), CANCEL_TIMEOUT)
            error = "%s ended with status %d" % (self.cancel[0], status) if status else None
        except (OSError, asyncio.TimeoutError) as trouble:
            error = repr(trouble)
        if error:
            self.known.update(known)  # tried again with the session's end
            logger.warning("Extra jobs of %s may be left: %s", owner, error)


class ExtraWorkers(SchedulerPlugin):
    name = "jupyterhub-hpc-extra-workers"

    def __init__(self, scheduler):
        self.scheduler = scheduler
        self.owners = {}
        self.gone = set()
        self.tasks = set()
        scheduler.handlers.update(own_extra_jobs=self.own, submit_extra_job=self.submit,
                                  subscribe_worker_status=self.subscribe)

    def valid_workers_downscaling(self, scheduler, workers):
        """Whatever asks which workers could go: never the session's own."""
        return [worker for worker in workers if owner_of(worker.name)]

    def add_worker(self, scheduler, worker):
        """Its job may have waited in the queue until nobody wants it any more."""
        if owner_of(scheduler.workers[worker].name) in self.gone:
            self._later(scheduler.retire_workers(workers=[worker], close_workers=True))

    def subscribe(self, comm):
        """Handler: a cluster in a notebook wants to hear of workers. Upstream, it cuts off the one before."""
        answer = self.scheduler.subscribe_worker_status(comm)
        listener = self.scheduler.plugins.pop("worker-status")
        listener.name = "worker-status-%d" % id(listener)
        self.scheduler.plugins[listener.name] = listener
        return answer

    async def own(self, comm, owner, cancel):
        """Handler: the connection of an owner. It tells of jobs that it submitted elsewhere, and of those that ended.

        ``cancel`` is the command that cancels, without the jobs.
        """
        self.gone.discard(owner)
        jobs = self.owners[owner] = Jobs(cancel)
        try:
            await comm.write("OK")
            message = await comm.read()
            while "job" in message:  # the last word of a connection that is closed in order is another
                jobs.note(message["job"], message["over"])
                message = await comm.read()
        finally:
            self._later(self._end(owner))

    async def submit(self, owner, **command):
        """Handler: what the command printed, the job is the owner's; or ``error``, which may be that all ends."""
        if owner in self.gone:
            return {"error": "the session, or this notebook's part in it, is ending"}
        jobs = self.owners.get(owner)
        if jobs is None:
            return {"error": "Dask of this session was started again: call cluster() again"}
        task = self._later(jobs.submit(**command))
        jobs.coming.add(task)
        task.add_done_callback(jobs.coming.discard)
        return await task

    async def before_close(self):
        # Of those that have just gone, too: kernels end right before their scheduler does.
        self.gone.update(self.owners)
        await asyncio.gather(*(jobs.end(owner, LAST_PATIENCE) for owner, jobs in self.owners.items()))

    async def _end(self, owner):
        self.gone.add(owner)
        jobs = self.owners[owner]
        await jobs.end(owner, SUBMIT_PATIENCE)
        if not jobs.known:  # those that could not be cancelled are tried again
            del self.owners[owner]
        left = [address for address, worker in self.scheduler.workers.items() if owner_of(worker.name) == owner]
        if left:
            await self.scheduler.retire_workers(workers=left, close_workers=True)

    def _later(self, work):
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task


async def dask_setup(scheduler):
    scheduler.add_plugin(ExtraWorkers(scheduler))
