"""Slurm: sbatch(1), squeue(1), scancel(1), sinfo(1), scontrol(1), sacctmgr(1).

Always an explicit format with the unit separator: a user's SQUEUE_FORMAT, blanks in a reason and the changing JSON of
Slurm's releases then do not matter. Nothing is asked for that a user chose, such as a job's name: it may hold line
breaks and separators, and could so speak for another job.
"""
import re
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import ClassVar

from ..errors import ParseError, QueryError
from ..model import Estimate, JobState, JobStatus
from . import slurm_info
from .base import first_line, no_job, own_words, places, require_success
from .slurm_info import SEP, duration

_STATUS_FIELDS = ("%i", "%T", "%r", "%B", "%N", "%S", "%L", "%P", "%Q")

# https://slurm.schedmd.com/squeue.html#SECTION_JOB-STATE-CODES; while COMPLETING, processes may still be there.
_STATES = {
    JobState.PENDING: "PENDING CONFIGURING REQUEUED REQUEUE_FED REQUEUE_HOLD RESV_DEL_HOLD SPECIAL_EXIT POWER_UP_NODE",
    JobState.RUNNING: "RUNNING COMPLETING RESIZING SIGNALING STAGE_OUT LAUNCH_FAILED_RETRY UPDATE_DB EXPEDITING",
    JobState.SUSPENDED: "SUSPENDED STOPPED",
    JobState.FINISHED: "COMPLETED FAILED CANCELLED TIMEOUT NODE_FAIL BOOT_FAIL DEADLINE OUT_OF_MEMORY "
                       "PREEMPTED REVOKED LAUNCH_FAILED RECONFIG_FAIL",
}
STATES = {code: state for state, codes in _STATES.items() for code in codes.split()}

# https://slurm.schedmd.com/job_reason_codes.html; False: the job waits for ever as it stands.
REASONS = {
    "None": ("", True),
    "Priority": ("jobs with a higher priority come first", True),
    "Resources": ("waiting for nodes to become free", True),
    "BeginTime": ("waiting for its start time", True),
    "Dependency": ("waiting for another job", True),
    "DependencyNeverSatisfied": ("the job it waits for did not end well", False),
    "Cleaning": ("being cleaned up after a requeue", True),
    "ReqNodeNotAvail": ("some requested nodes are down or reserved", True),
    "Reservation": ("waiting for its reservation to begin", True),
    "Licenses": ("waiting for a licence", True),
    "QOSMaxJobsPerUserLimit": ("you have the largest number of jobs that this quality of service allows", True),
    "AssocMaxJobsLimit": ("the account has its largest number of jobs", True),
    "AssocGrpCpuLimit": ("the account uses all the cores it may", True),
    "PartitionTimeLimit": ("the walltime is longer than this queue allows", False),
    "PartitionNodeLimit": ("more nodes than this queue has or allows", False),
    "PartitionConfig": ("the request does not fit this queue", False),
    "PartitionDown": ("the queue is closed at the moment", True),
    "PartitionInactive": ("the queue is closed at the moment", True),
    "BadConstraints": ("no node can fulfil this request", False),
    "InvalidAccount": ("the account is not valid", False),
    "InvalidQOS": ("the quality of service is not valid", False),
    "AccountNotAllowed": ("the account may not use this queue", False),
    "QOSNotAllowed": ("the quality of service may not be used in this queue", False),
    "JobHeldUser": ("held by its owner", False),
    "JobHeldAdmin": ("held by an administrator", False),
    "JobHoldMaxRequeue": ("held: it was put back into the queue too often", False),
    "QOSMaxWallDurationPerJobLimit": ("the walltime is longer than the quality of service allows", False),
    "AssocMaxWallDurationPerJobLimit": ("the walltime is longer than the account allows", False),
    "AssocGrpCPUMinutesLimit": ("the account has used up its core hours", False),
    "NodeDown": ("a node it needs is down", True),
    "Nodes required for job are DOWN": ("its nodes are down, or kept for queues of a higher priority", True),
}
# How a job ended, where that is not the job's own doing.
ENDS = {
    "TIMEOUT": "it reached its walltime",
    "DEADLINE": "it could not end before its deadline",
    "CANCELLED": "it was cancelled, not from the Hub's pages",
    "PREEMPTED": "a more important job took its nodes",
    "NODE_FAIL": "one of its nodes failed",
    "BOOT_FAIL": "one of its nodes could not be started",
    "OUT_OF_MEMORY": "it used more memory than it had asked for",
}
# What a job waits for by itself: others need not wait for it, and order does not decide when it starts.
_APART = re.compile("BeginTime|Dependency|Reservation|Assoc|QOS|Max|JobArrayTaskLimit")

# --overlap: the notebook holds the allocation already. --mem=0, no --exact: the step may use all of it.
_STEP = ("srun", "--overlap", "--cpu-bind=none", "--mem=0", "--kill-on-bad-exit=0", "--export=ALL", "--input=none")

_START = re.compile(r"^sbatch: Job \d+ to start at (\S+)", re.MULTILINE)
_UNREACHABLE = re.compile("Unable to contact slurm controller|Socket timed out|Zero Bytes were transmitted")


