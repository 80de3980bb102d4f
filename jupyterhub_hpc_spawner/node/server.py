"""The single-user server's process: as it is, only faster to start."""
import os
import runpy
import shutil
import sys
from contextlib import suppress

from . import activity


def serve(mode, *command):
    """Become the server, ``quick`` or ``plain``; ``command`` is its command line."""
    sys.argv = list(command)
    if mode == "quick":
        from .quick_start import prepare
        prepare()
    sys.path[0] = os.path.dirname(command[0])
    # For the sidebar (``notebook/sidebar.py``), where this package is not installed.
    sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "python"))
    activity.run_in_thread(activity.watch(InUse()))
    runpy.run_path(command[0], run_name="__main__")


class InUse:
    """Whether the server is, each time it is asked: a kernel is busy, whose last message may be hours ago, or something
    has happened since the last time.

    The server tells the Hub of the latter, too, but by this node's clock, which may be another than the Hub's.
    """

    last = None

    def __call__(self):
        # Step by step: this is asked while the server is being imported and made, too.
        kind = getattr(sys.modules.get("jupyter_server.serverapp"), "ServerApp", None)
        server = kind.instance() if kind and kind.initialized() else None
        kernels, pages = getattr(server, "kernel_manager", None), getattr(server, "web_app", None)
        if kernels is None or pages is None:
            return False
        before = self.last
        with suppress(RuntimeError):  # the server's own thread changes what this reads: next time, then
            self.last = pages.last_activity()
        return self.last != before or any(kernel["execution_state"] == "busy" for kernel in kernels.list_kernels())


def server_argv(command, run_py, quick):
    """The argument list that starts the server.

    A Python script is run by the interpreter of its first line, in our wrapper; anything else is run as it is.
    FileNotFoundError where the command is not there.
    """
    path = shutil.which(command[0])
    if path is None:
        raise FileNotFoundError(command[0])
    python = _interpreter(path)
    if not python:
        return [path, *command[1:]]
    return [python, run_py, "server", "quick" if quick else "plain", path, *command[1:]]


def _interpreter(path):
    with open(path, "rb") as script:
        first = script.readline(512)
        second = script.readline(512)
    words = first[2:].decode(errors="replace").split() if first.startswith(b"#!") else []
    if words[:1] == ["/bin/sh"] and second.startswith(b"'''exec'"):
        # pip's way around interpreter paths that are too long for the kernel: '''exec' "/long/path/python" "$0" "$@"
        words = [second.decode(errors="replace").split("'''exec'", 1)[1].split('"$0"')[0].strip().strip('"')]
    if len(words) == 1 and os.path.basename(words[0]).startswith("python") and os.access(words[0], os.X_OK):
        return words[0]
    return ""
