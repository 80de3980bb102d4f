"""What people use in their notebooks: ``from jupyterhub_hpc_spawner.notebook import session``.

Installed with the package and staged into every session, so that it can be imported in environments that do not have
the package: standard library only at import, Python 3.8 or newer, and nothing of the rest of the package.
"""
from .restart import RestartError
from .show import Session

__all__ = ["RestartError", "session"]


def session():
    """This session as a card: job, nodes, time left, runtimes, and what is wrong with them.

    Reads a file, asks nobody. What is shown is the state at the moment of showing it. ``session().restart()`` starts
    what failed anew.
    """
    return Session()
