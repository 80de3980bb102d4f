"""The option vocabulary: any input (form, REST body, saved options) to Options, or OptionErrors.

One flat JSON object, the same on every road. ``Options`` declares each key once: its type, its label and help
for the form, and its section there. ``parse_options`` is the only way to make one.
"""
from dataclasses import dataclass, field
from typing import Any, Mapping

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from . import fields
from .declared import FIELDS, Entry
from .errors import ConfigError, OptionError, OptionErrors
from .fields import MODULES, Count, Directory, EnvironmentName, Flag, Memory, Name, Positive, Walltime, Word
from .fitting import fitting
from .limits import limits, write
from .model import Environment, Offer


def _option(section, label, help="", default=None):
    return Field(default, title=label, description=help, json_schema_extra={"section": section})


class Options(BaseModel):
    """One validated request. Counts and ``memory`` (bytes) are per node, ``walltime`` is in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    profile: Name | None = _option("where", "Preset", "Fills in the rest; what you change below counts.")
    cluster: Name | None = _option("where", "Cluster")
    queue: Name | None = _option("where", "Queue", "Where the job waits and runs.")
    account: Name | None = _option("where", "Account", "The project that pays. Empty: your default.")
    qos: Name | None = _option("where", "Quality of service")
    reservation: Name | None = _option("where", "Reservation", "For courses and dedicated time.")
    node_type: Word | None = _option("resources", "Node type")
    nodes: Positive = _option("resources", "Nodes", "Dask workers run on all of them.", 1)
    walltime: Walltime | None = _option("resources", "Walltime", "hours:minutes:seconds, or 4h, 90m, 1d12h.")
    cores: Positive | None = _option("resources", "Cores per node")
    memory: Memory | None = _option("resources", "Memory per node", "With a unit, for example 16G.")
    gpus: Count | None = _option("resources", "GPUs per node")
    gpu_type: Word | None = _option("resources", "GPU type")
    environment: EnvironmentName | None = _option("software", "Software environment")
    interface: Name | None = _option("software", "Interface")
    working_dir: Directory | None = _option("software", "Working directory", "Empty: your home directory.")
    dask: Flag = _option("parallel", "Start Dask automatically",
                         "Client() is then connected to workers on all nodes.", False)
    dask_workers_per_node: Positive | None = _option("parallel", "Dask workers per node", "Empty: by the cores.")
    dask_threads_per_worker: Positive | None = _option("parallel", "Threads per Dask worker", "Empty: by the cores.")
    ipyparallel: Flag = _option("parallel", "Start IPyParallel automatically, with MPI",
                                'ipp.Client(os.environ["IPP_CLIENT_FILE"]) then has engines on all nodes.', False)
    ipyparallel_engines_per_node: Positive | None = _option("parallel", "Engines per node", "Empty: one per core.")


@dataclass(frozen=True)
class Profile:
    """A site's preset: a name for people, the options it fills in, and those a user may not change."""

    options: Mapping[str, Any]
    display_name: str = ""
    description: str = ""
    lock: tuple[str, ...] = ()


@dataclass(frozen=True)
class Policy:
    """What a site offers and allows; see the traits of the same names for how it is configured.

    ``limits`` are largest values by field (bytes, seconds, counts); ``allowed`` are the only values by field.
    """

    defaults: Mapping[str, Any] = field(default_factory=dict)
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    environments: Mapping[str, Environment] = field(default_factory=dict)
    custom_environment: bool = False
    interfaces: Mapping[str, str] = field(default_factory=dict)
    node_types: Mapping[str, str] = field(default_factory=dict)
    choices: Mapping[str, Mapping[str, Entry]] = field(default_factory=dict)
    discover: frozenset[str] = frozenset(FIELDS)
    limits: Mapping[str, int] = field(default_factory=dict)
    allowed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unsupported: frozenset[str] = frozenset()


_LIMITABLE = ("nodes", "walltime", "cores", "memory", "gpus", "dask_workers_per_node", "dask_threads_per_worker",
              "ipyparallel_engines_per_node")
_READERS = {"memory": fields.memory, "walltime": fields.walltime}


def parse_limits(limits):
    """The trait ``limits`` as numbers: ``{"walltime": "8h"}`` to ``{"walltime": 28800}``. Raises ConfigError."""
    parsed = {}
    for name, value in limits.items():
        if name not in _LIMITABLE:
            raise ConfigError(f"limits: {name!r} is not an option with a number")
        try:
            parsed[name] = _READERS.get(name, fields.count)(value)
        except ValueError as error:
            raise ConfigError(f"limits[{name!r}]: {error}") from error
    return parsed


def parse_options(raw, policy=Policy(), info=Offer()):
    """Options from any road; ``raw`` maps the vocabulary's keys, ``info`` is what this user is offered. Raises
    OptionErrors with every bad field."""
    if not isinstance(raw, Mapping) or not all(isinstance(key, str) for key in raw):
        raise OptionErrors([OptionError("options", "must be one JSON object")])
    site = _site_values(policy, info)
    given = {**_filled({"profile": site.get("profile")}), **_filled(raw)}
    merged = {**site, **_filled(_profile_options(given, policy)), **given}
    try:
        options = Options.model_validate(merged)
    except ValidationError as error:
        raise OptionErrors([_explain(detail) for detail in error.errors()]) from None
    options = _with_walltime(options, policy, info)
    errors = [*_against_lock(options, policy, info), *_against_policy(options, policy),
              *_against_cluster(options, policy, info)]
    if errors:
        raise OptionErrors(errors)
    return options


def _filled(values):
    return {key: value for key, value in values.items() if value is not None and value != ""}


