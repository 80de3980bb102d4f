"""Whatever a file holds, as text that is safe to print and short enough to read."""
import json
import re
import time

MAX_FILE = 1024 ** 2
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def read_object(path):
    """The JSON object in the file. OSError where it cannot be read, ValueError where it is something else."""
    with open(path, encoding="utf-8") as file:
        text = file.read(MAX_FILE + 1)
    try:
        found = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply")
    if not isinstance(found, dict):
        raise ValueError("it is not a JSON object")
    return found


def plain(value, limit=300):
    """A string or a number as text: no colours, no control characters of a terminal. "" for anything else."""
    if value is None or isinstance(value, (bool, list, dict)):
        return ""
    text = _COLOURS.sub("", str(value)[:2 * limit]).expandtabs(4).strip()
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = "".join(letter if letter.isprintable() or letter == "\n" else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return text if len(text) <= limit else text[:limit] + "\N{HORIZONTAL ELLIPSIS}"


def line(value, limit=300):
    """The same on one line."""
    return " ".join(plain(value, limit).split())


def moment(value):
    """Seconds since 1970, or None for what is no time between 1970 and 9999."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if is_number and 86400 < value < 253370764800 else None


def clock(seconds, now):
    """The time of day, with the date where it is another day than ``now``."""
    then, today = time.localtime(seconds), time.localtime(now)
    date = "" if then[:3] == today[:3] else "%Y-%m-%d "
    return time.strftime(date + "%H:%M %Z", then).strip()


def duration(seconds):
    """In the two largest units: ``2 d 3 h``, ``1 h 5 min``, ``12 min``, ``40 s``."""
    minutes = int(seconds) // 60
    if not minutes:
        return "%d s" % seconds
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return "%d d %d h" % (days, hours)
    return "%d h %d min" % (hours, minutes) if hours else "%d min" % minutes
