"""Loaded by the Dask scheduler: while its workers have tasks, the session is not idle."""
import asyncio

from . import activity


async def dask_setup(scheduler):
    # Kept by the scheduler: a loop alone does not hold its tasks.
    scheduler.hpc_activity = asyncio.ensure_future(activity.watch(
        lambda: any(worker.processing for worker in scheduler.workers.values())))
