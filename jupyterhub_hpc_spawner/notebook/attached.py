"""Clusters of dask-jobqueue whose scheduler is the session's: ``cluster()`` makes them. Imported with dask-jobqueue."""
import asyncio
import logging
import math
import secrets
import shlex
import sys
import time
import weakref
from html import escape

import dask
import dask_jobqueue
from dask.utils import parse_timedelta
from distributed.core import Status
from distributed.deploy.adaptive import Adaptive
from distributed.deploy.spec import ProcessInterface

from . import jobs
from .attached_jobs import DirectJob, ExtraJob, HubJob

logger = logging.getLogger("jupyterhub_hpc_spawner")
PAUSE = 60
RETIRE_TIMEOUT = 30


class SessionScheduler(ProcessInterface):
    """The one that runs already; nothing here starts or ends it."""

    def __init__(self, address, **others):
        super().__init__()
        self.address = address


class AttachedAdaptive(Adaptive):
    """Counts whole jobs, and of workers only those of this cluster's jobs."""

    def __init__(self, cluster, minimum=0, maximum=math.inf, **kwargs):
        minimum, maximum = (n if math.isinf(n) else cluster.jobs_for(n) for n in (minimum, maximum))
        super().__init__(cluster, minimum=minimum, maximum=maximum, **kwargs)

    async def target(self):
        """Jobs, for what is more than the session's own workers can do."""
        return self.cluster.jobs_for(max(0, await super().target() - len(self.cluster.others)))

    async def safe_target(self):
        """What the site allows, and for a while no more than there are, when one has just been refused."""
        paused = time.monotonic() < self.cluster.paused_until
        return min(await super().safe_target(), len(self.plan) if paused else self.cluster.limit)

    async def workers_to_close(self, target):
        """Jobs, in the scheduler's order: idle ones first, then those that hold the least data."""
        names = await self.scheduler.workers_to_close(target=0, attribute="name", **self._workers_to_close_kwargs)
        place = {name: number for number, name in enumerate(names)}
        last = {job: max(place.get(name, math.inf) for name in self.cluster.workers_of(job)) for job in self.observed}
        free = sorted((job for job in last if last[job] < math.inf), key=last.get)
        return free[:len(self.observed) - target]

    async def scale_up(self, n):
        self.cluster.scale(jobs=n)

    async def scale_down(self, workers):
        """Jobs; what their workers hold goes to others first, see ``Attached.retire``."""
        await self.cluster.scale_down(workers)


