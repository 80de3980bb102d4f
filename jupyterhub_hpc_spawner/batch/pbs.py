"""OpenPBS and PBS Professional: qsub(1B), qstat(1B), qdel(1B), pbsnodes(8B), pbs_tmrsh(8B).

``qstat -F json`` escapes what users chose, so nobody can speak for another's job; but any user can make it invalid (a
variable of the value ``nan``). It is then read line by line, which its fixed form allows.
"""
import json
import re
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import ClassVar

from ..errors import ParseError, QueryError, SubmitError
from ..model import ClusterInfo, JobState, JobStatus
from ..units import UnitError, parse_walltime
from . import pbs_info
from .base import require_success

# qstat(1B), "job state"; on PBS a deleted job stays R until its processes have ended.
STATES = {
    **dict.fromkeys("QHWTM", JobState.PENDING), **dict.fromkeys("REB", JobState.RUNNING),
    **dict.fromkeys("SU", JobState.SUSPENDED), **dict.fromkeys("FX", JobState.FINISHED),
}
_WAITS = {"H": "held", "W": "waiting for its start time", "T": "being moved to another server",
          "M": "moved to another server"}
# PBS_ERRORs are exit statuses modulo 256: 15010 and its kin are "no server", 15001 unknown, 15139 finished.
_NO_SERVER = re.compile("cannot connect to server|Couldn't connect to cluster|Connection refused")
_GONE = re.compile("Unknown Job Id|Job has finished")
_ID = re.compile(r"[0-9]{1,20}(\[[0-9]*\])?\.[A-Za-z0-9_.-]{1,255}")
_JOB_LINE = re.compile(r' {8}"([^"]+)":\{')
_FIELD_LINE = re.compile(r' {12}"(job_state|exec_host|comment)":(".*"),?')


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
        return ["qsub"]

    def parse_job_id(self, completed):
        last = completed.stdout.strip().rpartition("\n")[2].strip()
        if completed.returncode != 0 or not _ID.fullmatch(last):
            words = completed.stderr.strip() or completed.stdout.strip() or f"exit status {completed.returncode}"
            raise (QueryError if _NO_SERVER.search(words) else SubmitError)(words.replace("qsub: ", ""))
        return last

    def status_command(self):
        return ["qstat", "-f", "-F", "json"]

    def parse_status(self, completed):
        # A server that is down gives valid JSON without jobs; only the exit status tells.
        require_success(completed)
        return {job_id: _status(job) for job_id, job in _jobs(completed).items()}

    def cancel_command(self, job_id):
        return ["qdel", job_id]

    def parse_cancel(self, completed):
        if not _GONE.search(completed.stderr):
            require_success(completed)

    def info_commands(self):
        return {"queues": ["qstat", "-Q", "-f", "-F", "json"], "nodes": ["pbsnodes", "-a", "-F", "json"]}

    def parse_info(self, answers):
        return pbs_info.parse(answers, self.gpu_resource, self.gpu_type_resource) if answers else ClusterInfo()

    def remote_run(self, request):
        return ["pbs_tmrsh", "{node}"]

    def mpi_run(self, request):
        return []

    def unsupported(self):
        return frozenset({"qos"})


def _jobs(completed):
    try:
        jobs = json.loads(completed.stdout).get("Jobs", {})
        if not all(isinstance(job, dict) for job in jobs.values()):
            raise ParseError("an answer without jobs", completed)
        return jobs
    except (ValueError, AttributeError, RecursionError):
        return _scan(completed)


def _scan(completed):
    """The jobs in an answer that is not quite JSON."""
    if not completed.stdout.startswith('{\n    "timestamp":'):
        raise ParseError("an answer that is not JSON", completed)
    jobs, job = {}, {}
    for line in completed.stdout.split("\n"):
        if found := _JOB_LINE.fullmatch(line):
            job = jobs.setdefault(found[1], {})
        elif found := _FIELD_LINE.fullmatch(line):
            job[found[1]] = found[2][1:-1]
    return jobs


def _status(job):
    code, comment = str(job.get("job_state", "")), str(job.get("comment", ""))
    state = STATES.get(code, JobState.UNKNOWN)
    hosts = list(dict.fromkeys(re.findall(r"(?:^|\+)([^/+]+)/", str(job.get("exec_host", "")))))
    estimated = job.get("estimated")
    waiting = state == JobState.PENDING
    return JobStatus(
        state=state, code=code, reason=comment if waiting else "",
        explanation=_explain(code, comment) if waiting else "",
        can_start=not waiting or not (code == "H" or comment.startswith("Can Never Run")),
        host=hosts[0] if hosts else "", nodes=" ".join(hosts),
        start_estimate=_time(estimated.get("start_time")) if waiting and isinstance(estimated, dict) else None,
        time_left=_time_left(job),
    )


def _explain(code, comment):
    return _WAITS.get(code) or comment.partition(": ")[2] or comment


def _time_left(job):
    try:
        limit, used = job["Resource_List"]["walltime"], job["resources_used"]["walltime"]
        return max(0, parse_walltime(limit) - parse_walltime(used))
    except (KeyError, TypeError, UnitError):
        return None


def _time(text):
    """``Sat Nov 21 09:56:30 2026``, in the zone that qstat was run in: UTC."""
    try:
        return datetime.strptime(str(text), "%a %b %d %H:%M:%S %Y").replace(tzinfo=timezone.utc)
    except ValueError:
        return None
