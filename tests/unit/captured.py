"""Reads ``tests/captured``: what real batch systems answered. The form of the files is in its README.md."""
import re
import shlex
from pathlib import Path

from jupyterhub_hpc_spawner.model import Completed

DIRECTORY = Path(__file__).resolve().parent.parent / "captured"
SEPARATOR = "\x1f"
# A job's line begins with its id; what follows a line break inside a job's name does not.
_JOB = re.compile(r"^(?=\d+(?:_\S+)?\x1f)", re.MULTILINE)


def captured(name):
    """The Completed of ``<system>-<version>/<trouble>``."""
    text = (DIRECTORY / f"{name}.txt").read_bytes().decode(errors="replace")
    command, status, output = text.split("\n", 2)
    stdout, _, stderr = output.partition("--- stderr\n")
    return Completed(tuple(shlex.split(command.removeprefix("$ "))), int(status.removeprefix("rc ")), stdout, stderr)


def print_jobs(jobs, argv):
    """What ``squeue`` prints for these jobs (dicts by format letter) when asked by ``argv``; like it, raw."""
    line = argv[argv.index("-o") + 1]
    texts = (re.sub(r"%([a-zA-Z])", lambda field: job[field[1]], line) for job in jobs)
    return Completed(tuple(argv), 0, "".join(f"{text}\n" for text in texts), "")


def read_jobs(completed):
    """A captured ``squeue``'s jobs as dicts by format letter."""
    letters = completed.argv[completed.argv.index("-o") + 1].replace("%", "").split(SEPARATOR)
    rows = (row.removesuffix("\n") for row in _JOB.split(completed.stdout) if row)
    return [dict(zip(letters, row.split(SEPARATOR, len(letters) - 1))) for row in rows]
