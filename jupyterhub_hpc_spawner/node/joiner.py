"""The first process of an extra job: starts what joins a session, and ends with it.

The session is known by its directory, which all nodes see: no word to the Hub, and no key of it. Has what runtimes and
``everywhere.py`` need of a ``Launcher``.
"""
import asyncio
import json
import os
import sys
import time
from importlib import import_module

from . import network, restarts
from .processes import ending_event, first_of
from .report import say
from .session_file import SessionFile

LOOK = 15
ANSWER = 5
# So often in a row the session's server must refuse connections.
GONE = 3


def join(directory, plan):
    try:
        return asyncio.run(Joiner(directory, plan).run())
    except (OSError, LookupError, ValueError) as error:
        say("the extra job cannot start: %s" % error)
        return 1


class Joiner:
    """One extra job on its first node. ``plan`` is what the Hub staged: see ``hub/staging.py``."""

    def __init__(self, directory, plan):
        self.directory = directory
        self.plan = plan
        self.session = self._read_session()
        server = self.session["server"]
        self.server = server["address"], server["port"]
        self.address = network.address_towards("http://%s:%d" % (network.bracketed(self.server[0]), self.server[1]))
        self.nodes = os.environ.get("HPC_JOB_NODES", "").split() or [os.uname().nodename]
        self.session_file = SessionFile(self.path("session.json"), job_id=os.environ.get("HPC_JOB_ID", ""),
                                        nodes=self.nodes)

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def node_command(self, verb, *arguments):
        """The argument list that runs a verb of the staged code, here or on another node of the job."""
        return [sys.executable, self.path("run.py"), verb, *arguments]

    async def run(self):
        """The exit status of the job: 0 for an orderly end."""
        ending = ending_event(asyncio.get_running_loop())
        say("extra job %s on %s for %s" % (self.plan["extra"], " ".join(self.nodes), self.plan["joins"]))
        os.chdir(os.path.expanduser(self.plan["working_dir"] or "~"))
        plan = self.plan["runtime"]
        runtime = import_module("." + plan["module"], __package__).Runtime(self, plan)
        os.environ.update(runtime.prepare(), HPC_EXTRA_JOB=os.path.basename(self.directory))
        self.session_file.begin(plan["name"], runtime.facts)
        try:
            await first_of(restarts.once(runtime, self), ending.wait(), self._session_ended())
        finally:
            await runtime.end()
            self.session_file.update(end=int(time.time()))
        say("the extra job has ended")
        return 1 if self.session_file.data["runtimes"][plan["name"]]["state"] == "failed" else 0

    def _read_session(self):
        with open(os.path.join(self.plan["joins"], "session.json")) as file:
            session = json.load(file)
        if session["end"] or "server" not in session:
            raise LookupError("the session has ended")
        return session

    async def _session_ended(self):
        """Until its file says so, or its server refuses connections: no Hub may be there to cancel this job."""
        refused = 0
        while refused < GONE:
            await asyncio.sleep(LOOK)
            try:
                self._read_session()
            except LookupError:
                break
            except (OSError, ValueError):
                refused += 1
                continue
            refused = refused + 1 if await self._refuses() else 0
        say("the session has ended")

    async def _refuses(self):
        """A firewall between nodes lets connections time out: that says nothing."""
        # Not wait_for: before Python 3.12 it may lose a cancellation, and this would go on for ever.
        opening = asyncio.ensure_future(asyncio.open_connection(*self.server))
        try:
            await asyncio.wait([opening], timeout=ANSWER)
            if opening.done():
                opening.result()[1].close()
        except ConnectionRefusedError:
            return True
        except OSError:
            pass
        finally:
            opening.cancel()
        return False
