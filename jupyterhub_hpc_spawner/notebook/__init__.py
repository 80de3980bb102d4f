"""What people use in their notebooks: ``from jupyterhub_hpc_spawner.notebook import session``.

Installed with the package and staged into every session, so that it can be imported in environments that do not have
the package: standard library only at import, Python 3.8 or newer, and nothing of the rest of the package.
"""
from .restart import RestartError
from .show import Session

__all__ = ["RestartError", "cluster", "session"]


def session():
    """This session as a card: job, nodes, time left, runtimes, and what is wrong with them.

    Reads a file, asks nobody. What is shown is the state at the moment of showing it. ``session().restart()`` starts
    what failed anew.
    """
    return Session()


def cluster(road=None, **settings):
    """Further Dask workers for this session, each as a batch job of its own that joins the session's scheduler.

        c = cluster()
        c.scale(10)                        # 10 extra workers
        c.adapt(minimum=0, maximum=100)    # as many as the work needs

    It is a cluster of dask-jobqueue. All its numbers count extra workers only; the session's own are not counted, and
    stay. ``c.close()``, the end of the kernel and the end of the session end the extra jobs. One job is as large as one
    of the session's own workers and has the session's queue, account and walltime, unless you say otherwise: ``queue``,
    ``account``, ``cores``, ``memory``, ``processes``, ``walltime`` and what else the class of dask-jobqueue takes.

    ``road`` is "job", submitted by the batch system's commands here, or "hub", by the Hub; left out, what the site has.
    """
    from .elastic import make_cluster
    return make_cluster(road, settings)
