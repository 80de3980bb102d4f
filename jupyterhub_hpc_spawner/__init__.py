"""JupyterHub sessions as batch jobs, with Dask and IPyParallel already connected.

Names are loaded on first use: node and notebook code runs in environments that have neither
JupyterHub nor batchspawner.
"""
from importlib import import_module

from ._version import __version__

_PUBLIC = {
    "HPCSpawner": ".hub.spawner",
    "HPCSpawnerError": ".errors",
    "OptionError": ".errors",
    "ConfigError": ".errors",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name):
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name], __name__), name)
