"""Grid Engine (Son of Grid Engine, Univa, Altair): qsub(1), qstat(1), qdel(1), qconf(1), qrsh(1)."""
import re
from dataclasses import dataclass
from typing import ClassVar
from xml.etree import ElementTree

from ..errors import ParseError, QueryError
from ..model import JobState, JobStatus
from . import sge_info
from .base import no_job, own_words, require_success

# qstat(1): d deletion, E error, h hold, q queued, r running, R restarted, s S T suspended (by hand, by the queue, by
# load), t transferring, w waiting, z ended. A code is several of them; the first line here that has one counts.
_LETTERS = (("z", JobState.FINISHED), ("qw", JobState.PENDING), ("sST", JobState.SUSPENDED), ("rt", JobState.RUNNING))
_KNOWN = set("dEhqrRsSTtwz")
_NO_MASTER = re.compile("commlib error|unable to send message to qmaster|unable to contact qmaster|can't resolve|"
                        "Unable to initialize environment|critical error")
_NOISE = re.compile(r"^(Unable to run job: )?(error: )?|^Exiting\.$|\n$", re.MULTILINE)


def state_of(code):
    """The JobState behind letters such as ``hqw`` or ``dRr``."""
    if code and set(code) <= _KNOWN:
        for letters, state in _LETTERS:
            if set(letters) & set(code):
                return state
    return JobState.UNKNOWN


@dataclass(frozen=True)
class GridEngine:
    """``smp_environment`` is the parallel environment for several cores of one node, ``parallel_environment`` that for
    several nodes: its allocation rule must be the number of cores, which takes the place of ``{cores}`` in its name.
    It needs ``control_slaves``. ``account_option`` is what an account is: ``-P``, a project, or ``-A``.
    """

    name: ClassVar[str] = "sge"
    template: ClassVar[str] = "job/sge.sh.j2"
    description: ClassVar[str] = ""
    smp_environment: str = ""
    parallel_environment: str = ""
    account_option: str = "-P"
    memory_resource: str = "mem_free"
    gpu_resource: str = "gpu"
    gpu_type_resource: str = "gpu_type"

    def environment(self, request):
        """``mpi-4 8``: parallel environment and slots of several nodes or cores; "" where one slot is enough."""
        cores = request.cores or 1
        if request.nodes > 1:
            return f"{self.parallel_environment.replace('{cores}', str(cores))} {request.nodes * cores}"
        return f"{self.smp_environment} {cores}" if cores > 1 else ""

    def memory(self, request):
        """Per slot, as Grid Engine counts what is asked for."""
        return f"{request.memory // 1024 // (request.cores or 1)}K"

    def submit_command(self, request):
        # "-w e": what can never run is refused; without it the job would wait for ever.
        return ["qsub", "-terse", "-w", "e"]

    def parse_job_id(self, completed):
        last = completed.stdout.strip().rpartition("\n")[2].strip()
        if completed.returncode != 0 or not re.fullmatch(r"[0-9]{1,20}", last):
            raise no_job(completed, _NO_MASTER, _say(own_words(completed)))
        return last

    def find_command(self, name, username):
        return ["qstat", "-u", username, "-xml"]

    def parse_found(self, name, completed):
        return next((entry.findtext("JB_job_number") for entry in _answer(completed).iter("job_list")
                     if entry.findtext("JB_name") == name), None)

    def status_command(self):
        # "-g t": a line for each node of a parallel job.
        return ["qstat", "-u", "*", "-g", "t", "-xml"]

    def parse_status(self, completed):
        return _jobs(_answer(completed))

    def cancel_command(self, job_id):
        return ["qdel", job_id]

    def parse_cancel(self, completed):
        # qdel(1) writes its errors to standard output.
        if "does not exist" not in completed.stdout + completed.stderr:
            require_success(completed)

    def info_commands(self, answers=()):
        return sge_info.commands(answers)

    def parse_info(self, answers):
        return sge_info.parse(answers)

    def remote_run(self, request):
        return ["qrsh", "-inherit", "-nostdin", "{node}", "{command}"]

    def mpi_run(self, request):
        # MPICH and its kin, then an Open MPI that was built for Grid Engine.
        return [["mpiexec", "-n", "{total}", "-ppn", "{per_node}", "-hosts", "{nodes}", "-launcher", "sge"],
                ["mpiexec", "-n", "{total}", "--map-by", "ppr:{per_node}:node", "--oversubscribe"]]

    def unsupported(self):
        missing = {"cores"} if not self.smp_environment else set()
        return frozenset(missing | ({"nodes"} if not self.parallel_environment else set()) | {"qos"})


def _answer(completed):
    """The root of qstat's XML."""
    require_success(completed)
    try:
        root = ElementTree.fromstring(completed.stdout)
    except ElementTree.ParseError as error:
        raise ParseError(f"an answer that is not XML ({error})", completed) from error
    if root.tag == "comunication_error":  # literally, and with exit status 0
        raise QueryError("qstat could not reach the qmaster")
    if root.tag != "job_info":
        raise ParseError(f"an answer of the kind {root.tag}", completed)
    return root


def _say(words):
    """A refusal without its frame; "-w e" has one sentence for all that can never run."""
    said = _NOISE.sub("", words).strip() or words
    if said == "no suitable queues":
        return f"{said}: none can ever fulfil this request; ask for less walltime, fewer cores, nodes or less memory"
    return said


def _jobs(root):
    """Of each job its status; a parallel job has an entry for each of its nodes, and one for its master."""
    entries, ahead = {}, 0
    for entry in root.iter("job_list"):
        entries.setdefault(entry.findtext("JB_job_number", ""), []).append(entry)
    jobs = {}
    for job_id, found in entries.items():
        jobs[job_id] = _status(found, ahead)
        # Waiting jobs are listed by priority, and belong to no queue before they start.
        ahead += jobs[job_id].code == "qw"
    return jobs


def _status(entries, ahead):
    code = entries[0].findtext("state", "")
    state = state_of(code)
    master = next((entry for entry in entries if entry.findtext("master") == "MASTER"), entries[0])
    hosts = [_place(entry)[1] for entry in (master, *entries)]
    explanation, can_start = "", True
    if state == JobState.PENDING:
        explanation, can_start = _explain(code)
    return JobStatus(state=state, code=code, explanation=explanation, can_start=can_start,
                     reason=code if state == JobState.PENDING and not can_start else "",
                     ahead=ahead if code == "qw" else None, queue=_place(master)[0],
                     host=hosts[0], nodes=" ".join(dict.fromkeys(filter(None, hosts))))


def _explain(code):
    if "E" in code:
        return "it could not be started on its node; qstat -j says why", False
    if "h" in code:
        return "held", False
    return "", True


def _place(entry):
    """(queue, host); "" before the start."""
    queue, _, host = (entry.findtext("queue_name") or "").partition("@")
    return queue, host
