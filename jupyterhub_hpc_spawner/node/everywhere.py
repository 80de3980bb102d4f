"""One command on all nodes of the job, ended as one: here as a child, elsewhere as the batch system starts things.

The ways to other nodes (srun, pbs_tmrsh, ``qrsh -inherit``, blaunch, ssh) differ in all but the start: some hand on
neither environment nor directory, some lose the output, some leave the command running when they are ended and some
end the whole job with it. Only srun does all that is needed. For the others a program of ours goes there
(``agent.py``), reads what to do from a file, and keeps a connection to this node, its lifeline: the command lives no
longer than that. The ranks of an MPI program, which its own starter takes there, each have such a lifeline themselves.
"""
import asyncio
import hmac
import json
import os
import secrets
import shlex

from .processes import Child, tail

GREETING_TIMEOUT = 10
# A word of the command of an MPI program's ranks; in its place comes the file for ``lifeline.guard``.
LIFELINE = "{lifeline}"


class Everywhere:
    """The command on every node; used like a ``Child``. ``log`` is this node's; the others' have their name added."""

    def __init__(self, log):
        self.log = log
        self.children = []
        self.server = None
        self.lifelines = []

    @classmethod
    async def start(cls, launcher, name, remote_run, command, env, log, grace):
        """``remote_run`` is the batch system's, see ``batch/base.py``; ``grace`` in seconds is for the other nodes."""
        group = cls(log)
        try:
            await group._start(launcher, name, remote_run, command, env, grace)
        except BaseException:  # cancelled, too: nobody else knows of those that have begun
            await group.end(0)
            raise
        return group

    async def _start(self, launcher, name, remote_run, command, env, grace):
        if not any("{node}" in word for word in remote_run):
            if LIFELINE in command:
                orders = await self._orders(launcher, name, command, env, grace)
                command = [orders if word == LIFELINE else word for word in command]
            self.children.append(await Child.start(name, [*remote_run, *command], env, self.log))
            return
        self.children.append(await Child.start(name, command, env, self.log))
        if launcher.nodes[1:]:
            orders = await self._orders(launcher, name, command, env, grace)
            agent = launcher.node_command("agent", orders)
            for node in launcher.nodes[1:]:
                words = _words(remote_run, node, agent)
                self.children.append(await Child.start("%s on %s" % (name, node), words, env, self.log))

    @property
    def returncode(self):
        """None while any of them runs, then the first status that is not 0."""
        codes = [child.returncode for child in self.children]
        return None if None in codes else next(filter(None, codes), 0)

    async def wait(self):
        await asyncio.gather(*(child.wait() for child in self.children))
        return self.returncode

    async def end(self, grace):
        """Ask; whatever is left after ``grace`` seconds here, and the same elsewhere, is killed."""
        if self.server:
            self.server.close()
        for writer in self.lifelines:
            writer.close()
        # The agents get their own grace, and a moment to be noticed: to kill a client ends all of a job on Grid Engine.
        here, elsewhere = self.children[:1], self.children[1:]
        await asyncio.gather(*(child.end(grace) for child in here), *(_ended(child, 2 * grace) for child in elsewhere))

    def tail(self, lines=15):
        """The end of the logs of all nodes that wrote one, "" where they are gone."""
        directory, name = os.path.split(self.log)
        try:
            names = sorted(found for found in os.listdir(directory) if found == name or found.startswith(name + "-"))
        except OSError:
            return ""
        return "\n".join(filter(None, (tail(os.path.join(directory, found), lines) for found in names)))

    async def _orders(self, launcher, name, command, env, grace):
        """A file that only the user can read: what an agent on another node shall do, and where its lifeline ends."""
        self.key = secrets.token_hex(16)
        self.server = await asyncio.start_server(self._welcome, launcher.address, 0)
        orders = {"name": name, "argv": command, "env": dict(env or os.environ), "cwd": os.getcwd(), "log": self.log,
                  "lifeline": self.server.sockets[0].getsockname()[:2], "key": self.key, "grace": grace}
        # A name that was never looked up: nodes remember for a while what a shared file system did not have.
        path = launcher.path("%s-%s.json" % (name, secrets.token_hex(4)))
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            json.dump(orders, out)
        return path

    async def _welcome(self, reader, writer):
        """Hold the connection of an agent or a rank; it ends when this process ends, however that may be."""
        try:
            greeting = await asyncio.wait_for(reader.readline(), GREETING_TIMEOUT)
        except (asyncio.TimeoutError, OSError, ValueError):
            greeting = b""
        if hmac.compare_digest(greeting.strip(), self.key.encode()) and self.server.is_serving():
            self.lifelines.append(writer)
        else:
            writer.close()


async def appears(path, group, patience):
    """Whether the file comes within so many seconds, while the command still runs on some node."""
    for _ in range(20 * patience):
        if os.path.exists(path):
            return True
        if group.returncode is not None:
            return False
        await asyncio.sleep(0.05)
    return False


def _words(remote_run, node, command):
    line = " ".join(map(shlex.quote, command))
    words = [line if word == "{command}" else word.replace("{node}", node) for word in remote_run]
    return words if "{command}" in remote_run else [*words, *command]


async def _ended(child, patience):
    try:
        await asyncio.wait_for(child.wait(), patience)
    except asyncio.TimeoutError:
        pass
    await child.end(0)
