"""Dask in the job: the scheduler beside the server, workers on every node.

The launcher holds the scheduler's port from the start, so the address is known before anything runs: kernels have it
in their environment, and a ``Client()`` that comes too early, or after Dask failed, meets a refused connection
and never a cluster of its own.
"""
import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile

from . import network, resources
from .everywhere import Everywhere
from .processes import Child, die_with_parent, tail
from .report import say

START_TIMEOUT = 60
# For connections of workers, also later; kernels do not wait so long.
WORKER_PATIENCE = 120
SCHEDULER_GRACE = 3
WORKER_GRACE = 4


class Runtime:
    """The launcher's part: on the first node only."""

    def __init__(self, launcher, plan):
        self.launcher = launcher
        self.plan = plan
        self.scheduler = None
        self.workers = None
        # Sockets have short paths and belong on this node's own disk; the directory is private (0700).
        self.private = tempfile.mkdtemp(prefix="jupyter-dask-")

    def prepare(self):
        """What the server's and every kernel's environment gets."""
        self.held = network.hold_port(self.launcher.address)
        port = self.held.getsockname()[1]
        self.address = "tls://%s:%d" % (network.bracketed(self.launcher.address), port)
        self.launcher.session_file.data["runtimes"]["dask"] = {
            "state": "starting", "address": self.address, "workers": self._expected_workers(),
            "dashboard": os.environ.get("JUPYTERHUB_SERVICE_PREFIX", "/") + "dask-dashboard/status"}
        return {"DASK_SCHEDULER_ADDRESS": self.address, "JUPYTERHUB_HPC_DASHBOARD": self.dashboard,
                "JUPYTER_CONFIG_PATH": self._proxy_dashboard()}

    def _expected_workers(self):
        """Of all nodes, if the others are as this one."""
        count, _ = resources.divide(resources.cpus(os.environ), self.plan["workers_per_node"],
                                    self.plan["threads_per_worker"])
        return count * len(self.launcher.nodes)

    @property
    def dashboard(self):
        return os.path.join(self.private, "dashboard")

    def _proxy_dashboard(self):
        """Have jupyter-server-proxy serve the dashboard's socket, behind the server's login."""
        directory = self.launcher.path("jupyter")
        os.mkdir(directory)
        server = {"unix_socket": self.dashboard, "absolute_url": False, "launcher_entry": {"enabled": False}}
        with open(os.path.join(directory, "jupyter_server_config.json"), "w") as config:
            json.dump({"ServerProxy": {"servers": {"dask-dashboard": server}}}, config)
        _show_in_sidebar(directory)
        return os.pathsep.join(filter(None, [directory, os.environ.get("JUPYTER_CONFIG_PATH")]))

    async def run(self):
        """Start, then stay with it; what went wrong is in the session file and in the log."""
        try:
            await self._start()
            code = await self.scheduler.wait()
            self._failed("the scheduler ended with status %d" % code)
        except asyncio.TimeoutError:
            self._failed("the scheduler did not answer within %d s" % START_TIMEOUT)
        except OSError as error:
            self._failed(str(error))
        await self._end_processes()

    async def end(self):
        await self._end_processes()
        self.held.close()
        shutil.rmtree(self.private, ignore_errors=True)

    async def _end_processes(self):
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
        port = self.held.getsockname()[1]
        self.scheduler = await Child.start(
            "dask-scheduler", self.launcher.node_command("dask-scheduler", self.launcher.address, str(port)),
            log=self.launcher.path("dask-scheduler.log"))
        # Workers that come before it, on a busy machine or a slow file system, give up or come back late.
        await asyncio.wait_for(self._listening(port), START_TIMEOUT)
        command = self.launcher.node_command(
            "dask-worker", self.address, str(self.plan["workers_per_node"] or 0),
            str(self.plan["threads_per_worker"] or 0))
        self.workers = await Everywhere.start(self.launcher, "dask-workers", self.plan["remote_run"], command, None,
                                              self.launcher.path("dask-workers.log"), 2 * WORKER_GRACE)
        asyncio.ensure_future(self._watch_workers(self.workers))
        self.launcher.session_file.runtime("dask", state="running")
        say("the Dask scheduler listens at %s" % self.address)

    async def _listening(self, port):
        while not network.listens_here(self.launcher.address, port):
            if self.scheduler.returncode is not None:
                raise OSError("the scheduler ended with status %d" % self.scheduler.returncode)
            await asyncio.sleep(0.1)

    async def _watch_workers(self, workers):
        code = await workers.wait()
        if self.scheduler.returncode is None:
            self._failed("the workers ended with status %d" % code, workers.tail())

    def _failed(self, what, end=None):
        end = tail(self.launcher.path("dask-scheduler.log")) if end is None else end
        self.launcher.session_file.runtime("dask", state="failed", error="%s\n%s" % (what, end))
        say("Dask: %s\n%s" % (what, end))


def _show_in_sidebar(directory):
    """The sidebar of dask-labextension, where there is one, shows this dashboard; what the user has set counts more.

    Its cluster manager is hidden: it starts, scales and ends clusters of its own, and knows none that is there.
    """
    os.mkdir(os.path.join(directory, "labconfig"))
    settings = {"defaultURL": "dask-dashboard", "hideClusterManager": True}
    with open(os.path.join(directory, "labconfig", "default_setting_overrides.json"), "w") as overrides:
        json.dump({"dask-labextension:plugin": settings}, overrides)


def run_scheduler(address, port):
    """Become the scheduler. Its HTTP server moves to a socket that only this user can open."""
    from distributed.cli.dask_scheduler import main
    preload = os.path.join(os.path.dirname(os.path.abspath(__file__)), "dask_preload.py")
    sys.argv = ["dask-scheduler", "--host", address, "--port", port, "--dashboard-address", "127.0.0.1:0",
                "--preload", preload]
    return main()


def run_workers(scheduler, workers, threads):
    """One node's workers, in a process that outlives them: what they leave is killed and deleted."""
    host = network.address_towards(scheduler)
    count, threads = resources.divide(resources.cpus(os.environ), int(workers), int(threads))
    beside_notebook = host == os.environ["DASK_SCHEDULER_ADDRESS"].split("//")[1].rsplit(":", 1)[0].strip("[]")
    limit = resources.worker_memory(resources.memory(os.environ), count, beside_notebook)
    scratch = tempfile.mkdtemp(prefix="dask-")
    env = dict(os.environ, MALLOC_TRIM_THRESHOLD_="65536", DASK_TEMPORARY_DIRECTORY=scratch,
               DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT="%ds" % WORKER_PATIENCE)
    env.update((name, str(threads)) for name in resources.BLAS_THREADS)
    argv = [sys.executable, "-m", "distributed.cli.dask_worker", scheduler, "--nworkers", str(count),
            "--nthreads", str(threads), "--memory-limit", str(limit), "--host", host, "--nanny", "--no-dashboard",
            "--dashboard-address", "127.0.0.1:0", "--local-directory", scratch, "--death-timeout", str(WORKER_PATIENCE),
            "--name", os.environ.get("SLURMD_NODENAME") or os.uname().nodename.split(".")[0]]
    try:
        return _supervise(argv, env)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _supervise(argv, env):
    child = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, start_new_session=True,
                             preexec_fn=die_with_parent)

    def end(number, frame):
        """Told to end with everything else of the job: workers may hang then, so the alarm kills them."""
        signal.alarm(WORKER_GRACE)

    signal.signal(signal.SIGALRM, lambda number, frame: _kill_group(child.pid))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, end)
    code = child.wait()
    _kill_group(child.pid)
    return code


def _kill_group(pid):
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
