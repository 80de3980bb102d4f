"""The only place that runs programs: argument lists, a clean environment, a time limit, bounded output."""
import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

from ..errors import ConfigError, HelperError, NoAnswer, QueryError, TimedOut
from ..model import Completed
from .turns import Turns

REAP_TIMEOUT = 3
HELPER = "jupyterhub-hpc-spawner-helper"
# What the helper prints before it does what it is asked for.
BEGUN = "\n"
# What an answer has, by verb: a helper of another version may say less.
_RAN = {"returncode": int, "stdout": str, "stderr": str, "timeout": bool}
ANSWERS = {"submit": _RAN, "run": _RAN, "end": {"log": str}}
_USERNAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,127}")


async def run(argv, *, env, timeout, stdin="", limit=64 * 1024 ** 2, **identity):
    """Run one program to its end. Raises QueryError where it cannot start, takes too long or prints too much.

    ``timeout`` is in seconds, ``limit`` in bytes a stream; ``identity`` is user, group and extra_groups of Popen.
    """
    # Not asyncio's own subprocesses: they wait in tasks of their own, and JupyterHub cancels all tasks when it ends.
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, env=env, cwd="/",
                                   start_new_session=True, **identity)
    except OSError as error:
        raise QueryError(f"{argv[0]} cannot be run: {error.strerror}") from error
    try:
        stdout, stderr = await within(timeout, _talk(process, stdin, limit))
    except BaseException as error:
        # The whole group: the program may have ended and left others behind that hold its output.
        _kill(process)
        await _end(process)
        if isinstance(error, asyncio.TimeoutError):
            raise TimedOut(f"{argv[0]} did not answer within {timeout:g} s") from None
        raise
    return Completed(tuple(argv), process.returncode, stdout, stderr)


async def within(seconds, awaitable):
    """Its result; asyncio.TimeoutError after so many seconds, when it is cancelled.

    Not wait_for: before Python 3.12 that may lose a cancellation, and a task that is not cancelled keeps the Hub from
    ending.
    """
    task = asyncio.ensure_future(awaitable)
    try:
        done, _ = await asyncio.wait([task], timeout=seconds)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if not done:
        task.cancel()
        await asyncio.wait([task])
        raise asyncio.TimeoutError
    return task.result()


async def first_of(*awaitables):
    """Wait until one is done; the others are cancelled, also with whoever waits."""
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


async def _talk(process, stdin, limit):
    try:
        stdout, stderr, _ = await asyncio.gather(
            _read(process.stdout, limit), _read(process.stderr, limit), _write(process.stdin, stdin))
        while process.poll() is None:
            await _end(process)
        return stdout, stderr
    finally:
        for stream in (process.stdin, process.stdout, process.stderr):
            stream.close()


async def _end(process):
    """Wait for it in a thread, and not for ever: nobody may kill what sudo runs as somebody else."""
    def wait():
        try:
            process.wait(REAP_TIMEOUT)
        except subprocess.TimeoutExpired:
            pass
    await asyncio.get_running_loop().run_in_executor(None, wait)


async def _read(stream, limit):
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), stream)
    try:
        chunks, size = [], 0
        while chunk := await reader.read(1 << 16):
            size += len(chunk)
            if size > limit:
                raise QueryError(f"more than {limit} bytes of output")
            chunks.append(chunk)
        return b"".join(chunks).decode(errors="replace")
    finally:
        transport.close()


async def _write(stream, text):
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()), stream)
    transport.set_write_buffer_limits(0)  # drain() then waits for all of it
    writer = asyncio.StreamWriter(transport, protocol, None, loop)
    try:
        writer.write(text.encode())
        await writer.drain()
    except (BrokenPipeError, ConnectionResetError):
        pass
    finally:
        if not transport.is_closing():
            transport.abort()


