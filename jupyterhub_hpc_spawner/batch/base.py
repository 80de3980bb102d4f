"""The contract of a batch system: a translator, never a doer.

Methods return argument lists and read text; ``hub.commands`` and the helper run the programs. One status
command answers for every job of every user. A state that the system's table lacks is UNKNOWN, never the end of
a job; a command that failed raises QueryError, which says nothing about any job.

A system is a frozen dataclass: its fields are what a site can set of it (``HPCSpawner.batch_settings``).
"""
import re
from collections import Counter
from typing import ClassVar, Mapping, Protocol, runtime_checkable

from ..errors import QueryError, SubmitError
from ..model import ClusterInfo, Completed, Estimate, JobRequest, JobStatus


class BatchSystem(Protocol):
    """``template`` makes the job script. Where what is submitted is not the script (HTCondor), ``description`` makes
    that, and the script is in the session's directory as ``job.sh``."""

    name: ClassVar[str]
    template: ClassVar[str]
    description: ClassVar[str]

    def submit_command(self, request: JobRequest) -> list[str]:
        """The script (or the description) goes to its standard input. Run as the user."""

    def parse_job_id(self, completed: Completed) -> str:
        """The id of the new job; SubmitError with the system's own words where it refused, QueryError where there may
        be a job all the same: see ``no_job``."""

    def find_command(self, name: str, username: str) -> list[str]:
        """Asks for this user's job of that name (``JobRequest.name``). Run as the user."""

    def parse_found(self, name: str, completed: Completed) -> str | None:
        """The id of the job of that name, None where there is none now; QueryError where the system did not answer."""

    def status_command(self) -> list[str]:
        """One command for every job of every user. Run as the Hub, with times in UTC.

        Also run as the owner of a job that the Hub's answer lacks, before it is believed gone: some sites
        hide the jobs of others.
        """

    def parse_status(self, completed: Completed) -> dict[str, JobStatus]:
        """By job id. QueryError where the system did not answer, ParseError where it spoke in riddles."""

    def cancel_command(self, job_id: str) -> list[str]:
        """Run as the user; ends the job whatever its state."""

    def parse_cancel(self, completed: Completed) -> None:
        """QueryError where the job may still be there. A job that is gone already is no error."""

    def info_commands(self, answers: Mapping[str, Completed] = ()) -> dict[str, list[str]]:
        """Commands for the form's choices, by a name of the system's own. Run as the Hub.

        Asked first without, and then once with the ``answers``: some commands need the words of others'.
        """

    def parse_info(self, answers: Mapping[str, Completed]) -> ClusterInfo:
        """From those of the info commands that answered; the others are missing."""

    def remote_run(self, request: JobRequest) -> list[str]:
        """What to put before a command, inside the job, to start it on its nodes.

        Without a word ``{node}`` it is one program that starts the command on every node. With one, it is run for
        each node but the first, and the command takes the place of a word ``{command}`` as a line for a remote
        shell; without that word it follows as words. It then needs no environment, directory, input or output.
        """

    def mpi_run(self, request: JobRequest) -> list[list[str]]:
        """What to put before a command, inside the job, to start it as the ranks of one MPI program on all nodes.

        Several in the order to try: whether one suits the MPI of the user's environment shows only there. The job
        fills in ``{per_node}`` and ``{total}``, numbers of ranks, and ``{nodes}``, names with commas between: how many
        cores it got is known to it alone.
        """

    def unsupported(self) -> frozenset[str]:
        """The options that this system cannot express, ``nodes`` where a job has only one."""


@runtime_checkable
class StartEstimates(Protocol):
    """What a batch system also has that can say when a request would start, before it is made."""

    title: ClassVar[str]

    def estimate_command(self, request: JobRequest) -> list[str]:
        """Reads the script from its standard input, submits nothing and leaves nothing behind. Run as the user, with
        times in UTC."""

    def parse_estimate(self, completed: Completed) -> Estimate:
        """QueryError where the system did not answer; its refusal is an answer."""


def first_line(completed, pattern):
    """The first group of the first line of a good answer that is the pattern from end to end, or None."""
    found = re.search(rf"^\s*(?:{pattern})\s*$", require_success(completed).stdout, re.MULTILINE)
    return found and found[1]


def places(waiting):
    """{job id: (queue, number of jobs ahead of it there)} of ``waiting``: (rank, job id, its queues), the smallest rank
    first. A job of several queues stands in line in each; its own place is the best of them."""
    standing, found = Counter(), {}
    for _, job_id, queues in sorted(waiting):
        queue = min(queues, key=standing.__getitem__)
        found[job_id] = queue, standing[queue]
        standing.update(queues)
    return found


def own_words(completed):
    """What a command that failed said, or at least its exit status."""
    return completed.stderr.strip() or completed.stdout.strip() or f"exit status {completed.returncode}"


def no_job(completed, unreachable, words):
    """The error of a submission that gave no id: ``words`` are a refusal, unless the command's own are ``unreachable``,
    or it ended well: then its answer is cut or another's."""
    if completed.returncode == 0:
        return QueryError(f"{completed.argv[0]} gave no number of a job: {words[:500]}")
    return (QueryError if unreachable.search(own_words(completed)) else SubmitError)(words)


def info_rounds(system, answers):
    """The system's info commands, first those that can be run at once, then those that need the others' ``answers``."""
    asked = {}
    for _ in range(2):
        commands = {name: argv for name, argv in system.info_commands(answers).items() if name not in asked}
        asked.update(commands)
        yield commands


def require_success(completed):
    """The same, where the command ended well; QueryError with the system's own words otherwise."""
    if completed.returncode != 0:
        raise QueryError(f"{completed.argv[0]}: {own_words(completed)[:500]}")
    return completed
