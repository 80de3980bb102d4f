"""What Torque tells of its queues and nodes, for the form: ``qstat -Q -f``, ``qstat -B -f`` and ``pbsnodes -x``."""
import re

from ..model import ClusterInfo, NodeKind, Queue
from ..units import UnitError, parse_memory, parse_walltime
from .kinds import of_queue, use
from .pbs_info import allowed, queued

# A kind of GPU is a property of nodes, like a node type.
_UNTOLD = frozenset({"account", "qos", "reservation", "gpu_type"})


def parse(queues, server, nodes):
    """ClusterInfo: every execution queue may use every node, but where it is bound to some by its needed property.

    ``queues`` and ``server`` are what qstat printed, ``nodes`` the elements that pbsnodes did.
    """
    default = next((fields.get("default_queue") for fields in _records(server, "Server").values()), None)
    found = tuple(_queue(name, fields, nodes, name == default)
                  for name, fields in _records(queues, "Queue").items() if fields.get("queue_type") == "Execution")
    return ClusterInfo(queues=found, untold=_UNTOLD if found else frozenset())


def _records(text, kind):
    """``Queue: batch`` and the indented ``name = value`` lines below it; a long value goes on after a tab."""
    records, fields = {}, {}
    for line in re.sub(r"\n\t", "", text).splitlines():
        key, separator, value = (part.strip() for part in line.partition(" = " if line.startswith(" ") else ": "))
        if line.startswith(" "):
            fields[key] = value
        elif key == kind:
            fields = records.setdefault(value, {})
    return records


def _queue(name, fields, nodes, default):
    needed = fields.get("resources_default.neednodes", "")
    there = [node for node in nodes if not needed or needed in _properties(node)]
    up = [_kind(node) for node in there if not {"down", "offline"} & set(node.findtext("state", "").split(","))]
    limit = _number(fields.get("resources_max.nodect"))
    return Queue(
        name=name, default=default, up=fields.get("enabled") == "True" and fields.get("started") == "True",
        max_walltime=_seconds(fields.get("resources_max.walltime", "")),
        default_walltime=_seconds(fields.get("resources_default.walltime", "")),
        max_nodes=min(filter(None, (limit, len(there))), default=None), total_nodes=len(there),
        idle_nodes=sum(kind.idle for kind in up), waiting=queued(fields.get("state_count")), **of_queue(up),
        users=allowed(fields, "user"), groups=allowed(fields, "group"),
    )


def _kind(node):
    gpus, cores = _number(node.findtext("gpus")), _number(node.findtext("np"))
    return NodeKind(
        features=tuple(_properties(node)), cores=cores, memory=_memory(node) or None,
        gpus={"": gpus} if gpus else {}, **use(node.findtext("state") == "free", cores, _used(node)))


def _used(node):
    """Cores with a job: ``0-1/18.server,3/19.server``."""
    jobs = re.findall(r"(?:^|,) *(\d+)(?:-(\d+))?/", node.findtext("jobs", ""))
    return sum(int(last or first) - int(first) + 1 for first, last in jobs)


def _properties(node):
    return [word for word in node.findtext("properties", "").split(",") if word]


def _memory(node):
    """``physmem=24684084kb`` of what the node's pbs_mom reports."""
    found = re.search(r"(?:^|,)physmem=(\w+)", node.findtext("status", ""))
    try:
        return parse_memory(found[1]) if found else 0
    except UnitError:
        return 0


def _number(text):
    return int(text) if re.fullmatch("[0-9]{1,9}", text or "") else None


def _seconds(text):
    """``24:00:00``; a bare number is seconds."""
    try:
        return _number(text) or parse_walltime(text)
    except UnitError:
        return None
