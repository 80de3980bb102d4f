"""What LSF tells of its queues and hosts, for the form, and its words for people."""
import re

from ..errors import ParseError
from ..model import ClusterInfo, NodeKind, Queue
from ..units import UnitError, parse_memory
from .kinds import of_queue, use

# What begins a reason (bjobs -p), in plain words; most others are plain enough.
REASONS = {
    "New job is waiting for scheduling": "waiting to be looked at by the scheduler",
    "Job's resource requirements not satisfied": "waiting for nodes that have what it asks for",
    "Job's requirements for resource reservation": "waiting for nodes that have what it asks for",
    "Not enough processors to meet": "waiting for cores to become free",
    "Not enough hosts to meet": "waiting for nodes to become free",
    "Not enough job slot(s)": "waiting for cores to become free",
    "Job slot limit reached": "waiting for cores to become free",
    "User has reached the per-user job slot limit": "you use all the cores that one user may in this queue",
    "The user has reached his/her job slot limit": "you use all the cores that one user may",
    "The queue has reached its job slot limit": "the queue uses all the cores it may",
    "The queue is inactivated": "the queue is closed at the moment",
    "Job dependency condition not satisfied": "waiting for another job",
}
# With these it waits for ever as it stands.
NEVER = ("Dependency condition invalid or never satisfied", "There is no such user account",
         "The user has no permission to run the job", "Job no longer satisfies queue PROCLIMIT")
_UNTOLD = frozenset({"account", "reservation", "node_type", "gpus", "gpu_type"})


def explain(reason):
    """In plain words why a job waits; LSF's own where there are none."""
    return next((words for start, words in REASONS.items() if reason.startswith(start)), reason)


def parse_left(text):
    """``1:30 L`` is an hour and a half, and with LSB_HMS_TIME_FORMAT ``1:30:00 L``; X: an estimate that is over."""
    found = re.fullmatch(r"([0-9]{1,9}):([0-9]{2})(?::([0-9]{2}))? [LE]", text.strip())
    return (int(found[1]) * 60 + int(found[2])) * 60 + int(found[3] or 0) if found else None


def read_rows(lines, separator, width, completed):
    """The lines as lists of fields, the first a number; what a job's last field has more lines of joins it."""
    rows = []
    for line in lines:
        fields = line.split(separator, width - 1)
        if len(fields) == width and re.fullmatch("[0-9]{1,20}", fields[0]):
            rows.append(fields)
        elif rows and separator not in line:
            rows[-1][-1] += f" {line.strip()}"
        else:
            raise ParseError("a line without the requested fields", completed)
    return rows


def parse(answers):
    """ClusterInfo of ``bqueues -l``, ``bhosts -w`` and ``lshosts -w``."""
    slots = _table(answers["slots"], "HOST_NAME", "STATUS", "MAX", "NJOBS") if "slots" in answers else {}
    hosts = _table(answers["hosts"], "HOST_NAME", "maxmem") if "hosts" in answers else {}
    # "QUEUE: normal" begins a queue.
    texts = re.split(r"^QUEUE: *", answers["queues"].stdout, flags=re.MULTILINE)[1:] if "queues" in answers else []
    queues = tuple(queue for queue in (_queue(text, slots, hosts) for text in texts) if queue.name)
    return ClusterInfo(queues=queues, untold=_UNTOLD if queues else frozenset())


def _table(completed, *names):
    """The rows by their first column, as dicts of the named columns. No value has a blank in it."""
    header, *rows = completed.stdout.splitlines() or [""]
    columns = header.split()
    if any(name not in columns for name in names):
        raise ParseError("a table without the columns " + ", ".join(names), completed)
    found = (dict(zip(columns, row.split())) for row in rows)
    return {row[names[0]]: row for row in found if all(name in row for name in names)}


def _queue(text, slots, hosts):
    name, _, text = text.partition("\n")
    table = re.search(r"^( *PRIO +NICE +STATUS.*)\n(.*)", text, re.MULTILINE)
    now = dict(zip(table[1].split(), table[2].split())) if table else {}
    # Only where there are default limits, the others have a title.
    first, default, rest = text.partition("DEFAULT LIMITS:")
    default_limits, _, limits = rest.partition("MAXIMUM LIMITS:") if default else ("", "", first)
    members = _members(text, slots)
    kinds = [_kind(slots[host], hosts.get(host, {})) for host in members]
    return Queue(
        name=name.strip(), default="This is the default queue." in text, up=now.get("STATUS") == "Open:Active",
        max_walltime=_run_limit(limits), default_walltime=_run_limit(default_limits),
        max_nodes=len(kinds) or None, total_nodes=len(kinds), idle_nodes=sum(kind.idle for kind in kinds),
        waiting=_number(now.get("PEND", "")), **of_queue(kinds),
    )


def _kind(row, host):
    slots = _number(row["MAX"])
    return NodeKind(cores=slots, memory=_memory(host.get("maxmem", "")) or None,
                    **use(row["STATUS"] == "ok", slots, _number(row["NJOBS"])))


def _number(text):
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else None


def _members(text, slots):
    """The queue's hosts; none where it names groups, whose members this does not know."""
    found = re.search(r"^HOSTS: *(.*)", text, re.MULTILINE)
    names = [word.partition("+")[0] for word in found[1].split()] if found else []
    if "all" in names:
        return list(slots)
    return names if all(name in slots for name in names) else []


def _run_limit(text):
    """Seconds of ``1440.0 min of hostA`` below the word RUNLIMIT, where other limits may stand beside it."""
    found = re.search(r"^(.*)\bRUNLIMIT\b.*\n(.*)", text, re.MULTILINE)
    minutes = re.match(r" *([0-9]{1,9})(?:\.[0-9]+)? min", found[2][max(0, len(found[1]) - 1):]) if found else None
    return int(minutes[1]) * 60 if minutes else None


def _memory(text):
    try:
        return parse_memory(text)
    except UnitError:
        return 0
