"""Slurm: sbatch(1), squeue(1), scancel(1), sinfo(1), scontrol(1), sacctmgr(1).

Always an explicit format with the unit separator: a user's SQUEUE_FORMAT, blanks in a reason and the changing JSON of
Slurm's releases then do not matter. Nothing is asked for that a user chose, such as a job's name: it may hold line
breaks and separators, and could so speak for another job.
"""
import re
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import ClassVar

from ..errors import ParseError, QueryError, SubmitError
from ..model import ClusterInfo, JobState, JobStatus, Queue, Reservation
from ..units import UnitError, parse_walltime
from .base import own_words, require_success

_SEP = "\x1f"
_STATUS_FIELDS = ("%i", "%T", "%r", "%B", "%N", "%S", "%L")
_QUEUE_FIELDS = ("%R", "%a", "%l", "%D", "%T", "%c", "%m", "%f", "%G", "%s")

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
    "Priority": ("other jobs are ahead in this queue", True),
    "Resources": ("next in line, waiting for nodes to become free", True),
    "BeginTime": ("waiting for its start time", True),
    "Dependency": ("waiting for another job", True),
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
    "QOSMaxWallDurationPerJobLimit": ("the walltime is longer than the quality of service allows", False),
    "AssocMaxWallDurationPerJobLimit": ("the walltime is longer than the account allows", False),
    "AssocGrpCPUMinutesLimit": ("the account has used up its core hours", False),
    "NodeDown": ("a node it needs is down", True),
}


# --overlap: the notebook holds the allocation already. --mem=0, no --exact: the step may use all of it.
_STEP = ("srun", "--overlap", "--cpu-bind=none", "--mem=0", "--kill-on-bad-exit=0", "--export=ALL", "--input=none")

_UNREACHABLE = re.compile("Unable to contact slurm controller|Socket timed out|Zero Bytes were transmitted")


@dataclass(frozen=True)
class Slurm:
    """``mpi`` are values of ``srun --mpi=`` in the order to try: the first that suits the user's MPI is taken."""

    name: ClassVar[str] = "slurm"
    template: ClassVar[str] = "job/slurm.sh.j2"
    description: ClassVar[str] = ""
    mpi: tuple[str, ...] = ("pmi2", "pmix")

    def submit_command(self, request):
        return ["sbatch", "--parsable"]

    def parse_job_id(self, completed):
        # "--parsable" prints "id" or "id;cluster"; a wrapper or plug-in may print lines before it.
        last = completed.stdout.strip().rpartition("\n")[2].partition(";")[0].strip()
        if completed.returncode != 0 or not re.fullmatch(r"[0-9]{1,20}", last):
            words = own_words(completed)
            words = words.replace("sbatch: error: ", "")
            raise (QueryError if _UNREACHABLE.search(words) else SubmitError)(words)
        return last

    def status_command(self):
        # "-t all": a job that ended stays listed for MinJobAge, so its end comes with a state and not as silence.
        return ["squeue", "-h", "-a", "-t", "all", "-o", _SEP.join(_STATUS_FIELDS)]

    def parse_status(self, completed):
        require_success(completed)
        if completed.stderr.strip().startswith("slurm_load_jobs error"):
            raise QueryError(completed.stderr.strip()[:500])
        jobs = {}
        for line in completed.stdout.split("\n"):
            fields = line.split(_SEP)
            if not line:
                continue
            if len(fields) != len(_STATUS_FIELDS):
                raise ParseError("a line without the requested fields", completed)
            jobs[fields[0]] = _status(*fields[1:])
        return jobs

    def cancel_command(self, job_id):
        return ["scancel", job_id]

    def parse_cancel(self, completed):
        if "Invalid job id" not in completed.stderr:
            require_success(completed)

    def info_commands(self):
        return {
            "queues": ["sinfo", "-h", "-a", "-o", _SEP.join(_QUEUE_FIELDS)],
            "partitions": ["scontrol", "show", "partition", "-o"],
            "accounts": ["sacctmgr", "-n", "-P", "show", "assoc", "format=User,Account,QOS"],
            "reservations": ["scontrol", "show", "reservation", "-o"],
        }

    def parse_info(self, answers):
        accounts, qos = _accounts(answers["accounts"]) if "accounts" in answers else ({}, {})
        details = _records(answers["partitions"], "PartitionName") if "partitions" in answers else {}
        return ClusterInfo(
            queues=_queues(answers["queues"], details) if "queues" in answers else (),
            accounts=accounts,
            qos=qos,
            reservations=_reservations(answers["reservations"]) if "reservations" in answers else (),
            untold=frozenset() if accounts else frozenset({"account"}),
        )

    def remote_run(self, request):
        return [*_STEP, f"--nodes={request.nodes}", f"--ntasks={request.nodes}", "--ntasks-per-node=1"]

    def mpi_run(self, request):
        # Older releases of srun give each rank the job's cores. --overcommit: there may be more ranks than cores.
        return [["env", "-u", "SLURM_CPUS_PER_TASK", *_STEP, f"--nodes={request.nodes}", "--ntasks={total}",
                 "--ntasks-per-node={per_node}", "--overcommit", f"--mpi={kind}"] for kind in self.mpi]

    def unsupported(self):
        return frozenset()


