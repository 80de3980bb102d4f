"""Loaded by the Dask scheduler: workers of extra jobs come and go, the session's own stay.

Extra workers are named ``extra-OWNER-…`` by whoever started their jobs, ``cluster()`` in a notebook. The owner keeps a
connection and says which jobs there are. When that ends, however it may, so do the jobs.
"""
import asyncio
import logging

from distributed.diagnostics.plugin import SchedulerPlugin

PREFIX = "extra-"
CANCEL_TIMEOUT = 2
logger = logging.getLogger("distributed.scheduler")


def owner_of(name):
    """``extra-OWNER`` of a worker, "" where it is one of the session's."""
    return "-".join(str(name).split("-")[:2]) if str(name).startswith(PREFIX) else ""


class ExtraWorkers(SchedulerPlugin):
    name = "jupyterhub-hpc-extra-workers"

    def __init__(self, scheduler):
        self.scheduler = scheduler
        self.jobs = {}
        self.gone = set()
        self.tasks = set()
        scheduler.handlers.update(own_extra_jobs=self.own, subscribe_worker_status=self.subscribe)

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

    async def own(self, comm, owner):
        """Handler: the connection of an owner. It sends the command that cancels, and the ids of its jobs."""
        self.gone.discard(owner)
        self.jobs[owner] = ([], [])
        try:
            message = await comm.read()
            while "jobs" in message:  # the last word of a connection that is closed in order is another
                self.jobs[owner] = message["cancel"], message["jobs"]
                message = await comm.read()
        finally:
            self._later(self._end(owner))

    async def before_close(self):
        await asyncio.gather(*map(self._cancel, list(self.jobs)))

    async def _end(self, owner):
        self.gone.add(owner)
        await self._cancel(owner)
        left = [address for address, worker in self.scheduler.workers.items() if owner_of(worker.name) == owner]
        if left:
            await self.scheduler.retire_workers(workers=left, close_workers=True)

    async def _cancel(self, owner):
        """What still waits in the queue, and what runs."""
        command, jobs = self.jobs.pop(owner, ([], []))
        if not command or not jobs:
            return
        logger.info("Extra jobs of %s are cancelled: %s", owner, " ".join(jobs))
        try:
            process = await asyncio.create_subprocess_exec(*command, *jobs)
            await asyncio.wait_for(process.wait(), CANCEL_TIMEOUT)
        except (OSError, asyncio.TimeoutError) as error:
            logger.warning("Extra jobs of %s may be left: %r", owner, error)

    def _later(self, work):
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


async def dask_setup(scheduler):
    scheduler.add_plugin(ExtraWorkers(scheduler))
