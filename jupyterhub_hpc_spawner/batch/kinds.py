"""From what a batch system tells of nodes, or of groups of them, to the kinds of nodes of a queue."""
from dataclasses import replace

from ..model import NodeKind

_COUNTED = ("total", "idle", "partly", "free")


def of_queue(nodes):
    """The fields of a Queue that sum up these nodes (NodeKinds, each of one node or of several)."""
    gpus = {}
    for node in nodes:
        for name, count in node.gpus.items():
            gpus[name] = max(gpus.get(name, 0), count)
    return {"cores": max((node.cores or 0 for node in nodes), default=0) or None,
            "memory": max((node.memory or 0 for node in nodes), default=0) or None, "gpus": gpus,
            "free_cores": sum((node.cores or 0) * node.idle + node.free for node in nodes),
            "all_cores": sum((node.cores or 0) * node.total for node in nodes) or None,
            "features": tuple(dict.fromkeys(name for node in nodes for name in node.features)), "kinds": _joined(nodes)}


def use(takes_jobs, cores, used):
    """The fields of a NodeKind that say what is free of one node now; None: not known. Of cores that nobody has counted
    none are left."""
    free = max(0, (cores or 0) - used) if takes_jobs and used else 0
    return {"total": 1, "idle": int(takes_jobs and used == 0), "partly": int(free > 0), "free": free}


def _joined(nodes):
    """Those that are alike as one."""
    found = {}
    for node in nodes:
        key = (node.features, node.cores, node.memory, tuple(sorted(node.gpus.items())))
        known = found.get(key, NodeKind())
        found[key] = replace(node, **{name: getattr(known, name) + getattr(node, name) for name in _COUNTED})
    return tuple(found.values())
