"""Loaded by the Dask scheduler: its dashboard answers on a Unix socket of the user instead of a TCP port.

Even loopback is open to everybody else on a shared node. The single-user server serves the socket behind its login.
"""
import os

from tornado.netutil import bind_unix_socket


async def dask_setup(scheduler):
    path = os.environ.get("JUPYTERHUB_HPC_DASHBOARD")
    if path:
        scheduler.http_server.stop()
        scheduler.http_server.add_socket(bind_unix_socket(path, mode=0o600))