class Attached:
    """Before a JobQueueCluster in the order of classes: what it starts joins the session, what it ends is its own.

    All its workers, and nobody else's, have names that begin with its own: ``extra-OWNER-JOB``, and a further number
    where a job has several.
    """

    # Whatever sets it: the scheduler is the session's, and its end that of all the session's workers.
    shutdown_scheduler = property(lambda self: False, lambda self, value: None)
    paused_until = 0
    limit = math.inf
    refusal = ""
    cancel_words = []
    _cluster_class_name = property(lambda self: type(self).__name__)

    def __init__(self, address, **settings):
        self.owner_comm = None
        job = type(self.job_cls.__name__, (ExtraJob, self.job_cls), {"cluster": weakref.proxy(self)})
        super().__init__(scheduler_cls=SessionScheduler, scheduler_options={"address": address}, job_cls=job,
                         name="extra-" + secrets.token_hex(3), **settings)

    @property
    def own(self):
        """Names of this cluster's workers."""
        return [name for name in self._names() if self._job(name)]

    @property
    def others(self):
        """Names of all other workers: the session's own, and those of other extra clusters."""
        return [name for name in self._names() if not self._job(name)]

    def _names(self):
        return [worker["name"] for worker in self.scheduler_info["workers"].values()]

    def _job(self, name):
        """The job of a worker, "" where it is not this cluster's."""
        return "-".join(str(name).split("-")[:3]) if str(name).startswith(self._name + "-") else ""

    def workers_of(self, job):
        """Names of the job's workers that the scheduler knows."""
        return [name for name in self.own if self._job(name) == job]

    def jobs_for(self, workers):
        return math.ceil(workers / len(self.new_spec.get("group", [""])))

    # Sets of jobs, for Adaptive.
    plan = property(lambda self: set(self.worker_spec))
    requested = property(lambda self: set(self.workers) & set(self.worker_spec))
    observed = property(lambda self: {self._job(name) for name in self.own})

    def scale(self, n=None, jobs=0, memory=None, cores=None):
        """Have ``n`` extra workers: the session's own are not counted and stay."""
        return super().scale(n, jobs=jobs, memory=memory, cores=cores)

    def adapt(self, Adaptive=AttachedAdaptive, **kwargs):
        """Have as many extra workers as the work needs, between ``minimum`` and ``maximum`` of them.

        The session's own are not counted and stay. Further arguments are those of ``dask.distributed.Adaptive``.
        """
        return super().adapt(Adaptive=Adaptive, **kwargs)

    async def scale_down(self, workers):
        for job in workers:
            self.worker_spec.pop(job, None)
        await self._correct_state()

    async def _start(self):
        await super()._start()
        # What the scheduler remembers of the cluster before.
        self.name = self._name
        if self.owner_comm is None:
            self.telling = asyncio.Lock()
            self.owner_comm = await self.scheduler_comm.live_comm()
            await self.owner_comm.write({"op": "own_extra_jobs", "owner": self._name, "cancel": self.cancel_words,
                                         "reply": False})
            await self.owner_comm.read()

    async def _correct_state_internal(self):
        """Jobs that could not be submitted are not asked for again and again; the reason is shown."""
        try:
            await super()._correct_state_internal()
        except Exception as error:
            refused = [name for name, job in self.workers.items() if job.job_id is None]
            if refused:
                self._refused(refused, str(error))
            else:  # not cancelled: at the end of a kernel there are no new threads; the scheduler does it then
                logger.debug("Extra jobs are left to the scheduler: %s", error)

    def _refused(self, names, why):
        for name in names:
            del self.workers[name]
            self.worker_spec.pop(name, None)
        self.refusal = why
        self.paused_until = time.monotonic() + PAUSE
        logger.warning("Extra jobs could not be submitted, %d of them: %s", len(names), why)

    async def tell_scheduler(self, job_id, over):
        """Of a job that began or ended without it: it cancels those that there are when this kernel is gone."""
        async with self.telling:
            try:
                await self.owner_comm.write({"job": job_id, "over": over})
            except OSError:
                pass  # it is gone, and so are its workers

    async def submit_job(self, **command):
        """What the command printed. The scheduler runs it: it outlives this kernel, and cancels the job then. Raises
        RuntimeError."""
        answer = await self.scheduler_comm.submit_extra_job(owner=self._name, **command)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["printed"]

    async def retire(self, job):
        """Move what the job's workers hold to others; not at the end of all, when nobody wants it any more."""
        names = self.workers_of(job)
        if names and self.status == Status.running:
            await asyncio.wait_for(self.scheduler_comm.retire_workers(names=names, close_workers=True), RETIRE_TIMEOUT)

    def _update_worker_status(self, op, msg):
        """A job of several workers is over when the last of them has gone; upstream never forgets it."""
        job = self._job(self.scheduler_info["workers"][msg]["name"]) if op == "remove" else ""
        super()._update_worker_status(op, msg)
        if job in self.workers and "group" in self.worker_spec.get(job, ()) and not self.workers_of(job):
            delay = parse_timedelta(dask.config.get("distributed.deploy.lost-worker-timeout"))
            asyncio.get_running_loop().call_later(delay, self._forget, job)

    def _forget(self, job):
        if job in self.workers and not self.workers_of(job):
            self._futures.add(asyncio.ensure_future(self.workers.pop(job).close()))

    def _summary(self):
        asked = sum(len(spec.get("group", [""])) for spec in self.worker_spec.values())
        text = "%d of the session, %d extra" % (len(self.others), len(self.own))
        return text if asked == len(self.own) else "%s of %d asked for" % (text, asked)

    def __repr__(self):
        return "%s, %s)" % (super().__repr__()[:-1], self._summary())

    def _repr_html_(self, cluster_status=None):
        rows = ("Workers", self._summary()), ("Last refusal", self.refusal)
        html = "".join('<tr><td colspan="2" style="text-align: left;"><strong>%s:</strong> %s</td></tr>'
                       % (label, escape(text)) for label, text in rows if text)
        return super()._repr_html_(cluster_status=html)

    def _scaling_status(self):
        mode = "Adaptive" if self._adaptive and self._adaptive.periodic_callback else "Manual"
        return "<p>Scaling mode: %s<br>Workers: %s</p>" % (mode, self._summary())


def direct(kind):
    """The class of clusters whose jobs are submitted from here; ``kind`` names dask-jobqueue's."""
    base = getattr(dask_jobqueue, kind)
    job = type(base.job_cls.__name__, (DirectJob, base.job_cls), {})
    return type("Session" + kind, (Attached, base), {"job_cls": job, "cancel_words": shlex.split(job.cancel_command)})


class HubCluster(Attached, dask_jobqueue.core.JobQueueCluster):
    """The one whose jobs the Hub submits."""

    job_cls = HubJob
    cancel_words = [sys.executable, jobs.__file__]

    def __init__(self, address, limit=math.inf, **settings):
        self.limit = limit
        super().__init__(address, **settings)
        self.new_spec["group"] = ["-%d" % number for number in range(settings["processes"])]
