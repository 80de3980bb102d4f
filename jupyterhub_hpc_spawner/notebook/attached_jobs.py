"""Extra jobs of a cluster in ``attached.py``: who submits and cancels them, and who hears of it."""
import asyncio
import logging
import os
from functools import partial

import dask_jobqueue
from distributed.deploy.spec import ProcessInterface

from . import jobs

logger = logging.getLogger("jupyterhub_hpc_spawner")
AT_ONCE = 4


class ExtraJob:
    """Before a Job of dask-jobqueue in the order of classes; ``cluster`` is its Attached."""

    cluster = None
    gate = None

    async def start(self):
        """Not all at once: to submit is work for the batch system, too."""
        cls = type(self)
        cls.gate = cls.gate or asyncio.Semaphore(AT_ONCE)
        async with cls.gate:
            await super().start()

    async def close(self):
        """Cancelled when its workers have handed on what they hold; that may fail, and the job still ends."""
        try:
            await self.cluster.retire(self.name)
        except Exception as error:
            logger.warning("Workers of %s could not be retired: %r", self.name, error)
        await super().close()
        if self.job_id:
            await self.cluster.tell_scheduler(self.job_id, over=True)
        await ProcessInterface.close(self)


class DirectJob:
    """Between both: one that is submitted by the batch system's commands in the session's job."""

    async def start(self):
        await super().start()
        await self.cluster.tell_scheduler(self.job_id, over=False)

    async def _submit_job(self, script_filename):
        # All classes of dask-jobqueue submit by this method of the object, and cancel by that of the class.
        self._call = self._have_submitted
        return await super()._submit_job(script_filename)

    async def _have_submitted(self, words, shell=False):
        env = [(os.fsencode(name), os.fsencode(value)) for name, value in without_token(os.environ).items()]
        return await self.cluster.submit_job(words=words, shell=shell, pattern=id_pattern(self), env=env,
                                             cwd=os.getcwd())

    @staticmethod
    async def _call(cmd, **kwargs):
        return await dask_jobqueue.core.Job._call(cmd, env=without_token(os.environ), **kwargs)


def id_pattern(job):
    """What finds the job's id in what was printed. HTCondor's is not found by dask-jobqueue's own pattern, but put
    together there."""
    return r"submitted to cluster (?P<job_id>\d+)" if job.config_name == "htcondor" else job.job_id_regexp


def without_token(env):
    """Batch systems hand on the environment of who submits, and keep it: the Hub's token is not for them."""
    return {name: value for name, value in env.items() if not name.startswith(("JUPYTERHUB_", "JPY_"))}


class HubJob(dask_jobqueue.core.Job):
    """One that the Hub submits, under the same rules as a session."""

    config_name = "local"

    def __init__(self, scheduler=None, name=None, options=None, lifetime=None, stagger=None, **settings):
        super().__init__(scheduler, name, shebang="", **settings)
        self.job_header = ""
        self.submit = partial(jobs.submit, "dask", options, name=name, workers=self.worker_processes,
                              lifetime=lifetime, stagger=stagger)

    async def start(self):
        self.job_id = await asyncio.get_running_loop().run_in_executor(None, self.submit)
        await self.cluster.tell_scheduler(self.job_id, over=False)
        await ProcessInterface.start(self)

    @classmethod
    async def _close_job(cls, job_id, cancel_command):
        if job_id:
            await asyncio.get_running_loop().run_in_executor(None, jobs.cancel, job_id)
