"""From the traits of the configuration to the cluster and the Policy that options are held against."""
from ..batch import make_batch_system
from ..declared import parse_choices, parse_discover
from ..errors import ConfigError
from ..model import Environment
from ..options import Policy, Profile, parse_limits
from .cluster import Cluster
from .commands import Helper


def make_cluster(spawner):
    """The Cluster of this configuration."""
    helper = Helper(spawner.helper, spawner.helper_prefix, spawner.command_environment)
    return Cluster(make_batch_system(spawner.batch_system, spawner.batch_settings), helper, spawner.command_environment,
                   spawner.log, spawner.status_interval, spawner.info_interval, spawner.command_timeout,
                   spawner.commands_at_once, spawner.owed_cancels_file)


def make_policy(spawner):
    """The site's Policy; batchspawner's ``req_*`` settings are its defaults. Raises ConfigError."""
    defaults = {"queue": spawner.req_queue or spawner.req_partition, "account": spawner.req_account,
                "walltime": spawner.req_runtime, "memory": spawner.req_memory, "cores": spawner.req_nprocs,
                "gpus": spawner.req_ngpus}
    return Policy(
        defaults={name: value for name, value in defaults.items() if value},
        profiles=_entries("profiles", Profile, spawner.profiles, "lock"),
        environments=_entries("environments", Environment, spawner.environments, "modules"),
        custom_environment=spawner.custom_environment, interfaces=spawner.interfaces, node_types=spawner.node_types,
        choices=parse_choices(spawner.choices), discover=parse_discover(spawner.discover),
        limits=parse_limits(spawner.limits), allowed={name: tuple(values) for name, values in spawner.allowed.items()},
        unsupported=spawner.cluster.system.unsupported() | {"cluster"},
    )


def _entries(trait, kind, entries, sequence):
    """The entries of a dict trait as dataclasses. Raises ConfigError that names the entry."""
    try:
        return {name: kind(**{**entry, sequence: tuple(entry.get(sequence, ()))}) for name, entry in entries.items()}
    except (TypeError, AttributeError) as error:
        raise ConfigError(f"HPCSpawner.{trait}: {error}") from error
