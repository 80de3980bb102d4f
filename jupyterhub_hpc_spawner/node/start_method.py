"""How worker processes come to be: forked from this one where that is safe, from a clean server, or from nothing.

A fork copies memory but no threads, so a lock that another thread holds is held for ever in the copy. What a site loads
into every Python (sitecustomize, Dask's preloads) may have started threads.
"""
import multiprocessing
import os
import sys
import tempfile
import threading
import warnings
from importlib import import_module

from .report import leave_note, say

WORKER = __package__ + ".dask_worker"
# Of the 107 bytes that a Unix socket's path may have (unix(7)), multiprocessing adds some 40.
MAX_TEMPORARY = 60


def choose(note):
    """The ``multiprocessing`` context to start workers with; where it is not fork, the file ``note`` says why."""
    _import_once()
    threads = surviving_threads()
    if not threads:
        return multiprocessing.get_context("fork")
    server = multiprocessing.get_context("forkserver")
    # __main__ is run.py, which imports nothing; what the site preloads stays out of the server.
    server.set_forkserver_preload([WORKER])
    method = "forkserver" if _clean(server) else "spawn"
    leave_note(note, "%s cannot be forked safely: %s; workers start with %s, which takes longer"
               % (os.uname().nodename.split(".")[0], threads, method))
    return multiprocessing.get_context(method)


def _import_once():
    """Everything that each worker would import by itself, the site's and the user's preload modules included."""
    import_module(WORKER).warm_up()
    import dask
    for name in dask.config.get("distributed.worker.preload"):
        if name.endswith(".py") or "://" in name:
            continue  # distributed loads a file anew in every worker
        try:
            import_module(name)
        except Exception as error:
            say("Dask: the preload %s: %r" % (name, error))


def surviving_threads():
    """Which threads this process still has at a fork, in words; "" for none.

    A trial: libraries that take care of forks (OpenBLAS) end their threads before one and start them again when needed.
    """
    names = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    others = _tasks(os.getpid()) - 1
    if names:
        return "there are the threads " + ", ".join(names)
    return "there are %d threads of a library" % others if others else ""


def _tasks(pid):
    return len(os.listdir("/proc/%d/task" % pid))


def _clean(server):
    """Whether the server that it forks from has no threads."""
    probe = server.Process(target=exit_with_threads_of_parent)
    usual = tempfile.gettempdir()
    if len(usual) > MAX_TEMPORARY:  # a job's own may be: the server listens in it, in a private directory
        tempfile.tempdir = "/tmp"
    try:
        probe.start()
    finally:
        tempfile.tempdir = usual
    probe.join()
    return probe.exitcode == 0


def exit_with_threads_of_parent():
    sys.exit(_tasks(os.getppid()) - 1)
