"""What a site says of the values of a field, in ``HPCSpawner.choices``: typed, with the words for what is wrong."""
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from .errors import ConfigError
from .fields import Count, Memory, Name, Positive, Text, Walltime, Word, count, name, word

# The rest: what the cluster has and the site does not name.
REST = "*"


def _gpus(value):
    """``{"a100": 4}``, or a number where kinds have no name."""
    if isinstance(value, Mapping):
        return {word(kind) if kind else "": count(number) for kind, number in value.items()}
    return {"": count(value)} if count(value) else {}


class Entry(BaseModel):
    """``hide``: not offered and refused; with ``"form"`` only not offered."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: Text = ""
    description: Text = ""
    hide: Literal[True, False, "form"] = False

    def facts(self):
        """What it says of the value itself, by the name of the model's field."""
        given = self.model_fields_set - Entry.model_fields.keys()
        return {name: getattr(self, name) for name in given}


class NodeTypeEntry(Entry):
    """Resources are per node."""

    cores: Positive | None = None
    memory: Memory | None = None
    gpus: Annotated[dict[str, Count], BeforeValidator(_gpus)] = {}


class QueueEntry(NodeTypeEntry):
    """``accounts`` and ``qos`` are those that may use it, ``node_types`` those that it has."""

    default: bool = False
    max_walltime: Walltime | None = None
    default_walltime: Walltime | None = None
    max_nodes: Positive | None = None
    node_types: tuple[Word, ...] = ()
    accounts: tuple[Name, ...] = ()
    qos: tuple[Name, ...] = ()


KINDS = {"queue": QueueEntry, "account": Entry, "qos": Entry, "reservation": Entry, "node_type": NodeTypeEntry,
         "gpu_type": Entry}
FIELDS = tuple(KINDS)
_VALUES = {field: word if field in ("node_type", "gpu_type") else name for field in FIELDS}


def parse_choices(choices):
    """The trait as {field: {value: Entry}}. Raises ConfigError that names the entry."""
    if unknown := choices.keys() - KINDS.keys():
        raise ConfigError(f"choices: {_shown(unknown)} is not one of {', '.join(FIELDS)}")
    return {field: {value: _entry(field, value, entry) for value, entry in _dict(f"choices[{field!r}]", entries)}
            for field, entries in choices.items()}


def parse_discover(fields):
    """The trait as a set. Raises ConfigError."""
    if unknown := set(fields) - KINDS.keys():
        raise ConfigError(f"discover: {_shown(unknown)} is not one of {', '.join(FIELDS)}")
    return frozenset(fields)


def _dict(where, value):
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where}: must be a dict")
    return value.items()


def _entry(field, value, entry):
    where = f"choices[{field!r}][{value!r}]"
    given = dict(_dict(where, entry))
    if value == REST and given.get("title"):
        raise ConfigError(f"{where}['title']: the rest has no title in common")
    try:
        if value != REST:
            _VALUES[field](value)
        return KINDS[field].model_validate(given)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        place = "".join(f"[{part!r}]" for part in detail["loc"][:1])
        said = detail.get("ctx", {}).get("error") or detail["msg"]
        said = "is not a setting here" if detail["type"] == "extra_forbidden" else said
        raise ConfigError(f"{where}{place}: {said}") from error
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error


def _shown(names):
    return ", ".join(sorted(map(repr, names)))
