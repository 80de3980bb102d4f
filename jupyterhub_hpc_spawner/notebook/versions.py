"""Whether this kernel has what the Dask workers have: what is pickled on one side is read on the other."""
import platform
from importlib import metadata

from .plain import line


def difference(workers):
    """One line that names what is of another version here than with the workers, "" where nothing is.

    ``workers`` is name to version, as the scheduler wrote it; ``None`` for what is not installed there.
    """
    found = []
    for name, theirs in list(workers.items())[:30]:
        theirs = line(theirs, 40)
        ours = platform.python_version() if name == "python" else installed(name)
        if not _fits(name, ours, theirs):
            found.append("%s %s here, %s there" % ("Python" if name == "python" else line(name, 40),
                                                   ours or "missing", theirs or "missing"))
    if not found:
        return ""
    return ("This kernel's software is not that of the Dask workers: %s. Results may fail to travel; use the session's "
            "own kernel, or start the session with this environment." % "; ".join(found[:10]))


def installed(name):
    """The version of a distribution, or None. Nothing is imported."""
    try:
        return metadata.version(name)
    except Exception:  # half-removed packages raise all sorts of errors, and are no reason to show no card
        return None


def _fits(name, ours, theirs):
    if name == "python":  # bytecode and pickles change with the minor version only
        return ours.split(".")[:2] == theirs.split(".")[:2]
    if ours is None:  # what the workers have in addition does no harm
        return name not in ("distributed", "dask")
    return ours == theirs
