"""``jupyterhub-hpc-spawner check`` in its job: what a session would meet on this node, as lines of the job's log.

Started by the same script as a session, with the same files; it lives until it is cancelled, or for a while.
"""
import asyncio
import json
import os
import socket
import stat
import subprocess
import sys
import time
import urllib.request
from importlib import metadata
from urllib.parse import urlsplit

from . import network
from .launcher import Launcher
from .processes import Child, ending_event, first_of, in_thread, tail
from .server import server_argv

MARK = "found: "
HUB_PATIENCE = 10
DASK_PATIENCE = 120
# Whoever checks has long lost interest then; the job shall not use up its walltime.
LIFETIME = 600
SERVER_PACKAGES = ("jupyterhub", "jupyterlab", "notebook")
RUNTIME_PACKAGES = ("distributed", "ipyparallel")


def check(directory, plan):
    found("node", name=os.uname().nodename, python=sys.version.split()[0], **_directory(directory))
    url = os.environ["JUPYTERHUB_API_URL"]
    found("hub", url=url, **_ask_hub(url))
    try:
        return asyncio.run(Check(directory, plan).run())
    except OSError as error:  # no way to the Hub, no free port: nothing more can be tried
        found("end", error=str(error))
        return 1


def found(what, **facts):
    """A line of the job's log that the Hub's side reads."""
    print(MARK + json.dumps(dict(facts, what=what)), flush=True)


def _directory(directory):
    there = os.stat(directory)
    return {"mode": stat.S_IMODE(there.st_mode), "own": there.st_uid == os.getuid()}


def _ask_hub(url):
    """The version of the Hub that answers, or why none does."""
    start = time.monotonic()
    try:
        if url.startswith("https:"):  # certificates are made for sessions only: whether something is there must do
            parts = urlsplit(url)
            socket.create_connection((parts.hostname, parts.port or 443), HUB_PATIENCE).close()
            version = ""
        else:
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(url.rstrip("/") + "/", timeout=HUB_PATIENCE) as answer:
                version = json.loads(answer.read(10000).decode())["version"]
        return {"version": version, "seconds": round(time.monotonic() - start, 2)}
    except (OSError, ValueError, LookupError, TypeError) as error:
        return {"error": str(error) or type(error).__name__}


class Check(Launcher):
    """The launcher's knowledge of the job, and its runtimes, without a server."""

    async def run(self):
        self.ending = ending_event(asyncio.get_running_loop())
        held = network.hold_port(self.address, *self.plan["port_range"])
        port = held.getsockname()[1]
        listener = await asyncio.start_server(self._greet, sock=held)
        found("listening", address=self.address, port=port)
        self._tell_notebooks()
        found("server", **await in_thread(self._server))
        found("runtimes", **versions(*RUNTIME_PACKAGES))
        await first_of(self._try_dask(), self.ending.wait())
        found("end")
        await first_of(asyncio.sleep(LIFETIME), self.ending.wait())
        listener.close()
        return 0

    async def _greet(self, reader, writer):
        """So that who connects knows that it is this job."""
        writer.write(self.plan["session"].encode() + b"\n")
        writer.close()

    def _server(self):
        """The versions that the single-user server's own Python has."""
        try:
            argv = server_argv(self.plan["command"], self.path("run.py"), False)
            python = argv[0] if argv[1:2] == [self.path("run.py")] else sys.executable
            done = subprocess.run([python, self.path("run.py"), "versions", *SERVER_PACKAGES], timeout=DASK_PATIENCE,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
            return {"command": self.plan["command"][0], **json.loads(done.stdout)}
        except FileNotFoundError as error:
            return {"error": "%s is not there (PATH is %s)" % (error, os.environ.get("PATH", ""))}
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            return {"error": "%s could not be asked for its versions: %s" % (self.plan["command"][0], error)}

    async def _try_dask(self):
        """As in a session: scheduler, a worker, and a client that knows nothing but its environment."""
        self.plan["runtimes"] = [plan for plan in self.plan["runtimes"] if plan["name"] == "dask"]
        if not self.plan["runtimes"] or not versions("distributed"):
            return
        start = time.monotonic()
        self._prepare_runtimes()
        dask, = self.runtimes
        running = asyncio.ensure_future(dask.run())
        client = await Child.start("client", self.node_command("add-with-dask"), log=self.path("client.log"))
        try:
            await asyncio.wait_for(first_of(client.wait(), running), DASK_PATIENCE)
        except asyncio.TimeoutError:
            pass
        facts = self.session_file.data["runtimes"]["dask"]
        if client.returncode == 0:
            found("dask", address=facts["address"], seconds=round(time.monotonic() - start, 1))
        else:
            found("dask", error=facts.get("error") or tail(self.path("client.log"), 3) or "no answer within %d s"
                  % DASK_PATIENCE)
        await client.end(1)
        await dask.end()
        running.cancel()


def versions(*names):
    """Of the packages that this Python has."""
    there = {}
    for name in names:
        try:
            there[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            pass
    return there


def print_versions(*names):
    print(json.dumps(versions(*names)))


def add_with_dask():
    """0 where a worker of the session's Dask can add one and one."""
    from distributed import Client
    with Client(timeout=DASK_PATIENCE) as client:
        return int(client.submit(sum, (1, 1)).result(timeout=DASK_PATIENCE) != 2)
