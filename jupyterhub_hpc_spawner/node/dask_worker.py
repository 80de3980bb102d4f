"""One Dask worker in a process of its own, with no nanny beside it: ``dask_keeper.py`` does what a nanny did.

Imported before the fork, and nothing but by who starts workers: here distributed is imported at the top.
"""
import asyncio
import mmap
import os
import signal
import sys

import dask
from distributed import Status, Worker
from distributed.core import error_message
from distributed.versions import get_versions

from .processes import die_with_parent

# Exit statuses: not to be replaced, to be replaced by a new one at once, and as after any other failure.
STAY_AWAY = 0
AS_TOLD = 75
LOST = 76
CLOSE_GRACE = 4
DEATH_TIMEOUT = 120
# Closed on purpose and for good; any other end of a worker is one that a nanny would mend.
FINAL = {"scheduler-close", "scheduler-close-worker", "worker-close", "worker-close-gracefully",
         "worker-lifetime-reached"}


class NodeWorker(Worker):
    """Answers at its own address as its own nanny, so that ``Client.restart`` and ``restart_workers`` work."""

    exit_status = LOST

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.handlers.update(kill=self.kill, plugin_add=_no_nanny_plugins, plugin_remove=_no_nanny_plugins)

    def start_http_server(self, *args, **kwargs):
        """None: its pages would be open to everybody on the node (/metrics, /health, call stacks).

        Called when the worker listens and the scheduler does not know it yet.
        """
        self.nanny = self.address

    async def kill(self, timeout=None, reason=None):
        """The scheduler's request to be a new worker: gone from its books when this answers."""
        self.exit_status = AS_TOLD
        await self.scheduler.unregister(address=self.address, stimulus_id="%s-%s" % (reason, self.id))
        self.loop.add_callback(self.close, reason=reason)

    async def close(self, timeout=30, executor_wait=True, nanny=True, reason="worker-close"):
        """Never hangs: two ends at once can stop distributed's own for ever. What tasks still run is left."""
        signal.alarm(CLOSE_GRACE)
        if self.exit_status == AS_TOLD:
            await asyncio.sleep(0.05)  # the answer to the scheduler goes out first
        elif nanny and (reason in FINAL or self.status == Status.closing_gracefully):
            self.exit_status = STAY_AWAY
        return await super().close(timeout=2, executor_wait=False, nanny=False, reason=reason)


def _no_nanny_plugins(comm=None, **message):
    return error_message(NotImplementedError(
        'plugins of nannies need workers with nannies: c.HPCSpawner.dask_launcher = "nanny"'))


def warm_up():
    """What a worker that starts would look up by itself, once before the fork: half of what one costs."""
    get_versions()
    # Routes of the server that is not started.
    dask.config.set({"distributed.worker.http.routes": []})


def work(spec, index, name, directory):
    """Be this node's worker of that number until its end, and never return."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    die_with_parent()
    os.environ.update(spec["environments"][index])
    # Where ``python -m distributed.cli.dask_worker`` looks: for modules beside the user's notebook.
    sys.path[0] = os.getcwd()
    _reseed()
    status = 1
    try:
        status = asyncio.run(_work(spec, index, name, directory))
    finally:
        sys.stderr.flush()
        os._exit(status)


def _reseed():
    """Forked workers would all draw the same numbers from numpy's global generator."""
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()


async def _work(spec, index, name, directory):
    worker = NodeWorker(
        spec["scheduler"], name=name, nthreads=spec["threads"], host=spec["host"], memory_limit=spec["memory"],
        local_directory=directory, death_timeout=DEATH_TIMEOUT, resources=spec["resources"][index] or None,
        lifetime=spec["lifetime"], lifetime_stagger=spec["stagger"],
        startup_information={"extra_job": lambda worker: os.environ.get("HPC_EXTRA_JOB")})
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, lambda: asyncio.ensure_future(worker.close()))
    async with worker:
        beating = asyncio.ensure_future(_beat(spec["pulse"], index))
        await worker.finished()
        beating.cancel()
    return worker.exit_status


async def _beat(path, index):
    """Tell the keeper once a second that this loop turns."""
    with open(path, "r+b") as pulse, mmap.mmap(pulse.fileno(), 0) as beats:
        while True:
            beats[index] = beats[index] % 255 + 1
            await asyncio.sleep(1)