def _kill(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def base_environment(extra):
    """What every command gets: nothing of the Hub's own environment, which holds its secrets."""
    path = ["/usr/local/bin", "/usr/bin", "/bin", os.path.dirname(sys.executable)]
    return {"LANG": "C.UTF-8", **extra, "PATH": os.pathsep.join([extra["PATH"], *path] if "PATH" in extra else path)}


@dataclass(frozen=True)
class Account:
    """A system user; ``groups`` are numbers, which only root needs to become somebody."""

    uid: int
    gid: int
    home: str
    shell: str
    groups: tuple = ()


class Accounts:
    """What this machine's directory of users says: it may be elsewhere and hang, and nobody waits for it for long.

    Programs ask it, which can be ended: os.getgrouplist in a thread would stop all threads of the Hub meanwhile.
    """

    PATIENCE, KEPT, AGAIN, AT_ONCE = 10, 60, 5, 8

    def __init__(self):
        self._known = {}
        self._turns = Turns(self.AT_ONCE)

    async def find(self, username):
        """The Account, None where there is none of this name. Raises HelperError where nobody knows."""
        until, found = self._known.get(username, (0, None))
        if time.monotonic() > until:
            try:
                found = await self._look_up(username)
            except HelperError as error:
                found = str(error)
            # What is to be done next for somebody who is not known would be asked, and maybe hang, at once again.
            keep = self.KEPT if isinstance(found, Account) else self.AGAIN
            self._known[username] = time.monotonic() + keep, found
        if isinstance(found, str):
            raise HelperError(found)
        return found

    async def groups(self, username):
        """The names of the user's groups, None where there is none of this name. Raises HelperError."""
        return (await self._ask(username, "id", "-Gnz")).split("\0")[:-1] if await self.find(username) else None

    async def _look_up(self, username):
        entry = (await self._ask(username, "getent", "passwd")).rstrip("\n").split(":")
        # Both programs take a number for a name, too; a directory may spell a name in its own way.
        if len(entry) != 7 or username.isdecimal() and entry[0] != username:
            return None
        groups = await self._ask(username, "id", "-G") if os.geteuid() == 0 else ""
        return Account(int(entry[2]), int(entry[3]), entry[5], entry[6], tuple(map(int, groups.split())))

    async def _ask(self, username, *program):
        """What it prints, nothing of a stranger. getent(1) ends with 2 then; id(1) with 1 also for groups without a
        name. Raises HelperError."""
        async def in_turn():
            async with self._turns.turn(username):
                return await run([*program, "--", username], env=base_environment({}), timeout=self.PATIENCE)
        try:
            done = await within(self.PATIENCE, in_turn())
            if done.returncode not in (0, 2) and not done.stdout:
                raise QueryError(str(done))
        except (asyncio.TimeoutError, QueryError) as error:
            raise HelperError(f"this machine's directory of users does not say who {username} is (no answer to "
                              f"`id {username}` within {self.PATIENCE} s)") from error
        return done.stdout


def known(username, account):
    """The account. Raises HelperError where there is none."""
    if account is None:
        raise HelperError(f"there is no system user {username}")
    return account


class Helper:
    """Acts as a user, through the helper program.

    ``prefix`` comes before the helper's path, with ``{username}`` as a word of its own; empty means: as root change
    to the user directly, as the user itself run directly, otherwise ``sudo -n -H -u USER --``.
    """

    def __init__(self, path, prefix=(), env=None):
        self.path = path
        self.prefix = tuple(prefix)
        self.env = dict(env or {})
        self.accounts = Accounts()

    async def ask(self, username, verb, timeout, **fields):
        """The helper's answer to one request. Raises HelperError with what to check: then the request was not carried
        out; NoAnswer and TimedOut where nobody knows."""
        if not _USERNAME.fullmatch(username):
            raise HelperError(f"{username!r} cannot be the name of a system user")
        account = await self.accounts.find(username)
        argv, identity = self._command(username, account)
        request = json.dumps({"verb": verb, "timeout": timeout, "env": self.env, **fields})
        try:
            done = await run(argv, env=_environment(username, account), stdin=request, timeout=timeout + 10, **identity)
        except TimedOut:
            raise
        except QueryError as error:
            raise HelperError(str(error)) from error
        answer = _read_answer(username, done)
        if not answer["ok"]:
            raise HelperError(f"the helper refused to {verb}: {answer.get('error')}")
        if not all(isinstance(answer.get(name), kind) for name, kind in ANSWERS.get(verb, {}).items()):
            raise NoAnswer(f"the helper answered something else than to {verb}; is it of the Hub's own version?")
        return answer

    async def run(self, username, argv, timeout, **fields):
        """One command of the batch system as the user. Raises HelperError, TimedOut."""
        answer = await self.ask(username, fields.pop("verb", "run"), timeout, argv=argv, **fields)
        if answer["timeout"]:
            raise TimedOut(answer["stderr"])
        return Completed(tuple(argv), answer["returncode"], answer["stdout"], answer["stderr"])

    def _command(self, username, account):
        if self.prefix:
            return [username if word == "{username}" else word for word in self.prefix] + [self.path], {}
        user = known(username, account)
        if user.uid == os.geteuid():
            return [self.path], {}
        if os.geteuid() == 0:
            return [self.path], {"user": user.uid, "group": user.gid, "extra_groups": user.groups}
        return ["sudo", "-n", "-H", "-u", username, "--", self.path], {}


def _environment(username, account):
    if account is None:
        return base_environment({})
    return base_environment({"HOME": account.home, "USER": username, "LOGNAME": username, "SHELL": account.shell})


def _read_answer(username, done):
    """The answer; HelperError where the helper did not begin, NoAnswer where it did and has not said how it went."""
    try:
        answer = json.loads(done.stdout)
        if isinstance(answer, dict) and isinstance(answer.get("ok"), bool):
            return answer
    except ValueError:
        pass
    words = (done.stderr.strip() or f"exit status {done.returncode}")[:500]
    if done.stdout.startswith(BEGUN):
        raise NoAnswer(f"the helper began to act as {username} and gave no answer: {words}")
    raise HelperError(f"the helper could not act as {username}: {words}")


def default_helper():
    """The helper beside this Python. Raises ConfigError where it is not installed."""
    path = os.path.join(os.path.dirname(sys.executable), HELPER)
    if not os.access(path, os.X_OK):
        raise ConfigError(f"helper: {path} is not there; set HPCSpawner.helper to where {HELPER} is installed")
    return path