@dataclass(frozen=True)
class Slurm:
    """``mpi`` are values of ``srun --mpi=`` in the order to try: the first that suits the user's MPI is taken."""

    name: ClassVar[str] = "slurm"
    title: ClassVar[str] = "Slurm"
    template: ClassVar[str] = "job/slurm.sh.j2"
    description: ClassVar[str] = ""
    mpi: tuple[str, ...] = ("pmi2", "pmix")

    def submit_command(self, request):
        return ["sbatch", "--parsable"]

    def parse_job_id(self, completed):
        # "--parsable" prints "id" or "id;cluster"; a wrapper or plug-in may print lines before it.
        last = completed.stdout.strip().rpartition("\n")[2].partition(";")[0].strip()
        if completed.returncode != 0 or not re.fullmatch(r"[0-9]{1,20}", last):
            raise no_job(completed, _UNREACHABLE, own_words(completed).replace("sbatch: error: ", ""))
        return last

    def find_command(self, name, username):
        return ["squeue", "-h", "-a", "-u", username, f"--name={name}", "-o", "%i"]

    def parse_found(self, name, completed):
        return first_line(completed, r"(\d+)")

    def estimate_command(self, request):
        return ["sbatch", "--test-only"]

    def parse_estimate(self, completed):
        # Both answers are on standard error, and a site's plug-in may add lines to either.
        words = own_words(completed)
        if _UNREACHABLE.search(words):
            raise QueryError(words[:500])
        if completed.returncode != 0:
            return Estimate(refusal=re.sub("(?m)^(sbatch: error|allocation failure): ", "", words)[:500])
        start = _START.search(completed.stderr)
        return Estimate(_time(start[1])) if start else Estimate()

    def status_command(self):
        # "-t all": a job that ended stays listed for MinJobAge, so its end comes with a state and not as silence.
        return ["squeue", "-h", "-a", "-t", "all", "-o", SEP.join(_STATUS_FIELDS)]

    def parse_status(self, completed):
        rows = _rows(completed)
        line = places(filter(None, map(_in_line, rows)))
        return {row[0]: _status(*row[1:7], *line.get(row[0], (row[7], None))) for row in rows}

    def cancel_command(self, job_id):
        return ["scancel", job_id]

    def parse_cancel(self, completed):
        if "Invalid job id" not in completed.stderr:
            require_success(completed)

    def info_commands(self, answers=()):
        waiting = ["squeue", "-h", "-a", "-t", "PENDING", "-o", SEP.join(_STATUS_FIELDS)]
        return {**slurm_info.COMMANDS, "waiting": waiting}

    def parse_info(self, answers):
        if "waiting" not in answers:
            return slurm_info.parse(answers)
        waiting = filter(None, map(_in_line, _rows(answers["waiting"])))
        return slurm_info.parse(answers, Counter(queue for _, _, queues in waiting for queue in queues))

    def remote_run(self, request):
        return [*_STEP, f"--nodes={request.nodes}", f"--ntasks={request.nodes}", "--ntasks-per-node=1"]

    def mpi_run(self, request):
        # Older releases of srun give each rank the job's cores. --overcommit: there may be more ranks than cores.
        return [["env", "-u", "SLURM_CPUS_PER_TASK", *_STEP, f"--nodes={request.nodes}", "--ntasks={total}",
                 "--ntasks-per-node={per_node}", "--overcommit", f"--mpi={kind}"] for kind in self.mpi]

    def unsupported(self):
        return frozenset()


def _rows(completed):
    """squeue's lines, each a list of _STATUS_FIELDS."""
    require_success(completed)
    if completed.stderr.strip().startswith("slurm_load_jobs error"):
        raise QueryError(completed.stderr.strip()[:500])
    rows = [line.split(SEP) for line in completed.stdout.split("\n") if line]
    if any(len(row) != len(_STATUS_FIELDS) for row in rows):
        raise ParseError("a line without the requested fields", completed)
    return rows


def _in_line(row):
    """(rank, id, partitions) of a job that waits for its turn. An array's waiting tasks are one line, and one job."""
    job_id, code, reason, *_, partitions, priority = row
    waits = code == "PENDING" and _explain(reason)[1] and not _APART.match(reason)
    if not waits or not re.fullmatch("[0-9]{1,20}", priority):
        return None
    number = re.match("[0-9]{0,20}", job_id).group()
    return (-int(priority), int(number or 0)), job_id, tuple(dict.fromkeys(partitions.split(",")))


def _explain(reason):
    """(plain words, whether it can start); a reason may carry details: "ReqNodeNotAvail, UnavailableNodes:n1"."""
    return REASONS.get(reason.partition(",")[0], (reason, True))


def _status(code, reason, host, nodes, start, left, queue, ahead):
    words, can_start = _explain(reason)
    state = STATES.get(code, JobState.UNKNOWN)
    return JobStatus(
        state=state, code=code, reason="" if reason == "None" else reason,
        can_start=can_start or state != JobState.PENDING,
        explanation=words if state == JobState.PENDING else ENDS.get(code, ""),
        host="" if host == "n/a" else host, nodes=nodes,
        start_estimate=_time(start) if state == JobState.PENDING else None,
        time_left=duration(left), queue=queue, ahead=ahead,
    )


def _time(text):
    try:
        return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)
    except ValueError:
        return None
