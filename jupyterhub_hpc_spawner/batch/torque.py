"""Torque, with Maui, Moab or its own pbs_sched: qsub(1B), qstat(1B), qdel(1B), pbsnodes(8B), pbsdsh(1B).

``qstat -x`` escapes what users chose, so nobody can speak for another's job. Control characters, which any user may put
there and XML cannot have, are dropped. Jobs end in order only where ``mom_priv/config`` has ``$exec_with_exec true``.
"""
import re
from dataclasses import dataclass
from typing import ClassVar
from xml.etree import ElementTree

from ..errors import OptionError, ParseError
from ..model import JobState, JobStatus
from . import torque_info
from .base import first_line, no_job, own_words, require_success

# qstat(1B), "the job state". While E, processes may still be there; C stays for keep_completed seconds.
STATES = {"C": JobState.FINISHED, "E": JobState.RUNNING, "H": JobState.PENDING, "Q": JobState.PENDING,
          "R": JobState.RUNNING, "T": JobState.PENDING, "W": JobState.PENDING, "S": JobState.SUSPENDED}
_WAITS = {"H": "held", "T": "being moved to another server", "W": "waiting for its start time"}

_ID = re.compile(r"[0-9]{1,20}(\[[0-9]*\])?\.[A-Za-z0-9_.-]{1,255}")
_NO_SERVER = re.compile("cannot connect to server|Unable to communicate with|Communication failure|timed out")
_GONE = re.compile("nonexistent job id|Unknown Job Id|invalid state for job - COMPLETE", re.IGNORECASE)
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Torque:
    """``memory_resource`` is mem or vmem, of a whole job, or pmem or pvmem, of a process. ``maui``: the scheduler
    (Maui, Moab) is told of quality of service and reservation by ``-W x=``.
    """

    name: ClassVar[str] = "torque"
    template: ClassVar[str] = "job/torque.sh.j2"
    description: ClassVar[str] = ""
    memory_resource: str = "mem"
    maui: bool = True

    def nodes(self, request):
        """``2:ppn=4:gpus=1:a100``: a node type and a kind of GPU are properties of nodes."""
        words = [str(request.nodes), f"ppn={request.cores or 1}"]
        if request.gpus:
            words.append(f"gpus={request.gpus}")
        for option, word in (("node_type", request.constraint), ("gpu_type", request.gpu_type)):
            if word and not re.fullmatch(r"[A-Za-z_][\w.:-]*", word, re.ASCII):
                raise OptionError(option, f"{word!r} is not a property of a node, or several with : between")
            words += [word] if word else []
        return ":".join(words)

    def memory(self, request):
        """In kB: all of the job, or the share of one core."""
        size = request.memory // 1024
        return size // (request.cores or 1) if self.memory_resource.startswith("p") else size * request.nodes

    def submit_command(self, request):
        return ["qsub"]

    def parse_job_id(self, completed):
        last = completed.stdout.strip().rpartition("\n")[2].strip()
        if completed.returncode != 0 or not _ID.fullmatch(last):
            raise no_job(completed, _NO_SERVER, own_words(completed).replace("qsub: ", ""))
        return last

    def find_command(self, name, username):
        return ["qselect", "-N", name, "-u", username]

    def parse_found(self, name, completed):
        return first_line(completed, f"({_ID.pattern})")

    def status_command(self):
        return ["qstat", "-x"]

    def parse_status(self, completed):
        require_success(completed)
        jobs = {job.findtext("Job_Id"): job for job in read_xml(completed)}
        if not all(jobs):
            raise ParseError("a job without an id", completed)
        return {job_id: _status(job) for job_id, job in jobs.items()}

    def cancel_command(self, job_id):
        return ["qdel", "-W", "30", job_id]

    def parse_cancel(self, completed):
        if not _GONE.search(completed.stderr):
            require_success(completed)

    def info_commands(self, answers=()):
        return {"queues": ["qstat", "-Q", "-f"], "server": ["qstat", "-B", "-f"], "nodes": ["pbsnodes", "-x"]}

    def parse_info(self, answers):
        texts = [answers[name].stdout if name in answers else "" for name in ("queues", "server")]
        return torque_info.parse(*texts, read_xml(answers["nodes"]) if "nodes" in answers else [])

    def remote_run(self, request):
        return ["pbsdsh", "-h", "{node}"]

    def mpi_run(self, request):
        return [["mpiexec", "-n", "{total}", "-ppn", "{per_node}"],
                ["mpiexec", "-n", "{total}", "--map-by", "ppr:{per_node}:node", "--oversubscribe"]]

    def unsupported(self):
        return frozenset() if self.maui else frozenset({"qos", "reservation"})


def read_xml(completed):
    """The elements below the root; none of an empty answer."""
    text = completed.stdout.strip()
    try:
        return list(ElementTree.fromstring(text)) if text else []
    except ElementTree.ParseError:
        pass
    try:
        return list(ElementTree.fromstring(_NOT_XML.sub("", text)))
    except ElementTree.ParseError as error:
        raise ParseError(f"an answer that is not XML ({error})", completed) from error


def _status(job):
    code, comment = job.findtext("job_state", ""), job.findtext("comment", "")
    state = STATES.get(code, JobState.UNKNOWN)
    # "n1/0+n1/1+n2/0", and from 5.0 on "n1/0-1+n2/0".
    hosts = list(dict.fromkeys(re.findall(r"(?:^|\+)([^/+]+)/", job.findtext("exec_host", ""))))
    left, waiting = job.findtext("Walltime/Remaining", ""), state == JobState.PENDING
    return JobStatus(
        state=state, code=code, reason=comment if waiting else "", can_start=code != "H",
        explanation=(_WAITS.get(code) or comment.removeprefix("Not Running: ")) if waiting else "",
        host=hosts[0] if hosts and not waiting else "", nodes="" if waiting else " ".join(hosts),
        time_left=int(left) if re.fullmatch("[0-9]{1,12}", left) and state == JobState.RUNNING else None,
    )
