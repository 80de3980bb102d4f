"""No batch system: job scripts run at once, as processes of the user on the Hub's own machine (localbatch.py)."""
from dataclasses import dataclass
from typing import ClassVar

from ..errors import ParseError, SubmitError
from ..model import ClusterInfo, JobState, JobStatus
from .base import require_success

_STATES = {"RUNNING": JobState.RUNNING, "ENDED": JobState.FINISHED}
_PROGRAM = "jupyterhub-hpc-spawner-local"


@dataclass(frozen=True)
class Local:
    name: ClassVar[str] = "local"
    template: ClassVar[str] = "job/local.sh.j2"
    description: ClassVar[str] = ""

    def submit_command(self, request):
        return [_PROGRAM, "submit", f"{request.session_dir}/job.log"]

    def parse_job_id(self, completed):
        if completed.returncode != 0 or not completed.stdout.strip().isdigit():
            raise SubmitError(completed.stderr.strip() or "the job could not be started")
        return completed.stdout.strip()

    def find_command(self, name, username):
        return [_PROGRAM, "find", name]

    def parse_found(self, name, completed):
        return require_success(completed).stdout.strip() or None

    def status_command(self):
        return [_PROGRAM, "list"]

    def parse_status(self, completed):
        require_success(completed)
        jobs = {}
        for line in completed.stdout.splitlines():
            job_id, tab, code = line.partition("\t")
            if not tab:
                raise ParseError("a line without a state", completed)
            jobs[job_id] = JobStatus(state=_STATES.get(code, JobState.UNKNOWN), code=code, host="127.0.0.1")
        return jobs

    def cancel_command(self, job_id):
        return [_PROGRAM, "cancel", job_id]

    def parse_cancel(self, completed):
        require_success(completed)

    def info_commands(self, answers=()):
        return {}

    def parse_info(self, answers):
        return ClusterInfo()

    def remote_run(self, request):
        return []

    def mpi_run(self, request):
        return [["mpiexec", "-n", "{total}"]]

    def unsupported(self):
        return frozenset({"queue", "account", "qos", "reservation", "node_type", "nodes", "walltime", "cores", "memory",
                          "gpus", "gpu_type"})
