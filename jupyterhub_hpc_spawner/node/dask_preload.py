"""Loaded by the Dask scheduler: its dashboard answers on a Unix socket of the user instead of a TCP port.

Even loopback is open to everybody else on a shared node. The single-user server serves the socket behind its login.
It also leaves the versions of this environment, the workers' own, for notebooks to compare theirs with.
"""
import json
import os
import platform
from importlib import metadata

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


async def dask_setup(scheduler):
    session_file = os.environ.get("HPC_SESSION_FILE")
    if session_file:
        with open(os.path.join(os.path.dirname(session_file), "dask-versions.json"), "w") as out:
            json.dump(versions(), out)
    path = os.environ.get("JUPYTERHUB_HPC_DASHBOARD")
    if path:
        scheduler.http_server.stop()
        scheduler.http_server.add_socket(bind_unix_socket(path, mode=0o600))
