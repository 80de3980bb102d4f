"""IPyParallel in the job: the controller beside the server, engines on every node.

The engines are the ranks of one MPI program where the environment has mpi4py and one of the batch system's ways to
start MPI suits it; otherwise they are plain engines, and the session file says so and why.
"""
import asyncio
import os
import runpy
import shutil
import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec

from . import resources
from .everywhere import LIFELINE, Everywhere, appears
from .ipcontroller import IDLE
from .lifeline import guard
from .processes import die_with_parent, first_of
from .report import say

START_TIMEOUT = 60
GRACE = 4
# ipengine's own 5 and 10 s are too short for hundreds of engines on a shared file system.
PATIENCE = ("--timeout=120", "--IPEngine.wait_for_url_file=120")
MPI_READY = "mpi-ready"


class Runtime:
    """The launcher's part: on the first node only."""

    def __init__(self, launcher, plan):
        self.launcher = launcher
        self.plan = plan
        self.profile = launcher.path(plan["profile"])
        self.per_node = resources.engines(os.environ, plan["engines_per_node"], plan["dask"])
        self.total = self.per_node * plan["nodes"]
        self.running = {}

    def prepare(self):
        self.facts = {"client_file": os.environ["IPP_CLIENT_FILE"], "engines": self.total}
        return {}

    async def run(self):
        """Start, then stay with it; what went wrong is in the session file and in the logs. May be called again."""
        try:
            # Of a former controller: its file would be taken for that of the new one.
            shutil.rmtree(self.profile, ignore_errors=True)
            os.mkdir(self.profile, 0o700)
            # The engines only now: a node that looked for the file in vain may not see it for half a minute on NFS.
            if not await self._start("ipcontroller", [], os.environ["IPP_CLIENT_FILE"], self.launcher.address,
                                     str(self.plan.get("idle_timeout", 0))):
                raise OSError("the controller did not start")
            await self._start_engines()
            self.launcher.session_file.runtime("ipyparallel", state="running")
            await first_of(*(child.wait() for child in self.running.values()))
            if self.running["ipcontroller"].returncode != IDLE:
                ended = [name for name, child in self.running.items() if child.returncode is not None]
                raise OSError("%s ended" % " and ".join(ended))
            self.launcher.session_file.runtime("ipyparallel", state="ended")
            say(self.running["ipcontroller"].tail(1))
        except OSError as error:
            text = "\n".join([str(error), *(child.tail() for child in self.running.values())])
            self.launcher.session_file.runtime("ipyparallel", state="failed", error=text)
            say("IPyParallel: %s" % text)
        await self.stop()

    async def stop(self):
        await asyncio.gather(*(child.end(GRACE) for child in self.running.values()))
        self.running = {}

    end = stop

    async def _start_engines(self):
        ways = self.plan["mpi_run"] if find_spec("mpi4py") else []
        why = "there is no way to start MPI programs here" if find_spec("mpi4py") else "mpi4py is not installed"
        for words in ways:
            why = "%s is not in PATH" % words[0]
            if shutil.which(words[0]):
                words = [word.format(per_node=self.per_node, total=self.total, nodes=",".join(self.launcher.nodes))
                         for word in words]
                if await self._start("ipengines-mpi", words, os.path.join(self.profile, MPI_READY), str(self.total),
                                     LIFELINE):
                    self.launcher.session_file.runtime("ipyparallel", mpi=True)
                    return
                why = self.running.pop("ipengines-mpi").tail()
        self.launcher.session_file.runtime("ipyparallel", mpi=False, mpi_error=why)
        say("IPyParallel: the engines start without MPI: %s" % why)
        # Nothing to wait for: a client sees each as it comes.
        await self._start("ipengines", self.plan["remote_run"], self.profile, str(self.per_node))

    async def _start(self, name, prefix, sign, *arguments):
        """Start the verb of that name, after ``prefix``; whether the file ``sign`` came. Ended if it did not."""
        threads = str(resources.engine_threads(os.environ, self.per_node, self.plan["dask"]))
        env = dict(os.environ, **dict.fromkeys(resources.BLAS_THREADS, threads))
        command = self.launcher.node_command(name, self.profile, *arguments)
        child = self.running[name] = await Everywhere.start(self.launcher, name, prefix, command, env, self._log(name),
                                                            GRACE)
        if await appears(sign, child, START_TIMEOUT):
            return True
        await child.end(GRACE)
        return False

    def _log(self, name):
        return self.launcher.path(name + ".log")


def run_rank(profile, total, lifeline):
    """One engine of all, its number the rank; ends at once where MPI does not see them all."""
    guard(lifeline)
    from mpi4py.MPI import COMM_WORLD as world
    if world.size != int(total):
        raise SystemExit("MPI sees %d of %s engines: started in a way that is not this MPI's" % (world.size, total))
    world.Barrier()
    _unlink_shared_memory(world)
    if world.rank == 0:
        open(os.path.join(profile, MPI_READY), "x").close()
    sys.path.pop(0)  # the session's directory, so that user code imports nothing of it
    sys.argv = ["ipengine", "--mpi", "--profile-dir=" + profile, *PATIENCE]
    runpy.run_module("ipyparallel.engine", run_name="__main__", alter_sys=True)


def _unlink_shared_memory(world):
    """MPICH removes its segment in MPI_Finalize only, so that ranks that are killed leave one on their node. What this
    rank has open all of the node have open after the barrier, and need its name no more."""
    with open("/proc/self/maps") as maps:
        paths = {line.split(None, 5)[5].strip() for line in maps if "/dev/shm/mpich_shm_" in line}
    world.Barrier()
    for path in paths:
        with suppress(FileNotFoundError):  # another rank of this node was first
            os.remove(path)


def run_engines(profile, count):
    """One node's engines without MPI. They end by the signals that come to the whole process group, or with this."""
    argv = [sys.executable, "-m", "ipyparallel.engine", "--profile-dir=" + profile, *PATIENCE]
    engines = [subprocess.Popen(argv, stdin=subprocess.DEVNULL, preexec_fn=die_with_parent) for _ in range(int(count))]
    return max([engine.wait() for engine in engines])
