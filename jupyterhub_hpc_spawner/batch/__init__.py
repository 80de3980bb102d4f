"""Batch systems by name: those of the entry point group ``jupyterhub_hpc_spawner.batch_systems``."""
from importlib.metadata import entry_points

from ..errors import ConfigError

GROUP = "jupyterhub_hpc_spawner.batch_systems"


def find_batch_system(name):
    """The batch system's class. Raises ConfigError with the names there are."""
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in found:
        raise ConfigError(f"batch_system: there is no {name!r}; choose one of {', '.join(sorted(found))}")
    return found[name].load()
