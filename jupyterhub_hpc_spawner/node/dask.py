"""Dask in the job: the scheduler beside the server, workers on every node.

The launcher holds the scheduler's port from the start, so the address is known before anything runs: kernels have it
in their environment, and a ``Client()`` that comes too early, or after Dask failed, meets a refused connection
and never a cluster of its own.
"""
import asyncio
import itertools
import os
import shutil
import signal
import sys
import tempfile
from contextlib import suppress
from importlib.util import find_spec

from . import dask_pages, jobqueue, network, resources
from .dask_workers import NOTE, before_start
from .everywhere import LIFELINE, Everywhere, appears
from .processes import Child, tail
from .report import say

START_TIMEOUT = 60
SCHEDULER_GRACE = 5  # it cancels extra jobs first, see dask_plugin.py
WORKER_GRACE = 4
RANK_SIGN = "dask-mpi-"


class Runtime:
    """The launcher's part: on the first node only."""

    def __init__(self, launcher, plan):
        self.launcher = launcher
        self.plan = plan
        self.engines = self._engines_beside()
        self.scheduler = self.held = None
        self.workers = None
        # Sockets have short paths and belong on this node's own disk; the directory is private (0700).
        self.private = tempfile.mkdtemp(prefix="jupyter-dask-")

    def prepare(self):
        """What the server's and every kernel's environment gets. ``facts`` are for the session file."""
        self.held = network.hold_port(self.launcher.address)
        port = self.held.getsockname()[1]
        self.address = "tls://%s:%d" % (network.bracketed(self.launcher.address), port)
        facts, settings = jobqueue.prepare(self.launcher, self.address, *self._share())
        self.facts = {"address": self.address, "workers": self._expected_workers(), "python": sys.executable,
                      "dashboard": os.environ.get("JUPYTERHUB_SERVICE_PREFIX", "/") + "dask-dashboard/status", **facts}
        return {"DASK_SCHEDULER_ADDRESS": self.address, "JUPYTERHUB_HPC_DASHBOARD": self.dashboard,
                **dask_pages.prepare(self.launcher, self.dashboard), **settings}

    def _expected_workers(self):
        """Of all nodes, if the others are as this one."""
        return self._share()[0] * len(self.launcher.nodes)

    def _engines_beside(self):
        """How many engines of IPyParallel run on each node, too."""
        if self.plan["ipyparallel"] is None:
            return 0
        return resources.engines(os.environ, self.plan["ipyparallel"],
                                 (self.plan["workers_per_node"], self.plan["threads_per_worker"]))

    def _share(self):
        return resources.share_node(os.environ, self.plan["workers_per_node"], self.plan["threads_per_worker"],
                                    self.engines)

    @property
    def dashboard(self):
        return os.path.join(self.private, "dashboard")

    async def run(self):
        """Start, then stay with it; what went wrong is in the session file and in the log. May be called again."""
        watching = []
        try:
            await self._start()
            watching = [asyncio.ensure_future(task) for task in (
                self._watch_workers(), self._read_notes(), *map(self._watch_node, *self._by_node()))]
            code = await self.scheduler.wait()
            self._failed("the scheduler ended with status %d" % code)
        except asyncio.TimeoutError:
            self._failed("the scheduler did not answer within %d s" % START_TIMEOUT)
        except OSError as error:
            self._failed(str(error))
        finally:
            for task in watching:
                task.cancel()
        await self.stop()

    async def end(self):
        await self.stop()
        if self.held:
            self.held.close()
        shutil.rmtree(self.private, ignore_errors=True)

    async def stop(self):
        """The scheduler first: workers that lose it end by themselves; all at once they can hang for ever."""
        if self.scheduler:
            await self.scheduler.end(SCHEDULER_GRACE)
        if self.workers:
            try:
                await asyncio.wait_for(self.workers.wait(), WORKER_GRACE)
            except asyncio.TimeoutError:
                pass
            await self.workers.end(2 * WORKER_GRACE)

    async def _start(self):
        self._forget_last_start()
        port = self.held.getsockname()[1]
        self.scheduler = await Child.start(
            "dask-scheduler", self.launcher.node_command("dask-scheduler", self.launcher.address, str(port)),
            dict(os.environ, DASK_TEMPORARY_DIRECTORY=self.private), self.launcher.path("dask-scheduler.log"))
        # Workers that come before it, on a busy machine or a slow file system, give up or come back late.
        await asyncio.wait_for(self._listening(port), START_TIMEOUT)
        if self.plan["launcher"] == "mpi":
            await self._start_ranks()
        else:
            await self._start_workers(self.plan["remote_run"], None, "dask-worker", self.plan["workers_per_node"] or 0,
                                      self.plan["threads_per_worker"] or 0, self.plan["launcher"], self.engines)
        self.launcher.session_file.runtime("dask", state="running")
        say("the Dask scheduler listens at %s" % self.address)

    def _forget_last_start(self):
        for name in os.listdir(self.launcher.directory):
            if name.startswith((NOTE, RANK_SIGN)):
                os.remove(self.launcher.path(name))

    async def _start_workers(self, prefix, env, verb, *arguments):
        command = self.launcher.node_command(verb, self.address, *map(str, arguments))
        self.workers = await Everywhere.start(self.launcher, "dask-workers", prefix, command, env,
                                              self.launcher.path("dask-workers.log"), 2 * WORKER_GRACE)

    async def _start_ranks(self):
        """dask-mpi in the first of the batch system's ways to start MPI that suits the environment's."""
        missing = [name for name in ("mpi4py", "dask_mpi") if not find_spec(name)]
        if missing:
            raise OSError("dask_launcher is \"mpi\", and %s not installed" % " and ".join(missing))
        count, threads = self._share()
        total = count * len(self.launcher.nodes)
        why = "there is no way to start MPI programs here"
        for number, words in enumerate(self.plan["mpi_run"]):
            if not shutil.which(words[0]):
                why = "%s is not in PATH" % words[0]
                continue
            sign = self.launcher.path("%s%d" % (RANK_SIGN, number))
            prefix = [word.format(per_node=count, total=total, nodes=",".join(self.launcher.nodes)) for word in words]
            await self._start_workers(prefix, before_start(os.environ, threads), "dask-rank", threads, count, total,
                                      sign, self.engines, LIFELINE)
            if await appears(sign, self.workers, START_TIMEOUT):
                return
            why = self.workers.tail()
            await self.workers.end(WORKER_GRACE)
        raise OSError("the workers could not be started with MPI: %s" % why)

    async def _read_notes(self):
        """What nodes have to say about their workers; the kernels read it in the session file."""
        for pause in itertools.chain((1, 2, 4, 8, 15, 30), itertools.repeat(60)):
            await asyncio.sleep(pause)
            with suppress(OSError):  # the directory is away, maybe for a moment
                for name in os.listdir(self.launcher.directory):
                    if name.startswith(NOTE):
                        self._note(name[len(NOTE):], tail(self.launcher.path(name)))

    def _note(self, node, text):
        notes = self.launcher.session_file.data["runtimes"]["dask"].get("notes", {})
        if notes.get(node) != text:
            self.launcher.session_file.runtime("dask", notes={**notes, node: text})

    async def _listening(self, port):
        while not network.listens_here(self.launcher.address, port):
            if self.scheduler.returncode is not None:
                raise OSError("the scheduler ended with status %d" % self.scheduler.returncode)
            await asyncio.sleep(0.1)

    def _by_node(self):
        """(nodes, their commands) where each of several nodes has one of its own."""
        nodes, children = self.launcher.nodes, self.workers.children
        return (nodes, children) if len(nodes) == len(children) > 1 else ([], [])

    async def _watch_node(self, node, child):
        """Those of one node may end, or never start, while the others work."""
        code = await child.wait()
        if code and self.scheduler.returncode is None:
            self._note(node, "its workers ended with status %d; the reason may be in %s" % (code, self.workers.log))
            say("Dask: the workers of %s ended with status %d" % (node, code))

    async def _watch_workers(self):
        code = await self.workers.wait()
        if self.scheduler.returncode is None:
            self._failed("the workers ended with status %d" % code, self.workers.tail())

    def _failed(self, what, end=None):
        end = tail(self.launcher.path("dask-scheduler.log")) if end is None else end
        self.launcher.session_file.runtime("dask", state="failed", error="%s\n%s" % (what, end))
        say("Dask: %s\n%s" % (what, end))


def run_scheduler(address, port):
    """Become the scheduler. Its HTTP server moves to a socket that only this user can open."""
    # Grid Engine's warnings go to every process of a job. The launcher ends this one, which then cancels extra jobs.
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    from distributed.cli.dask_scheduler import main
    here = os.path.dirname(os.path.abspath(__file__))
    sys.argv = ["dask-scheduler", "--host", address, "--port", port, "--dashboard-address", "127.0.0.1:0",
                "--preload", os.path.join(here, "dask_preload.py"), "--preload", os.path.join(here, "dask_plugin.py"),
                "--preload", __package__ + ".dask_activity"]
    return main()
