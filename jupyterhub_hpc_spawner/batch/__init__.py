"""Batch systems by name: those of the entry point group ``jupyterhub_hpc_spawner.batch_systems``."""
from dataclasses import fields
from importlib.metadata import entry_points

from ..errors import ConfigError

GROUP = "jupyterhub_hpc_spawner.batch_systems"


def make_batch_system(name, settings):
    """The batch system of that name with the site's settings for it. Raises ConfigError with the names there are."""
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in found:
        raise ConfigError(f"batch_system: there is no {name!r}; choose one of {', '.join(sorted(found))}")
    kind = found[name].load()
    known = {field.name: field.default for field in fields(kind)}
    for key, value in settings.items():
        if key not in known:
            there = f"it has {', '.join(known)}" if known else "it has none"
            raise ConfigError(f"batch_settings: {key!r} is not a setting of {name}; {there}")
        if not isinstance(value, (list, tuple) if isinstance(known[key], tuple) else type(known[key])):
            raise ConfigError(f"batch_settings[{key!r}] must be like its default, {known[key]!r}, and is {value!r}")
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()})
