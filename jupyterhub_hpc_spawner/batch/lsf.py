"""IBM Spectrum LSF 10.1: bsub(1), bjobs(1), bkill(1), bqueues(1), bhosts(1), lshosts(1), blaunch(1).

The fields asked for hold nothing that users choose. Without its daemons LSF's commands ask again and again, and say so,
until their time is over; ``LSB_NTRIES`` in their environment makes them give up.
"""
import re
from dataclasses import dataclass
from typing import ClassVar

from ..errors import ConfigError, QueryError
from ..model import JobState, JobStatus
from . import lsf_info
from .base import first_line, no_job, own_words, require_success

_SEP = "^"
# pend_reason is last: it has many words, and in some configurations many lines.
_FIELDS = ("jobid", "jobindex", "stat", "exec_host", "time_left", "pend_reason")

# bjobs(1), STAT. LSF cannot say of a job that is UNKWN or ZOMBI whether it still runs: its host does not answer.
_STATES = {
    JobState.PENDING: "PEND PSUSP WAIT PROV FWD_PEND", JobState.RUNNING: "RUN", JobState.SUSPENDED: "USUSP SSUSP",
    JobState.FINISHED: "DONE EXIT POST_DONE POST_ERR PDONE PERR", JobState.UNKNOWN: "UNKWN ZOMBI",
}
STATES = {code: state for state, codes in _STATES.items() for code in codes.split()}

_RETRY = re.compile("Please wait|still trying|[Rr]etrying")
_UNREACHABLE = re.compile(_RETRY.pattern + "|LSF is down|Failed in an LSF library call|Communication time ?out|"
                          "Connection refused")
_NONE = re.compile("No (unfinished )?job found")
_GONE = re.compile("No matching job found|Job has already finished")


@dataclass(frozen=True)
class LSF:
    """How the cluster counts memory: ``memory_per`` is ``host`` (LSF's default), ``task`` (RESOURCE_RESERVE_PER_TASK)
    or ``job``; ``memory_limit`` the same for ``bsub -M``, no limit where empty; ``memory_unit`` KB, MB or GB.
    """

    name: ClassVar[str] = "lsf"
    template: ClassVar[str] = "job/lsf.sh.j2"
    description: ClassVar[str] = ""
    memory_per: str = "host"
    memory_limit: str = ""
    memory_unit: str = "MB"

    def memory(self, request, per):
        divisors = {"host": 1, "task": request.cores or 1, "job": 1 / request.nodes}
        units = {"KB": 1024, "MB": 1024 ** 2, "GB": 1024 ** 3}
        if per not in divisors or self.memory_unit not in units:
            raise ConfigError(f"batch_settings: memory per {per!r} in {self.memory_unit!r} is not what LSF knows")
        return f"{max(1, int(request.memory / divisors[per] / units[self.memory_unit]))}{self.memory_unit}"

    def gpu(self, request):
        return f"num={request.gpus or 1}" + (f":gmodel={request.gpu_type}" if request.gpu_type else "")

    def submit_command(self, request):
        return ["bsub"]

    def parse_job_id(self, completed):
        # A site's esub may print more.
        found = re.search(r"^\s*Job <([1-9][0-9]{0,19})> is submitted to ", completed.stdout, re.MULTILINE)
        if completed.returncode != 0 or not found:
            raise no_job(completed, _UNREACHABLE, own_words(completed))
        return found[1]

    def find_command(self, name, username):
        return ["bjobs", "-u", username, "-J", name, "-noheader", "-o", "jobid"]

    def parse_found(self, name, completed):
        if _NONE.search(completed.stdout + completed.stderr) or "is not found" in completed.stderr:
            return None
        return first_line(completed, r"(\d+)")

    def status_command(self):
        return ["bjobs", "-u", "all", "-a", "-noheader", "-o", f"{' '.join(_FIELDS)} delimiter='{_SEP}'"]

    def parse_status(self, completed):
        lines = [line for line in completed.stdout.split("\n") if line.strip() and not _RETRY.search(line)]
        # Whether it is a failure that there are none is the site's choice (LSB_BJOBS_CONSISTENT_EXIT_CODE).
        if _NONE.match("".join(lines) or completed.stderr.strip().rpartition("\n")[2]):
            return {}
        require_success(completed)
        if not lines and (completed.stdout + completed.stderr).strip():
            raise QueryError((completed.stderr or completed.stdout).strip()[:500])
        rows = lsf_info.read_rows(lines, _SEP, len(_FIELDS), completed)
        return {_id(*row[:2]): _status(*row[2:]) for row in rows}

    def cancel_command(self, job_id):
        return ["bkill", job_id]

    def parse_cancel(self, completed):
        if not _GONE.search(completed.stdout + completed.stderr):
            require_success(completed)

    def info_commands(self, answers=()):
        return {"queues": ["bqueues", "-l"], "slots": ["bhosts", "-w"], "hosts": ["lshosts", "-w"]}

    def parse_info(self, answers):
        return lsf_info.parse(answers)

    def remote_run(self, request):
        return ["blaunch", "{node}"]

    def mpi_run(self, request):
        # MPICH's kin, then Open MPI.
        return [["mpiexec", "-n", "{total}", "-ppn", "{per_node}"],
                ["mpiexec", "-n", "{total}", "--map-by", "ppr:{per_node}:node", "--oversubscribe"]]

    def unsupported(self):
        return frozenset({"qos"})


def _id(job_id, index):
    return f"{job_id}[{index}]" if re.fullmatch("[1-9][0-9]*", index) else job_id


def _status(code, hosts, left, reason):
    state = STATES.get(code, JobState.UNKNOWN)
    # "4*n1:4*n2", or "n1:n1:n2" with a name for each slot.
    names = list(dict.fromkeys(name.rpartition("*")[2] for name in hosts.split(":") if name not in ("", "-")))
    reason = reason.strip(" ;-") if state == JobState.PENDING else ""
    return JobStatus(
        state=state, code=code, reason=reason, can_start=code != "PSUSP" and not reason.startswith(lsf_info.NEVER),
        explanation="suspended before it started" if code == "PSUSP" else lsf_info.explain(reason),
        host=names[0] if names else "", nodes=" ".join(names),
        time_left=lsf_info.parse_left(left) if state == JobState.RUNNING else None,
    )
