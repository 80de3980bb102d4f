"""Memory and walltime, as people write them.

Memory is a number of bytes, walltime a number of seconds everywhere else in the package.
"""
import re

from .errors import HPCSpawnerError

_MEMORY = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)\s*([KMGTP]?)(?:i?B)?", re.IGNORECASE)
_POWERS = {"K": 1, "M": 2, "G": 3, "T": 4, "P": 5}
_DURATION = re.compile(r"(?:(\d{1,5})\s*d)?\s*(?:(\d{1,6})\s*h)?\s*(?:(\d{1,8})\s*m)?\s*(?:(\d{1,9})\s*s)?",
                       re.IGNORECASE)
_CLOCK = re.compile(r"(?:(\d{1,5})-)?(\d{1,8})(?::(\d{1,8}))?(?::(\d{1,8}))?")


class UnitError(HPCSpawnerError, ValueError):
    """The text is not a memory size or a walltime."""


def parse_memory(text):
    """Bytes in ``"16G"``, ``"1.5 TiB"`` or ``"4000"``; a bare number is megabytes, as in Slurm's ``--mem``.

    All units are powers of 1024. Raises UnitError.
    """
    match = _MEMORY.fullmatch(str(text).strip())
    if not match:
        raise UnitError("write memory as a number with a unit, for example 16G")
    number, unit = match.groups()
    return int(float(number) * 1024 ** _POWERS[unit.upper() or "M"])


def format_memory(size):
    """``"16G"`` for 17179869184 bytes: the largest unit that stays a whole number, at least ``K``."""
    for unit, power in reversed(_POWERS.items()):
        if size and size % 1024 ** power == 0:
            return f"{size // 1024 ** power}{unit}"
    return f"{max(1, size // 1024) if size else 0}K"


def parse_walltime(text):
    """Seconds in ``"4h"``, ``"1d12h"``, ``"90m"`` or any form that sbatch(1) ``--time`` takes.

    Those are ``minutes``, ``minutes:seconds``, ``hours:minutes:seconds``, ``days-hours``,
    ``days-hours:minutes`` and ``days-hours:minutes:seconds``. Raises UnitError.
    """
    text = str(text).strip()
    match = _DURATION.fullmatch(text)
    if match and any(match.groups()):
        days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
        return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    match = _CLOCK.fullmatch(text)
    if not match:
        raise UnitError("write walltime as hours:minutes:seconds or with units, for example 04:00:00 or 4h")
    days, *rest = match.groups()
    parts = [int(part) for part in rest if part is not None]
    if days is not None:
        hours, minutes, seconds = parts + [0] * (3 - len(parts))
        return ((int(days) * 24 + hours) * 60 + minutes) * 60 + seconds
    hours, minutes, seconds = {1: [0, *parts, 0], 2: [0, *parts], 3: parts}[len(parts)]
    return (hours * 60 + minutes) * 60 + seconds


def format_walltime(seconds):
    """``"04:00:00"``, or ``"1-12:00:00"`` from one day on, as sbatch(1) ``--time`` takes it."""
    days, rest = divmod(int(seconds), 86400)
    return f"{days}-{format_clock(rest)}" if days else format_clock(rest)


def format_clock(seconds):
    """``"36:00:00"``: hours as many as there are, as PBS and Grid Engine take it."""
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}"


def format_span(seconds):
    """For people: ``"20 min"``, ``"3 h 20 min"``, ``"2 days 3 h"``."""
    hours, minutes = divmod(round(seconds / 60), 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "day" + "s" * (days != 1)), (hours, "h"), (minutes, "min")]
    shown = [f"{number} {unit}" for number, unit in (parts[:2] if days else parts) if number]
    return " ".join(shown) or "less than 1 min"
