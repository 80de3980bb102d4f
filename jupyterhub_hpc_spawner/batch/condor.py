"""HTCondor: condor_submit(1), condor_q(1), condor_rm(1), condor_status(1).

A job has one node: more would need the parallel universe, whose dedicated scheduler few pools have. The submit
description starts the session's ``job.sh``: execute nodes must share the users' homes and the FILESYSTEM_DOMAIN.
"""
import re
from dataclasses import dataclass
from typing import ClassVar

from ..errors import OptionError
from ..model import JobState, JobStatus
from . import condor_info
from .base import first_line, no_job, own_words, require_success

# https://htcondor.readthedocs.io/en/latest/classad-attributes/job-classad-attributes.html, JobStatus.
STATES = {
    1: JobState.PENDING, 2: JobState.RUNNING, 3: JobState.RUNNING, 4: JobState.FINISHED, 5: JobState.PENDING,
    6: JobState.RUNNING, 7: JobState.SUSPENDED,
}
_IDLE, _REMOVED, _HELD = 1, 3, 5
_ATTRIBUTES = ("ClusterId", "ProcId", "JobStatus", "NumJobStarts", "HoldReason", "HoldReasonCode", "RemoteHost",
               "JobCurrentStartDate", "AllowedJobDuration", "ServerTime")
_UNREACHABLE = re.compile("Can't find address|Failed to connect|Can't connect|Failed to fetch")
_GONE = re.compile("not found|already marked for removal|Couldn't find/remove all jobs in cluster")


@dataclass(frozen=True)
class HTCondor:
    """A kind of GPU is looked for in ``gpu_type_attribute``, which machines have of each GPU."""

    name: ClassVar[str] = "condor"
    template: ClassVar[str] = "job/condor.sh.j2"
    description: ClassVar[str] = "job/condor.sub.j2"
    gpu_type_attribute: str = "DeviceName"

    def requirements(self, request):
        """``IsBigMem`` is an attribute of machines that is true, ``NodeType=big`` one of that text."""
        # A session that lost its node is over.
        terms = ["(NumJobStarts ?: 0) == 0"]
        for word in request.constraint.split(",") if request.constraint else ():
            name, equals, value = word.partition("=")
            if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) or not re.fullmatch(r"[\w.:@+/-]*", value, re.ASCII):
                raise OptionError("node_type", f"{word!r} is neither an attribute of a machine nor ATTRIBUTE=VALUE")
            terms.append(f'TARGET.{name} =?= "{value}"' if equals else f"TARGET.{name} =?= true")
        return " && ".join(terms)

    def gpu_requirements(self, request):
        if not re.fullmatch(r"[\w.-]+", request.gpu_type, re.ASCII):
            raise OptionError("gpu_type", f"{request.gpu_type!r} is not a kind of GPU")
        return f'regexp("{request.gpu_type}", {self.gpu_type_attribute}, "i")'

    def submit_command(self, request):
        return ["condor_submit", "-terse"]

    def parse_job_id(self, completed):
        # "7.0 - 7.0": the first and the last job that were made.
        found = re.search(r"^([0-9]{1,12}\.[0-9]{1,9}) - \1$", completed.stdout.strip(), re.MULTILINE)
        if completed.returncode != 0 or not found:
            raise no_job(completed, _UNREACHABLE, own_words(completed).replace("ERROR: ", ""))
        return found[1]

    def find_command(self, name, username):
        return ["condor_q", username, "-constraint", f'JobBatchName == "{name}"', "-format", "%d.", "ClusterId",
                "-format", "%d\\n", "ProcId"]

    def parse_found(self, name, completed):
        return first_line(completed, r"(\d+\.\d+)")

    def status_command(self):
        # Only sessions: a pool has tens of thousands of other jobs. JSON, because a HoldReason may be a user's text.
        return ["condor_q", "-allusers", "-constraint", "HPCSpawnerSession =?= true", "-json",
                "-attributes", ",".join(_ATTRIBUTES)]

    def parse_status(self, completed):
        require_success(completed)
        # Without any job, condor_q prints nothing at all.
        ads = condor_info.read_ads(completed, "ClusterId", "ProcId")
        return {f"{ad['ClusterId']}.{ad['ProcId']}": _status(ad) for ad in ads}

    def cancel_command(self, job_id):
        return ["condor_rm", job_id]

    def parse_cancel(self, completed):
        if not _GONE.search(completed.stderr):
            require_success(completed)

    def info_commands(self, answers=()):
        return {"machines": ["condor_status", "-constraint", 'SlotType =!= "Dynamic"', "-json",
                             "-attributes", ",".join(condor_info.ATTRIBUTES)]}

    def parse_info(self, answers):
        return condor_info.parse(answers)

    def remote_run(self, request):
        return []

    def mpi_run(self, request):
        return [["mpiexec", "-n", "{total}"]]

    def unsupported(self):
        return frozenset({"queue", "qos", "reservation", "nodes"})


def _status(ad):
    code, held = ad.get("JobStatus"), ad.get("JobStatus") == _HELD
    host = str(ad.get("RemoteHost") or "").rpartition("@")[2]
    state = STATES.get(code, JobState.UNKNOWN) if isinstance(code, int) else JobState.UNKNOWN
    # Until their processes have ended, these keep their host. Later, requirements do not let one start again.
    if code in (_IDLE, _REMOVED, _HELD) and (host or code == _REMOVED or _whole(ad.get("NumJobStarts"))):
        state = JobState.RUNNING if host else JobState.FINISHED
    reason = str(ad.get("HoldReason") or "") if held else ""
    return JobStatus(
        state=state, code=str(code), reason=reason, can_start=not held or state != JobState.PENDING,
        explanation=condor_info.HOLDS.get(_whole(ad.get("HoldReasonCode")), reason) if held else "",
        host=host, nodes=host, time_left=_time_left(ad) if state == JobState.RUNNING else None,
    )


def _whole(value):
    return value if isinstance(value, int) else 0


def _time_left(ad):
    start, limit, now = (_whole(ad.get(name)) for name in ("JobCurrentStartDate", "AllowedJobDuration", "ServerTime"))
    return max(0, start + limit - now) if start and limit and now else None
