"""Loaded by the Dask scheduler and by standard workers: no TCP port with their dashboard, metrics and logs.

Even loopback is open to everybody else on a shared node. The scheduler's answers on a Unix socket of the user, which
the single-user server serves behind its login.
"""
import os

from tornado.netutil import bind_unix_socket


async def dask_setup(server):
    server.http_server.stop()
    path = os.environ.get("JUPYTERHUB_HPC_DASHBOARD")
    if path:
        server.http_server.add_socket(bind_unix_socket(path, mode=0o600))
