"""The first process of a session: starts the server and the runtimes side by side and ends them together.

Reads ``plan.json`` beside it, reports to the Hub, and lives exactly as long as the server. Nothing of the
session outlives it, so that no allocation idles on.
"""
import asyncio
import os
import sys
import time
from functools import partial
from importlib import import_module
from urllib.parse import urlsplit, urlunsplit

from . import activity, certificate, network, restarts
from .processes import Child, ending_event, first_of, in_thread
from .report import Reporter, reason, say
from .server import server_argv
from .session_file import SessionFile

SERVER_GRACE = 5
GOODBYE = 2
# A signal so many seconds before the end of the walltime, or later, is about that: systems warn some time before.
WARNING = 120
HEAD_START = 5
# Where batch systems say what the job got; where they do not, it is what was asked for.
GRANTED = {"account": ("SLURM_JOB_ACCOUNT", "PBS_ACCOUNT"),
           "queue": ("SLURM_JOB_PARTITION", "PBS_QUEUE", "LSB_QUEUE")}


def launch(directory, plan):
    return asyncio.run(Launcher(directory, plan).run())


class Launcher:
    """One session on its first node. ``plan`` is what the Hub staged: see ``hub/staging.py``."""

    def __init__(self, directory, plan):
        self.directory = directory
        self.plan = plan
        self.address = network.address_towards(os.environ["JUPYTERHUB_API_URL"])
        self.nodes = os.environ.get("HPC_JOB_NODES", "").split() or [os.uname().nodename]
        self.reporter = Reporter(plan["session"], plan["secret"])
        self.session_file = SessionFile(self.path("session.json"), **self._facts())
        self.runtimes = []
        self.tasks = []
        self.goodbye = self.trouble = ""

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def node_command(self, verb, *arguments):
        """The argument list that runs a verb of the staged code, here or on another node of the job."""
        return [sys.executable, self.path("run.py"), verb, *arguments]

    async def run(self):
        """The exit status of the job: 0 for an orderly end, the server's own otherwise."""
        self.ending = ending_event(asyncio.get_running_loop())
        self.answered = asyncio.Event()
        say("session %s on %s (%s)" % (self.plan["session"], os.uname().nodename, self.address))
        self._tell_notebooks()
        started = self._begin(self._call("started"))
        self._begin(activity.tell_hub())
        try:
            self._change_directory()
            self._prepare_runtimes()
            await self._certify(started)
            return await self._live(started)
        except Exception as error:
            await self._end_all()
            text = reason(error)
            say("the session cannot start: %s" % text)
            await self._call("failed", message=text[:1000])
            return 1

    def _begin(self, coroutine):
        """A task until the session's end. What it dies of is in the log, and the session goes on without it."""
        task = asyncio.ensure_future(coroutine)
        task.add_done_callback(_tell_death)
        self.tasks.append(task)
        return task

    async def _live(self, started):
        """The server's life and with it the session's; the exit status."""
        with network.hold_port(self.address, *self.plan["port_range"]) as held:
            port = held.getsockname()[1]
            server = await self._start_server(port)
            for runtime in self.runtimes:
                self._begin(self._run_runtime(runtime))
            if self.runtimes:
                self._begin(self._tell_runtimes())
            self._begin(self._announce(port))
            try:
                await first_of(server.wait(), self.ending.wait())
                if server.returncode and await self._hub_comes_back(started):
                    server = await self._start_server(port)
                    await first_of(server.wait(), self.ending.wait())
                return await self._verdict(server)
            finally:
                await self._end(server)

    async def _hub_comes_back(self, started):
        """Wait for a Hub that is away, maybe for an hour: jupyterhub-singleuser gives up after a minute. False where it
        had answered before, or the job ends."""
        if started.done():
            return False
        say("the server ended before the Hub answered; it starts again then")
        await first_of(asyncio.shield(started), self.ending.wait())
        return not self.ending.is_set()

    async def _run_runtime(self, runtime):
        await self._server_first()
        await restarts.keep(runtime, self)

    async def _server_first(self):
        """While it starts it has the node's cores to itself, though not for ever."""
        await first_of(self.answered.wait(), asyncio.sleep(HEAD_START))

    async def _tell_runtimes(self):
        """The Hub hears once how their first start went, for its pages: nothing depends on it."""
        await self._server_first()
        begin, states = time.monotonic(), ["starting"]
        while "starting" in states:
            await asyncio.sleep(0.1)
            told = {name: facts["state"] for name, facts in self.session_file.data["runtimes"].items()}
            states = told.values()
        await self._call("runtimes", runtimes=told, seconds=time.monotonic() - begin)

    async def _call(self, phase, **fields):
        return await in_thread(partial(self.reporter.report, phase, address=self.address, **fields))

    def _facts(self):
        """For the session file; every batch system's script sets HPC_JOB_ID and HPC_JOB_NODES."""
        walltime = self.plan["walltime"]
        start, end = (os.environ.get("SLURM_JOB_%s_TIME" % name, "") for name in ("START", "END"))
        facts = dict(self.plan["job"], job_id=os.environ.get("HPC_JOB_ID", ""), nodes=self.nodes)
        for fact, names in GRANTED.items():
            facts[fact] = next(filter(None, map(os.environ.get, names)), facts[fact])
        if end.isdigit():  # this node's clock may not be that of the batch system: the difference counts
            walltime = int(end) - int(start if start.isdigit() else time.time())
        if walltime:
            facts["ends"] = int(time.time()) + walltime
        return facts

    def _tell_notebooks(self):
        """Every interactive Python of the session can import ``notebook/``, see ``notebook/startup.py``.

        Not by PYTHONPATH: that comes before what is installed, and reaches every program of every Python.
        """
        own = os.environ.get("PYTHONSTARTUP")
        if own:
            os.environ["HPC_USER_PYTHONSTARTUP"] = own
        os.environ.update(HPC_SESSION_FILE=self.session_file.path, PYTHONSTARTUP=self.path("startup.py"))

    def _change_directory(self):
        wanted = os.path.expanduser(self.plan["working_dir"] or "~")
        try:
            os.chdir(wanted)
        except OSError as error:
            raise LookupError("the working directory %s cannot be used: %s" % (wanted, error.strerror))

    def _prepare_runtimes(self):
        """Ports and environment first: the server and so every kernel must know them from its start."""
        for plan in self.plan["runtimes"]:
            self.runtimes.append(import_module("." + plan["name"], __package__).Runtime(self, plan))
        for runtime in self.runtimes:
            os.environ.update(runtime.prepare())
            self.session_file.begin(runtime.plan["name"], runtime.facts)
        self.session_file.update()

    async def _certify(self, started):
        """Under ``internal_ssl`` the server starts when the Hub has answered with the certificate."""
        if certificate.wanted():
            await first_of(started, self.ending.wait())
            if started.done():
                certificate.keep(started.result())

    async def _start_server(self, port):
        try:
            argv = server_argv(self.plan["command"], self.path("run.py"), self.plan["quick_start"])
        except FileNotFoundError as error:
            raise LookupError("%s is not in this software environment (PATH is %s)"
                              % (error, os.environ.get("PATH", "")))
        url = urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
        netloc = "%s:%d" % (network.bracketed(self.address), port)
        env = dict(os.environ, JUPYTERHUB_SERVICE_URL=urlunsplit(url._replace(netloc=netloc)))
        return await Child.start("server", argv, env)

    async def _announce(self, port):
        """The Hub takes the server's address, or the session ends: nobody could use it."""
        try:
            if await self._report_listening(port) is None:
                self.trouble = "the Hub did not take the report that its server answers"
        except Exception as error:
            self.trouble = "its launcher failed: %s" % reason(error)
        if self.trouble:
            say("nobody can use a session that the Hub does not know: %s" % self.trouble)
            self.ending.set()
        else:
            self.answered.set()

    async def _report_listening(self, port):
        """The Hub's answer. Once, when the server answers: a Hub that asks earlier only waits between its tries."""
        answers = certificate.answers if certificate.wanted() else self._answers
        while not network.listens_here(self.address, port) or not await answers(self.address, port):
            await asyncio.sleep(0.03)
        self.session_file.update(server={"address": self.address, "port": port})
        say("the server answers on %s port %d" % (self.address, port))
        return await self._call("listening", port=port)

    async def _answers(self, address, port):
        try:
            reader, writer = await asyncio.open_connection(address, port)
        except OSError:
            return False
        try:
            path = os.environ.get("JUPYTERHUB_SERVICE_PREFIX", "/") + "api"
            writer.write(("GET %s HTTP/1.0\r\nHost: %s\r\n\r\n" % (path, address)).encode())
            return (await reader.readline()).startswith(b"HTTP/")
        except OSError:
            return False
        finally:
            writer.close()

    async def _verdict(self, server):
        if self.trouble:
            self.goodbye = self.trouble
            await self._call("failed", patience=GOODBYE, message=self.trouble[:1000])
            return 1
        if self.ending.is_set():
            say("told to end: the job was cancelled, stopped, or is at its walltime")
            self.goodbye = self._why_told()
            return 0
        code = server.process.returncode
        say("the server ended with status %d" % code)
        self.goodbye = "its server ended with status %d" % code if code else "its server was shut down"
        if "server" not in self.session_file.data:
            await self._call("failed", message="The server ended with status %d before it answered." % code)
        return code if code >= 0 else 128 - code

    async def _end(self, server):
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks, timeout=SERVER_GRACE)
        self.session_file.update(end=int(time.time()))
        await self._end_all(server.end(SERVER_GRACE))
        say("the session has ended")
        await self._call("ended", patience=GOODBYE, message=self.goodbye[:1000])

    async def _end_all(self, *others):
        """The runtimes, also those that were only prepared, and ``others``, whatever becomes of any of them."""
        runtimes, self.runtimes = self.runtimes, []
        ends = [asyncio.ensure_future(end) for end in (*(runtime.end() for runtime in runtimes), *others)]
        for end in ends:
            end.add_done_callback(_tell_death)
        await asyncio.gather(*ends, return_exceptions=True)

    def _why_told(self):
        """For who asks later why the session ended, as far as that can be known here."""
        if time.time() < self.session_file.data.get("ends", float("inf")) - WARNING:
            return "the batch system told it to end"
        walltime = self.plan["walltime"]
        limit = " of %d:%02d h" % (walltime // 3600, walltime // 60 % 60) if walltime else ""
        return "it reached its walltime" + limit


def _tell_death(task):
    """Asyncio would tell it when the task is forgotten, which is at the end of the session."""
    if not task.cancelled() and task.exception():
        say("a part of the session's launcher failed: %s" % reason(task.exception()))
