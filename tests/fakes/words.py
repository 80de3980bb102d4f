"""Command lines and directive lines, read as strictly as the real programs do."""
import re
import shlex

from .store import Refusal


def directives(script, prefix):
    """The words of the lines that begin with the prefix, up to the first line that is a command."""
    words = []
    for line in script.split("\n"):
        if line.startswith(prefix):
            words += shlex.split(line[len(prefix):])
        elif line.strip() and not line.lstrip().startswith("#"):
            break
    return words


def short_options(words, takes, refuse):
    """getopt(3): ``-N name``, ``-Nname``, ``-hV``. (option, value) pairs and the other words."""
    pairs, rest, words = [], [], list(words)
    while words:
        word = words.pop(0)
        if word == "--" or not word.startswith("-") or word == "-":
            rest += ([] if word == "--" else [word]) + words
            break
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter not in takes:
                raise refuse(f"invalid option -- '{letter}'")
            if takes[letter]:
                if not letters and not words:
                    raise refuse(f"option requires an argument -- '{letter}'")
                pairs.append((letter, letters or words.pop(0)))
                break
            pairs.append((letter, ""))
    return pairs, rest


def long_options(words, takes, refuse):
    """``--name=value``, ``--name value``, ``--flag``; also words with one dash that are one option (LSF, Grid Engine).

    ``takes`` is the number of values by option.
    """
    found, words = [], list(words)
    while words and words[0].startswith("-"):
        name, equals, value = words.pop(0).partition("=")
        if name not in takes:
            raise refuse(name + equals + value)
        if equals:
            found.append((name, [value]))
            continue
        count = takes[name]
        if len(words) < count:
            raise refuse(name)
        found.append((name, [words.pop(0) for _ in range(count)]))
    return found, words


def clock(text):
    """Seconds of ``[[hours:]minutes:]seconds``. Raises ValueError."""
    if not re.fullmatch(r"\d+(:\d+){0,2}", text):
        raise ValueError(text)
    seconds = 0
    for part in text.split(":"):
        seconds = seconds * 60 + int(part)
    return seconds


def write_clock(seconds):
    return f"{int(seconds) // 3600:02}:{int(seconds) // 60 % 60:02}:{int(seconds) % 60:02}"


def size(text):
    """Bytes of ``16gb``, ``4096K``, ``1024``."""
    found = re.fullmatch(r"(\d+)([kmgt]?)b?", text.lower())
    if not found:
        raise ValueError(text)
    return int(found[1]) * 1024 ** " kmgt".index(found[2] or " ")


def need(condition, returncode, stderr="", stdout=""):
    """Refuse in the system's words unless the condition holds."""
    if not condition:
        raise Refusal(returncode, stderr, stdout)
