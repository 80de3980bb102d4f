"""This session's Dask in the sidebar of dask-labextension, with nothing to click.

Its cluster manager, in the server's process, makes one here when the server starts; ``node/dask.py`` tells it so.
"""
import asyncio
import os

from . import elastic

PAUSE = 0.5


class Sidebar:
    """Before a cluster of ``attached.py`` in the order of classes. The sidebar shows all workers, so it counts all."""

    @property
    def dashboard_link(self):
        """The sidebar shows a dashboard as it is where its path begins like jupyter-server-proxy's own, else it asks a
        port of this machine, and ours is on none (ClusterManager in dask-labextension)."""
        return os.environ.get("JUPYTERHUB_SERVICE_PREFIX", "/") + "proxy-dask-dashboard/status"

    def scale(self, n=None, jobs=0, memory=None, cores=None):
        """Have ``n`` workers, the session's own among them, which stay."""
        return super().scale(n if n is None else max(0, n - len(self.others)), jobs=jobs, memory=memory, cores=cores)

    def adapt(self, minimum=0, maximum=float("inf"), **kwargs):
        own = len(self.others)
        return super().adapt(minimum=max(0, minimum - own), maximum=max(0, maximum - own), **kwargs)


async def session_cluster(asynchronous=True):
    """The cluster, as soon as the session's scheduler runs. ClusterError where there can be none."""
    while elastic.dask_facts(elastic.session_facts(os.environ)).get("state") != "running":
        await asyncio.sleep(PAUSE)
    return await elastic.make_cluster(None, {}, before=(Sidebar,), asynchronous=asynchronous)
