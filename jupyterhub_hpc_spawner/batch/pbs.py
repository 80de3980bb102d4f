"""OpenPBS and PBS Professional: qsub(1B), qstat(1B), qdel(1B), pbs_rstat(1B), pbsnodes(8B), pbs_tmrsh(8B).

Status comes as qstat's table: its JSON holds text that users choose, which can make it invalid or speak for other jobs.
What the table shows is cut to its columns and holds neither blanks nor line breaks.
"""
import re
from dataclasses import dataclass
from typing import ClassVar

from ..errors import ParseError
from ..model import JobState, JobStatus
from . import pbs_info
from .base import first_line, no_job, own_words, require_success

# qstat(1B), "job state"; on PBS a deleted job stays R until its processes have ended.
STATES = {
    **dict.fromkeys("QHWTM", JobState.PENDING), **dict.fromkeys("REB", JobState.RUNNING),
    **dict.fromkeys("SU", JobState.SUSPENDED), **dict.fromkeys("FX", JobState.FINISHED),
}
_WAITS = {"H": "held", "W": "waiting for its start time", "T": "being moved to another server",
          "M": "moved to another server"}
# PBS_ERRORs are exit statuses modulo 256: 15010 and its kin are "no server", 15001 unknown, 15139 finished.
_NO_SERVER = re.compile("cannot connect to server|Couldn't connect to cluster|Connection refused")
_GONE = re.compile("Unknown Job Id|Job has finished|Request invalid for state of job")
_ID = re.compile(r"([0-9]{1,20})\.[A-Za-z0-9_.-]{1,255}")
# Id, user, queue, name, session, nodes, cores, memory, time, state, estimated start.
_COLUMNS = 11


@dataclass(frozen=True)
class PBS:
    """``gpu_type_resource`` is the chunk resource for a kind of GPU, ``place`` how nodes of a job are placed."""

    name: ClassVar[str] = "pbs"
    template: ClassVar[str] = "job/pbs.sh.j2"
    description: ClassVar[str] = ""
    gpu_resource: str = "ngpus"
    gpu_type_resource: str = "gpu_type"
    place: str = "scatter"

    def select(self, request):
        """The request's nodes as one chunk each: ``2:ncpus=4:mem=16777216kb:ngpus=1``."""
        chunk = [str(request.nodes), f"ncpus={request.cores or 1}"]
        if request.memory:
            chunk.append(f"mem={request.memory // 1024}kb")
        if request.gpus:
            chunk.append(f"{self.gpu_resource}={request.gpus}")
        if request.gpu_type:
            chunk.append(f"{self.gpu_type_resource}={request.gpu_type}")
        if request.constraint:
            chunk.append(request.constraint if "=" in request.constraint else f"{request.constraint}=True")
        return ":".join(chunk)

    def submit_command(self, request):
        # "-f": without it a process in the background submits, and does so even after a time limit has killed qsub.
        return ["qsub", "-f"]

    def parse_job_id(self, completed):
        last = completed.stdout.strip().rpartition("\n")[2].strip()
        found = _ID.fullmatch(last)
        if completed.returncode != 0 or not found:
            raise no_job(completed, _NO_SERVER, own_words(completed).replace("qsub: ", ""))
        # The number alone: qstat cuts the server's name, and qdel takes it as the default server's.
        return found[1]

    def find_command(self, name, username):
        return ["qselect", "-N", name, "-u", username]

    def parse_found(self, name, completed):
        return first_line(completed, r"(\d+)\.\S+")

    def status_command(self):
        # Estimated starts, wide, with nodes, one line a job and then one with the scheduler's comment.
        return ["qstat", "-T", "-w", "-n", "-1", "-s"]

    def parse_status(self, completed):
        require_success(completed)
        jobs = {}
        for job, comment in _entries(completed):
            number = re.match(r"[0-9]+(?=[.*]|$)", job[0])
            if number:  # not a job array
                jobs[number.group()] = _status(job[9], job[10], job[11], comment)
        return jobs

    def cancel_command(self, job_id):
        return ["qdel", job_id]

    def parse_cancel(self, completed):
        if not _GONE.search(completed.stderr):
            require_success(completed)

    def info_commands(self, answers=()):
        return pbs_info.COMMANDS

    def parse_info(self, answers):
        return pbs_info.parse(answers, self.gpu_resource, self.gpu_type_resource)

    def remote_run(self, request):
        return ["pbs_tmrsh", "{node}"]

    def mpi_run(self, request):
        # An Open MPI that was built for PBS. MPICH's mpiexec hands pbs_tmrsh a line for a shell, which it is not.
        return [["mpiexec", "-n", "{total}", "--map-by", "ppr:{per_node}:node", "--oversubscribe"]]

    def unsupported(self):
        return frozenset({"qos"})


def _entries(completed):
    """(columns, comment) of each job; below each header a ruler of dashes shows how wide the columns are."""
    entries, ends = [], None
    for line in completed.stdout.split("\n"):
        if not line.strip():
            ends = None
        elif re.fullmatch(r"-+( -+)+", line):
            ends = [found.span() for found in re.finditer("-+", line)]
            if len(ends) != _COLUMNS:
                raise ParseError("a table of other columns", completed)
        elif ends and line.startswith("   ") and entries:
            entries[-1][1] = line.strip()
        elif ends and line[0] != " ":
            columns = [line[begin:end].strip() for begin, end in ends]
            entries.append([[*columns, line[ends[-1][1]:].strip()], ""])
        elif ends:
            raise ParseError("a line that is no job's", completed)
    if completed.stdout.strip() and not entries:
        raise ParseError("an answer without a table", completed)
    return entries


def _status(code, start, hosts, comment):
    state = STATES.get(code, JobState.UNKNOWN)
    nodes = list(dict.fromkeys(place.partition("/")[0] for place in hosts.split("+"))) if "/" in hosts else []
    if state != JobState.PENDING:
        return JobStatus(state=state, code=code, host=nodes[0] if nodes else "", nodes=" ".join(nodes))
    comment = comment.strip("- ")
    explanation = _WAITS.get(code) or comment.partition(": ")[2] or comment
    if re.search(r"\d", start):
        # "16:50" today, "Sa 14" this week, then a month or a year: as it stands, in UTC.
        explanation = f"{explanation}; expected to start: {start} UTC".removeprefix("; ")
    return JobStatus(state=state, code=code, reason=comment, explanation=explanation,
                     can_start=not (code == "H" or comment.startswith("Can Never Run")))
