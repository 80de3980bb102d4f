"""What the helper refuses to whoever came through sudo: to run, or to have loaded, on this machine what people made.

A job may hold anything; it runs where the batch system lets it. The programs that submit it and ask for it run here, as
the user, and some of them run more, or read what to run, when a variable, an argument or a line of the script says so.
"""
import os
import re
import stat
from pathlib import Path

# Of arguments with a "-", what the batch systems of this package send.
OPTIONS = {program: frozenset(words.split()) for program, words in {
    "sbatch": "--parsable --test-only", "squeue": "-h -a -t -u --name -o", "scancel": "",
    "qsub": "-f -terse -w e", "qstat": "-T -w -n -1 -s -x -u -g -xml", "qselect": "-N -u", "qdel": "-W",
    "bsub": "", "bjobs": "-u -J -a -noheader -o", "bkill": "",
    "condor_submit": "-terse", "condor_q": "-allusers -constraint -json -attributes -format", "condor_rm": "",
}.items()}
# Their other arguments are names of scripts, or commands.
SUBMIT = frozenset("sbatch qsub bsub condor_submit".split())
# No path of a file; "@" names one to qsub, and is no id of a job.
ARGUMENT = re.compile(r"[^-@/][^/]*")
# Nothing that HTCondor would put something else in for, or run: "$(...)", "... |".
VALUE = re.compile(r"[\w .,:;@+=%/-]*")
ZONE = re.compile(r"[A-Za-z][\w+-]*(/[A-Za-z][\w+-]*){0,2}|[\w<>+,.:-]*", re.ASCII)
LANGUAGE = re.compile(r"[\w.@-]*", re.ASCII)
NAMES = {"TZ": ZONE, "LANG": LANGUAGE, "LC_ALL": LANGUAGE}
# qsub(1): both name programs that it runs, or files with such options; quotes are no part of a word.
GRID_ENGINE = re.compile(r"^#\$.*-(jsv|@)", re.MULTILINE)
# condor_submit(1): "include" and "queue ... from" may run programs.
CONDOR = re.compile(r"\s*(#.*|queue\s*\d*|(?P<key>\+?[a-z_][\w.]*)\s*=(?P<value>.*))?", re.IGNORECASE)
KEYWORDS = frozenset("include use queue if elif else endif".split())
# Jobs of the others (local, scheduler, grid) run where they are submitted.
UNIVERSES = frozenset("vanilla parallel docker container java vm".split())
# Accounts below are the system's own, no people's (useradd's default).
FIRST_UID = 1000
NOBODY = 65534


class Refused(Exception):
    """The request is not one that the helper acts on."""


def caller():
    """The uid that came through sudo, None where nobody did, or root, or the user itself."""
    uid = os.environ.get("SUDO_UID", "")
    return int(uid) if uid.isdigit() and int(uid) not in (0, os.getuid()) else None


def refuse_arguments(program, arguments):
    for word in arguments:
        if word.partition("=")[0] not in OPTIONS[program] and (program in SUBMIT or not ARGUMENT.fullmatch(word)):
            raise Refused(f"{word!r} is no argument of {program} that the batch systems of this package use")


def refuse_lines(program, text):
    """Of what the program reads, as far as it acts on it itself; the rest is the job's."""
    if program == "qsub" and GRID_ENGINE.search(re.sub(r"[\"'\\]", "", text)):
        raise Refused("a line with -jsv or -@ may run a program on this machine")
    if program == "condor_submit":
        for line in text.split("\n"):
            _refuse_description(line.rstrip())


def _refuse_description(line):
    """``NAME = VALUE``, a comment, ``queue`` or ``queue 2``, and a universe whose jobs run on other machines."""
    found = CONDOR.fullmatch(line)
    key = (found and found["key"] or "").lower().removeprefix("+").removeprefix("my.")
    universe = found["value"].strip().lower() if key == "universe" else ""
    if not found or key in KEYWORDS | {"jobuniverse"} or universe and universe not in UNIVERSES:
        raise Refused(f"{line!r} is a line that may run a program on this machine")


def refuse_value(name, value):
    """A variable that could name a file of people, or have one made up."""
    if not NAMES.get(name, VALUE).fullmatch(value):
        raise Refused(f"{value!r} cannot be the value of {name}")
    if name not in NAMES:
        refuse_paths_of_people(value)


def refuse_paths_of_people(text):
    """A program, or a file that tells one what to load, must not be what the caller could have put there.

    Some variables are lists, others one path with the same characters in it: each way to read them counts.
    """
    words = set(re.split("[:,; =]", text))
    for word in filter(lambda word: "/" in word, words | {text, *text.split(":")}):
        if word in words and not word.startswith("/"):
            raise Refused(f"{word!r} does not begin with /")
        for part, owner in ways(Path("/", word), private=0):  # programs look below it, where anybody could add
            if owner and (owner >= FIRST_UID or owner in (caller(), os.getuid())):
                raise Refused(f"{word!r} leads through {part}, which is not the system's alone to write")


def refuse_foreign(directory):
    """Who could rename a directory on the way could put another there, and read the session's keys."""
    for part, owner in ways(directory, os.path.expanduser("~")):
        if owner not in (0, os.getuid()):
            raise Refused(f"{part} is not root's or the user's alone to write: no place for session directories")


def ways(path, end="/", private=stat.S_ISVTX):
    """(what is there, its owner) on the way to the path, as it is written and as it is, not beyond ``end``.

    NOBODY owns what anybody could replace; of a path that is not there, where anybody could make it. ``private`` is the
    bit by which a directory at the end that is open to all has an owner.
    """
    for way in (os.path.abspath, os.path.realpath):
        kept = private
        for part in (Path(way(path)), *Path(way(path)).parents):
            if part == Path(way(end)) != Path("/"):
                break
            if not os.path.lexists(part):
                kept = 0
                continue
            found = part.lstat()
            anybody = found.st_mode & 0o002 and not stat.S_ISLNK(found.st_mode) and not found.st_mode & kept
            kept = stat.S_ISVTX
            yield part, NOBODY if anybody else found.st_uid
