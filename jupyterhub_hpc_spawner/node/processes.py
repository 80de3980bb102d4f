"""Child processes that end when they are told to, and never outlive their session."""
import asyncio
import ctypes
import os
import signal
import threading
from functools import partial

_PRCTL = ctypes.CDLL(None, use_errno=True).prctl
_PR_SET_PDEATHSIG = 1


def die_with_parent():
    """For a child between fork and exec: it is killed when its parent dies (prctl(2)).

    Where a batch system looks for a job's processes in its session only, what has a session of its own would stay.
    """
    _PRCTL(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


class Child:
    """A program in a process group of its own, so that its children go with it."""

    def __init__(self, name, process):
        self.name = name
        self.process = process

    @property
    def returncode(self):
        """None while it runs."""
        return self.process.returncode

    @classmethod
    async def start(cls, name, argv, env=None, log=None):
        """``log`` is a path that takes the program's output; without one it is ours."""
        output = open(log, "ab") if log else None
        try:
            process = await asyncio.create_subprocess_exec(
                *argv, env=env, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                preexec_fn=die_with_parent)
        finally:
            if output:
                output.close()
        return cls(name, process)

    async def wait(self):
        return await self.process.wait()

    async def end(self, grace):
        """Ask, then after ``grace`` seconds kill; whatever is left of the group is killed too."""
        if self.process.returncode is None:
            self._signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self.process.wait(), grace)
            except asyncio.TimeoutError:
                pass
        self._signal(signal.SIGKILL)
        await self.process.wait()

    def _signal(self, number):
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass


def ending_event(loop):
    """An event that any signal to end sets: a cancelled job, the walltime's warning, a closed terminal."""
    event = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        loop.add_signal_handler(number, event.set)
    return event


async def first_of(*awaitables):
    """Wait until one is done; the others are cancelled."""
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


async def in_thread(function):
    """The function's result or error; a thread that is still at it does not keep the process from ending."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()

    def work():
        try:
            settle = partial(future.set_result, function())
        except Exception as error:
            settle = partial(future.set_exception, error)
        try:
            loop.call_soon_threadsafe(lambda: future.done() or settle())
        except RuntimeError:
            pass  # the loop is closed: nobody waits any more

    threading.Thread(target=work, daemon=True).start()
    return await future


def tail(path, lines=15):
    """The last lines of a log, "" where there is none."""
    try:
        with open(path, "rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - 8192))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
