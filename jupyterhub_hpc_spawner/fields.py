"""The types of the option vocabulary: from whatever JSON or a form holds to one checked Python value each.

Every function raises ValueError with a sentence for the user.
"""
import re
from typing import Annotated

from pydantic import BeforeValidator

from .units import parse_memory, parse_walltime

# What may stand unquoted in a directive of any batch system: no space, no quote, no leading dash.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+@:/=-]{0,127}")
# What may stand beside others in one value of a directive, where = : and + would say something of their own.
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_MAX_TEXT = 4096
MODULES = "module:"


def name(value):
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueError("may only hold letters, digits and _ . + @ : / = - (at most 128)")
    return value


def word(value):
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        raise ValueError("may only hold letters, digits and _ . - (at most 128)")
    return value


def count(value):
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError("must be a whole number")
    if isinstance(value, str) and not re.fullmatch(r"[0-9]{1,9}", value):
        raise ValueError("must be a whole number")
    if not 0 <= int(value) < 10 ** 9:
        raise ValueError("must be a whole number, not negative and below a billion")
    return int(value)


def positive(value):
    value = count(value)
    if value == 0:
        raise ValueError("must be at least 1")
    return value


def memory(value):
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError("must be text, for example 16G")
    size = parse_memory(value)
    if not 0 < size < 1 << 60:
        raise ValueError("must be more than nothing and less than an exabyte")
    return size


def walltime(value):
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError("must be text, for example 04:00:00")
    seconds = parse_walltime(value)
    if not 0 < seconds <= 3650 * 86400:
        raise ValueError("must be more than nothing and at most ten years")
    return seconds


def plain_text(value):
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        raise ValueError(f"must be text of at most {_MAX_TEXT} characters")
    if any(ord(c) < 32 or ord(c) == 127 or 0xD800 <= ord(c) < 0xE000 for c in value):
        raise ValueError("may not hold line breaks or control characters")
    return value


def directory(value):
    value = plain_text(value)
    if not value.startswith(("/", "~/")) and value != "~":
        raise ValueError("must be an absolute path, or begin with ~/")
    return value


def environment(value):
    value = plain_text(value)
    if value.startswith(MODULES):
        if not value[len(MODULES):].split():
            raise ValueError("name at least one module after module:")
        for module in value[len(MODULES):].split():
            name(module)
        return value
    return directory(value) if value.startswith(("/", "~")) else name(value)


def is_on(value):
    """Whether a box is ticked for what a form, a link or a preset has of it, which may be anything."""
    return str(value).lower() in ("true", "on", "1", "yes")


def flag(value):
    words = {"true": True, "on": True, "1": True, "yes": True, "false": False, "off": False, "0": False, "no": False}
    value = words.get(value.lower(), value) if isinstance(value, str) else value
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


Name = Annotated[str, BeforeValidator(name)]
Word = Annotated[str, BeforeValidator(word)]
Count = Annotated[int, BeforeValidator(count)]
Positive = Annotated[int, BeforeValidator(positive)]
Memory = Annotated[int, BeforeValidator(memory)]
Walltime = Annotated[int, BeforeValidator(walltime)]
Text = Annotated[str, BeforeValidator(plain_text)]
Directory = Annotated[str, BeforeValidator(directory)]
EnvironmentName = Annotated[str, BeforeValidator(environment)]
Flag = Annotated[bool, BeforeValidator(flag)]
