"""Loaded by the Dask scheduler: while its workers have tasks, the session is not idle; extra jobs that have none end.

It also keeps a file that says how many workers there are, for ``session()``.
"""
import asyncio
import json
import logging
import os
import time
from collections import defaultdict

from distributed.diagnostics.plugin import SchedulerPlugin

from . import activity

COUNT = "dask-workers.json"
SETTLED = 0.5
logger = logging.getLogger("distributed.scheduler")


class Activity(SchedulerPlugin):
    """``used``: by a worker's address, when it came or had its last task."""

    name = "jupyterhub-hpc-activity"

    def __init__(self, scheduler):
        self.scheduler = scheduler
        self.used = {}
        self.counting = None
        self._count()

    def computing(self):
        return any(worker.processing for worker in self.scheduler.workers.values())

    def add_worker(self, scheduler, worker):
        self.used[worker] = time.monotonic()
        self._count()

    def remove_worker(self, scheduler, worker, **more):
        self.used.pop(worker, None)
        self._count()

    def transition(self, key, start, finish, *args, worker=None, **more):
        if start == "processing" and worker in self.used:
            self.used[worker] = time.monotonic()

    def _count(self):
        """Soon: hundreds of workers come at the same time."""
        if self.counting is None:
            self.counting = asyncio.get_running_loop().call_later(SETTLED, self._tell_count)

    def _tell_count(self):
        self.counting = None
        extra = sum(bool(_job(worker)) for worker in self.scheduler.workers.values())
        activity.tell_count(activity.beside_session(COUNT), own=len(self.scheduler.workers) - extra, extra=extra)

    async def end_idle_jobs(self, patience):
        """Those whose workers had no task for so many seconds; 0: never."""
        while patience:
            await asyncio.sleep(min(activity.LOOK, patience / activity.LOOKS))
            await asyncio.gather(*(self._end(addresses, patience) for addresses in self._idle_jobs(patience)))

    def _idle_jobs(self, patience):
        """The addresses of each one's workers."""
        now = time.monotonic()
        jobs = defaultdict(list)
        for address, worker in self.scheduler.workers.items():
            if worker.processing or worker.actors:
                self.used[address] = now
            jobs[_job(worker)].append(address)
        jobs.pop("", None)
        return [job for job in jobs.values() if max(map(self.used.get, job)) <= now - patience]

    async def _end(self, addresses, patience):
        """What they hold goes to others first; where that does not fit they stay, and are asked again later."""
        for address in addresses:
            self.used[address] = time.monotonic()
        ended = await self.scheduler.retire_workers(workers=addresses, close_workers=False, remove=False)
        reason = activity.no_task(patience)
        for address in ended:
            logger.info("The worker %s of an extra job is closed: %s", address, reason)
            self.scheduler.worker_send(address, {"op": "close", "reason": reason})
        if len(ended) == len(addresses):
            activity.note_idle_end()


def _job(worker):
    """The same for all workers of one extra job, "" for the session's own; see ``dask_preload.py``."""
    return worker.extra.get("extra_job") or ""


def _patience():
    with open(os.environ["HPC_SESSION_FILE"]) as file:
        return json.load(file)["extra_jobs"]["idle_timeout"]


async def dask_setup(scheduler):
    workers = Activity(scheduler)
    scheduler.add_plugin(workers)
    # Kept by the scheduler: a loop alone does not hold its tasks.
    scheduler.hpc_activity = [asyncio.ensure_future(activity.watch(workers.computing)),
                              asyncio.ensure_future(workers.end_idle_jobs(_patience()))]
