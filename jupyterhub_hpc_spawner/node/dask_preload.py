"""Loaded by the Dask scheduler and by standard workers: no TCP port with their dashboard, metrics and logs.

Even loopback is open to everybody else on a shared node. The scheduler's answers on a Unix socket of the user, which
the single-user server serves behind its login. The scheduler also leaves the versions of this environment, the
workers' own, for notebooks to compare theirs with.
"""
import json
import os
import platform
from importlib import metadata

from distributed import Scheduler
from tornado.netutil import bind_unix_socket

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
    server.http_server.stop()
    if isinstance(server, Scheduler):
        server.http_server.add_socket(bind_unix_socket(os.environ["JUPYTERHUB_HPC_DASHBOARD"], mode=0o600))
        with open(os.path.join(os.path.dirname(os.environ["HPC_SESSION_FILE"]), "dask-versions.json"), "w") as out:
            json.dump(versions(), out)
