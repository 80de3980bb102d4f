"""What PBS tells of its queues, nodes and reservations, for the form."""
import json
import re
from datetime import datetime, timezone

from ..errors import ParseError
from ..model import ClusterInfo, NodeKind, Queue, Reservation
from ..units import UnitError, parse_memory, parse_walltime
from .kinds import of_queue, use

COMMANDS = {
    "queues": ["qstat", "-Q", "-f", "-F", "json"],
    "nodes": ["pbsnodes", "-a", "-F", "json"],
    "server": ["qstat", "-B", "-f", "-F", "json"],
    "reservations": ["pbs_rstat", "-F"],
}
_BUILT_IN = {"arch", "host", "vnode", "mem", "vmem", "ncpus", "hpmem"}
_AWAY = {"down", "offline", "state-unknown", "unresolvable", "provisioning", "maintenance"}


def parse(answers, gpu_resource, gpu_type_resource):
    """ClusterInfo; a queue has every node that is not bound to another one. PBS knows of no accounts."""
    nodes = list(_entries(answers, "nodes", "nodes").values())
    reservations = _reservations(answers["reservations"]) if "reservations" in answers else ()
    default = next((server.get("default_queue") for server in _entries(answers, "server", "Server").values()), None)
    # A reservation is a queue to PBS; the form has a field of its own for it.
    queues = {name: queue for name, queue in _entries(answers, "queues", "Queue").items()
              if queue.get("queue_type") == "Execution" and name not in {r.name for r in reservations}}
    return ClusterInfo(
        queues=tuple(_queue(name, queue, [node for node in nodes if node.get("queue", name) == name],
                            name == default, gpu_resource, gpu_type_resource) for name, queue in queues.items()),
        reservations=reservations, untold=frozenset({"account"}))


def _entries(answers, name, key):
    if name not in answers:
        return {}
    try:
        found = json.loads(answers[name].stdout).get(key, {})
        if all(isinstance(entry, dict) for entry in found.values()):
            return found
    except (ValueError, AttributeError, RecursionError):
        pass
    raise ParseError(f"an answer without {key}", answers[name])


def _queue(name, queue, nodes, default, gpu_resource, gpu_type_resource):
    limits, defaults = _resources(queue, "resources_max"), _resources(queue, "resources_default")
    there = [_kind(node, gpu_resource, gpu_type_resource) for node in nodes
             if not _AWAY & set(str(node.get("state")).split(","))]
    most = [number for number in (_number(limits.get("nodect")), len(nodes) or None) if number]
    return Queue(
        name=name, default=default, up=queue.get("enabled") == "True" and queue.get("started") == "True",
        max_walltime=_seconds(limits.get("walltime")), default_walltime=_seconds(defaults.get("walltime")),
        max_nodes=min(most, default=None), total_nodes=len(nodes),
        idle_nodes=sum(node.idle for node in there), waiting=queued(queue.get("state_count")), **of_queue(there),
        users=allowed(queue, "user"), groups=allowed(queue, "group"),
    )


def _kind(node, gpu_resource, gpu_type_resource):
    has, used = _resources(node, "resources_available"), _resources(node, "resources_assigned")
    gpus, cores = _number(has.get(gpu_resource)), _number(has.get("ncpus"))
    taken = max(_number(used.get("ncpus")) or 0, 1) if node.get("jobs") else 0
    return NodeKind(
        features=tuple(sorted(key for key, value in has.items() if value == "True" and key not in _BUILT_IN)),
        cores=cores, memory=_bytes(has.get("mem")),
        gpus={str(has.get(gpu_type_resource, "")): gpus} if gpus else {},
        **use(node.get("state") == "free", cores, taken))  # with all cores taken it is not "free"


def queued(counts):
    """The waiting jobs of ``Transit:0 Queued:2 Held:0 …``, without the held; None where it does not say."""
    found = re.search(r"\bQueued:(\d+)", str(counts or ""))
    return int(found[1]) if found else None


def allowed(queue, kind):
    """The queue's access list of users or groups: names, with ``-`` in front those that are kept out; () for none."""
    words = queue.get(f"acl_{kind}s") if queue.get(f"acl_{kind}_enable") == "True" else ""
    names = [word.strip().partition("@")[0] for word in str(words or "").split(",")]
    return () if {"*", "+*", "+"} & set(names) else tuple(name for name in names if name.strip("+-"))


def _reservations(completed):
    """Of ``pbs_rstat -F``: "key = value" lines, a reservation begins with its ``Resv ID``."""
    found = []
    for line in completed.stdout.splitlines():
        key, separator, value = line.strip().partition(" = ")
        if line.startswith("Resv ID: "):
            found.append({"queue": line.removeprefix("Resv ID: ").partition(".")[0]})
        elif separator and found:
            found[-1][key] = value
    return tuple(Reservation(
        name=entry["queue"], users=_names(entry, "Authorized_Users"), groups=_names(entry, "Authorized_Groups"),
        active=entry.get("reserve_state") == "RESV_RUNNING", start=_time(entry.get("reserve_start")),
        end=_time(entry.get("reserve_end"))) for entry in found)


def _names(entry, key):
    return tuple(word.partition("@")[0] for word in entry.get(key, "").split(",") if word)


def _time(text):
    """``Sat Nov 21 16:18:00 2026``: asked for in UTC."""
    try:
        return datetime.strptime(text or "", "%a %b %d %H:%M:%S %Y").replace(tzinfo=timezone.utc)
    except ValueError:
        return None


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
