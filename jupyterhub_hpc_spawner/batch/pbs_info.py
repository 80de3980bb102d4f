"""What PBS tells of its queues and nodes, for the form: ``qstat -Q -f -F json`` and ``pbsnodes -a -F json``."""
import json

from ..errors import ParseError
from ..model import ClusterInfo, Queue
from ..units import UnitError, parse_memory, parse_walltime

_BUILT_IN = {"arch", "host", "vnode", "mem", "vmem", "ncpus", "hpmem"}


def parse(answers, gpu_resource, gpu_type_resource):
    """ClusterInfo; every execution queue may use every node that is not bound to another queue."""
    nodes = list(_entries(answers["nodes"], "nodes").values()) if "nodes" in answers else []
    queues = _entries(answers["queues"], "Queue") if "queues" in answers else {}
    return ClusterInfo(queues=tuple(
        _queue(name, queue, [node for node in nodes if node.get("queue", name) == name], gpu_resource,
               gpu_type_resource)
        for name, queue in queues.items() if queue.get("queue_type") == "Execution"))


def _entries(completed, key):
    try:
        found = json.loads(completed.stdout).get(key, {})
        if all(isinstance(entry, dict) for entry in found.values()):
            return found
    except (ValueError, AttributeError, RecursionError):
        pass
    raise ParseError(f"an answer without {key}", completed)


def _queue(name, queue, nodes, gpu_resource, gpu_type_resource):
    limits, defaults = _resources(queue, "resources_max"), _resources(queue, "resources_default")
    up = [node for node in nodes if not {"down", "offline", "state-unknown"} & set(str(node.get("state")).split(","))]
    there = [_resources(node, "resources_available") for node in up]
    kinds = {}
    for node in there:
        kind, count = str(node.get(gpu_type_resource, "")), _number(node.get(gpu_resource)) or 0
        if count:
            kinds[kind] = max(kinds.get(kind, 0), count)
    most = [number for number in (_number(limits.get("nodect")), len(nodes) or None) if number]
    return Queue(
        name=name, up=queue.get("enabled") == "True" and queue.get("started") == "True",
        max_walltime=_seconds(limits.get("walltime")), default_walltime=_seconds(defaults.get("walltime")),
        max_nodes=min(most, default=None), total_nodes=len(nodes),
        idle_nodes=sum(node.get("state") == "free" and not node.get("jobs") for node in up),
        cores=max((_number(node.get("ncpus")) or 0 for node in there), default=0) or None,
        memory=max((_bytes(node.get("mem")) or 0 for node in there), default=0) or None,
        gpus=kinds, features=tuple(sorted({
            key for node in there for key, value in node.items() if value == "True" and key not in _BUILT_IN})),
    )


def _resources(entry, key):
    found = entry.get(key, {})
    return found if isinstance(found, dict) else {}


def _number(value):
    return int(value) if str(value).isdecimal() else None


def _seconds(value):
    try:
        return parse_walltime(value)
    except UnitError:
        return None


def _bytes(value):
    """``16333804kb``; a bare number is bytes (pbs_resources(7B))."""
    try:
        return int(value) if str(value).isdecimal() else parse_memory(value)
    except UnitError:
        return None
