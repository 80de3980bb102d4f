"""Parallel runtimes that a session can start; each says when it is wanted."""
from .dask import Dask
from .ipyparallel import IPyParallel

RUNTIMES = (Dask(), IPyParallel())


def wanted_runtimes(options):
    """The runtimes that these Options ask for."""
    return [runtime for runtime in RUNTIMES if runtime.wanted(options)]