def _status(code, reason, host, nodes, start, left):
    # A reason may carry details: "ReqNodeNotAvail, UnavailableNodes:n1".
    words, can_start = REASONS.get(reason.partition(",")[0], (reason, True))
    state = STATES.get(code, JobState.UNKNOWN)
    return JobStatus(
        state=state, code=code, reason="" if reason == "None" else reason,
        can_start=can_start or state != JobState.PENDING, explanation=words if state == JobState.PENDING else "",
        host="" if host == "n/a" else host, nodes=nodes,
        start_estimate=_time(start) if state == JobState.PENDING else None,
        time_left=_duration(left),
    )


def _time(text):
    try:
        return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)
    except ValueError:
        return None


def _duration(text):
    """Seconds; None for UNLIMITED, INVALID, NOT_SET, infinite and the like. ``30:00`` is 30 minutes."""
    try:
        return parse_walltime(text)
    except UnitError:
        return None


def _number(text):
    """``4`` of ``4+``, as sinfo(1) prints where nodes differ; None of UNLIMITED."""
    match = re.match(r"\d+", text)
    return int(match.group()) if match else None


def parse_gres(text):
    """GPUs a node by type, ``""`` for an untyped one: ``gpu:a100:4(S:0,1),gpu:2`` to ``{"a100": 4, "": 2}``."""
    gpus = {}
    for item in re.sub(r"\([^)]*\)", "", text).split(","):
        kind, *rest = item.strip().split(":")
        if kind == "gpu" and rest:
            count = int(rest[-1]) if rest[-1].isdecimal() else 1
            gpu_type = rest[0] if not rest[0].isdecimal() else ""
            gpus[gpu_type] = max(gpus.get(gpu_type, 0), count)
    return gpus


def _records(completed, key):
    """The lines of ``scontrol show -o`` as dicts, by the value of ``key``."""
    records = {}
    for line in completed.stdout.splitlines():
        fields = dict(re.findall(r"(\S+?)=(\S*)", line))
        if key in fields:
            records[fields[key]] = fields
    return records


def _queues(completed, details):
    """One Queue a partition: sinfo prints a line for each kind of node, so the largest node counts."""
    found = {}
    for line in filter(None, completed.stdout.split("\n")):
        fields = line.split(_SEP)
        if len(fields) != len(_QUEUE_FIELDS) or not fields[3].isdecimal():
            raise ParseError("a line without the requested fields", completed)
        name, up, limit, nodes, state, cores, memory, features, gres, _ = fields
        row = found.setdefault(name, {"total": 0, "idle": 0, "cores": 0, "memory": 0, "features": {}, "gpus": {},
                                      "up": up == "up", "limit": _duration(limit)})
        row["total"] += int(nodes)
        row["idle"] += int(nodes) if state.rstrip("*~#!%$@^-") == "idle" else 0
        row["cores"] = max(row["cores"], _number(cores) or 0)
        row["memory"] = max(row["memory"], (_number(memory) or 0) * 1024 ** 2)
        row["features"].update(dict.fromkeys(f for f in features.split(",") if f and f != "(null)"))
        for gpu_type, count in parse_gres(gres).items():
            row["gpus"][gpu_type] = max(row["gpus"].get(gpu_type, 0), count)
    return tuple(_queue(name, row, details.get(name, {})) for name, row in found.items())


def _queue(name, row, detail):
    most = _number(detail.get("MaxNodes", ""))
    allowed = detail.get("AllowAccounts", "ALL")
    return Queue(
        name=name, default=detail.get("Default") == "YES", up=row["up"],
        max_walltime=row["limit"], default_walltime=_duration(detail.get("DefaultTime", "")),
        max_nodes=min(most, row["total"]) if most is not None else row["total"],
        total_nodes=row["total"], idle_nodes=row["idle"],
        cores=row["cores"] or None, memory=row["memory"] or None, gpus=row["gpus"],
        features=tuple(row["features"]), accounts=None if allowed == "ALL" else tuple(allowed.split(",")),
    )


def _accounts(completed):
    accounts, qos = {}, {}
    for line in filter(None, completed.stdout.split("\n")):
        user, _, rest = line.partition("|")
        account, _, names = rest.partition("|")
        if user and account:
            accounts.setdefault(user, {})[account] = None
            qos.setdefault(user, {}).update(dict.fromkeys(filter(None, names.split(","))))
    return ({user: tuple(names) for user, names in accounts.items()},
            {user: tuple(names) for user, names in qos.items()})


def _reservations(completed):
    def names(fields, key):
        return () if fields.get(key, "(null)") == "(null)" else tuple(fields[key].split(","))

    return tuple(
        Reservation(name, names(fields, "Users"), names(fields, "Accounts"), fields.get("State") == "ACTIVE")
        for name, fields in _records(completed, "ReservationName").items()
    )
