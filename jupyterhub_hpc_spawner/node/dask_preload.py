"""Loaded by the Dask scheduler and by standard workers: no TCP port with their dashboard, metrics and logs.

Even loopback is open to everybody else on a shared node. The scheduler's answers on a Unix socket of the user, which
the single-user server serves behind its login. The scheduler also leaves the versions of this environment, the
workers' own, for notebooks to compare theirs with; a worker tells the scheduler of which extra job it is.
"""
import json
import os
import platform
import signal
from contextlib import suppress
from importlib import metadata

from distributed import Nanny, Scheduler
from tornado.netutil import bind_unix_socket

CLOSE_GRACE = 6
# What both sides of Dask must agree in: they pickle with it or pack it.
PACKAGES = ("distributed", "dask", "msgpack", "cloudpickle", "toolz", "lz4", "numpy", "pandas")


def versions():
    """Name to version; None for what is not installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


async def dask_setup(server):
    if isinstance(server, Nanny):
        return  # it has no HTTP server
    server.http_server.stop()
    if isinstance(server, Scheduler):
        server.http_server.add_socket(bind_unix_socket(os.environ["JUPYTERHUB_HPC_DASHBOARD"], mode=0o600))
        path = os.path.join(os.path.dirname(os.environ["HPC_SESSION_FILE"]), "dask-versions.json")
        with suppress(OSError), open(path, "w") as out:  # a full home directory keeps nobody from working
            json.dump(versions(), out)
    else:
        server.startup_information["extra_job"] = lambda worker: os.environ.get("HPC_EXTRA_JOB")


async def dask_teardown(server):
    """Workers and nannies that are told to end at the same time can hang for ever, until their job is killed."""
    if not isinstance(server, Scheduler):
        signal.alarm(CLOSE_GRACE)