def dump_options(options):
    """The JSON object that parses to ``options`` again, without what was left open."""
    data = options.model_dump(exclude_none=True)
    for name in _READERS.keys() & data.keys():
        data[name] = write(name, data[name])
    return data


def find_environment(value, policy):
    """The Environment behind the option's value; of no value, the site's first. Raises OptionError."""
    if value is None:
        return next(iter(policy.environments.values()), Environment())
    if value in policy.environments:
        return policy.environments[value]
    if policy.custom_environment and value.startswith(MODULES):
        return Environment(modules=tuple(value[len(MODULES):].split()))
    if policy.custom_environment and value.startswith(("/", "~")):
        return Environment(path=value)
    raise OptionError("environment", _choose(value, policy.environments))


def _site_values(policy, info):
    """What holds where the user says nothing: the first of the allowed values, then the site's defaults."""
    first = {name: values[0] for name, values in policy.allowed.items() if values}
    return {**info.first, **_filled(first), **_filled(policy.defaults)}


def _profile_options(given, policy):
    name = given.get("profile")
    return policy.profiles[name].options if isinstance(name, str) and name in policy.profiles else {}


def _explain(detail):
    name = readable(str(detail["loc"][0])[:64]) if detail["loc"] else "options"
    if detail["type"] == "extra_forbidden":
        return OptionError(name, "is not an option here")
    cause = detail.get("ctx", {}).get("error")
    return OptionError(name, str(cause or detail["msg"]))


def readable(text):
    """What others wrote, a key say, for a log: never a line of its own there."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text) or '""'


def _parsed(name, values):
    """The site's allowed values as Options holds them: ``"16G"`` is a number of bytes there."""
    try:
        return [getattr(Options.model_validate({name: value}), name) for value in values if value not in (None, "")]
    except (ValidationError, AttributeError) as error:
        raise ConfigError(f"allowed[{name!r}]: {error}") from error


def _choose(value, names):
    return f"there is no {str(value)[:64]!r} here" + _instead(names)


def _instead(names):
    shown = ", ".join(map(str, list(names)[:20]))
    return f"; choose one of {shown}" if shown else ""


def _with_walltime(options, policy, info):
    """A limit on walltime also holds for a request that leaves it to the queue."""
    limit = policy.limits.get("walltime")
    if limit is None or options.walltime is not None:
        return options
    queue = info.queue(options.queue)
    default = queue.default_walltime if queue else None
    return options.model_copy(update={"walltime": min(limit, default or limit)})


def _against_lock(options, policy, info):
    if options.profile not in policy.profiles:
        return
    profile = policy.profiles[options.profile]
    try:
        preset = Options.model_validate({**_site_values(policy, info), **_filled(profile.options)})
        fixed = {name: getattr(_with_walltime(preset, policy, info), name) for name in profile.lock}
    except (ValidationError, AttributeError) as error:
        raise ConfigError(f"profiles[{options.profile!r}]: {error}") from error
    for name, value in fixed.items():
        if getattr(options, name) != value:
            yield OptionError(name, f"is fixed by the preset {options.profile}")


def _against_policy(options, policy):
    if options.profile is not None and options.profile not in policy.profiles:
        yield OptionError("profile", _choose(options.profile, policy.profiles))
    for name in sorted(policy.unsupported):
        if getattr(options, name) != Options.model_fields[name].default:
            yield OptionError(name, "cannot be chosen on this cluster")
    for name, values in policy.allowed.items():
        value = getattr(options, name)
        if value is not None and value not in _parsed(name, values):
            yield OptionError(name, _choose(write(name, value), [v for v in values if v not in (None, "")]))
    if options.interface is not None and options.interface not in policy.interfaces:
        yield OptionError("interface", _choose(options.interface, policy.interfaces))
    try:
        find_environment(options.environment, policy)
    except OptionError as error:
        yield error


def _against_cluster(options, policy, info):
    fits = fitting(info, options.queue, options.node_type, options.account)
    chosen = {name: value for name in FIELDS if (value := getattr(options, name)) is not None}
    bad = {name: message for name, value in chosen.items() if (message := _not_offered(name, value, info, fits))}
    yield from (OptionError(name, message) for name, message in bad.items())
    node_type, gpu_type = (chosen.get(name) if name not in bad else None for name in ("node_type", "gpu_type"))
    for name, limit in limits(policy, info, options.queue, node_type, gpu_type).items():
        value = getattr(options, name)
        if value is not None and value > limit.value:
            yield OptionError(name, str(limit))


def _not_offered(name, value, info, fits):
    """Why this value of a field is not for this user here, "" where it is or nobody knows."""
    listed = info.choices.get(name, {})
    if value in info.closed.get(name, ()):
        return f"{value} {info.closed[name][value]}" + _instead(_titled(info, name, listed))
    if name == "queue" and (queue := info.queue(value)) and not queue.up:
        return f"{info.title(name, value)} is not taking jobs at the moment"
    # Slurm takes a job with an unknown quality of service and lets it wait for ever.
    if listed and value not in listed and value not in info.unlisted.get(name, ()):
        return _choose(value, _titled(info, name, listed))
    if value in listed and name in fits and value not in fits[name]:
        where = "account" if name == "qos" else "queue"
        return f"{info.title(name, value)} does not go with this {where}" + _instead(_titled(info, name, fits[name]))
    return ""


def _titled(info, name, values):
    """Values as the form shows them, with the batch system's name."""
    titles = {value: info.title(name, value) for value in values}
    return [value if title == value else f"{title} ({value})" for value, title in titles.items()]
