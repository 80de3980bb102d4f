"""What the form says of queues, and of types of nodes and of GPUs: what is free now, and what one node has."""
from dataclasses import dataclass
from functools import partial

from .units import format_memory

_GIB = 1024 ** 3
# More queues than this are looked for in the list of the field.
_AT_A_GLANCE = 8


@dataclass(frozen=True)
class Free:
    """A queue in a line: what is free now. None: the batch system does not tell."""

    name: str
    title: str
    default: bool
    nodes: int
    all_nodes: int
    cores: int | None
    all_cores: int | None
    waiting: int | None


def free_now(info):
    """(Free of the first queues that are offered, how many more there are), of those with nodes."""
    queues = [queue for queue in info.queues if queue.total_nodes and queue.name in info.choices.get("queue", {})]
    return (tuple(Free(queue.name, info.title("queue", queue.name), queue.default, queue.idle_nodes, queue.total_nodes,
                       queue.free_cores if queue.all_cores else None, queue.all_cores, queue.waiting)
                  for queue in queues[:_AT_A_GLANCE]), max(0, len(queues) - _AT_A_GLANCE))


def node_facts(info):
    """{field: {type of nodes or of GPUs: words}} of the queues of this Offer. Nothing is said of a type that may be on
    any node, but for what the site itself says."""
    found = {"node_type": {}, "gpu_type": {}}
    for queue in info.queues:
        for kind in queue.kinds if queue.up else ():
            for field, names in (("node_type", kind.features), ("gpu_type", kind.gpus)):
                for name in names:
                    found[field].setdefault(name, {}).setdefault(queue.name, []).append(kind)
    return {"node_type": {name: _of_nodes(info, groups.values()) for name, groups in found["node_type"].items()
                          if name not in info.vague or not any(map(_total, groups.values()))},
            "gpu_type": {name: _of_gpus(name, groups.values()) for name, groups in found["gpu_type"].items()}}


def _of_nodes(info, groups):
    kinds = [kind for kinds in groups for kind in kinds]
    names = sorted({name for kind in kinds for name in kind.gpus})
    words = [_idle(groups), _most((kind.cores for kind in kinds), partial(_counted, "core")),
             _most((kind.memory for kind in kinds), lambda size: format_memory(size // _GIB * _GIB or size)),
             *(_most((kind.gpus.get(name, 0) for kind in kinds), partial(_counted, info.title("gpu_type", name)))
               for name in names)]
    return ", ".join(filter(None, words))


def _of_gpus(name, groups):
    return ", ".join(filter(None, [_idle(groups), _most((kind.gpus[name] for kinds in groups for kind in kinds),
                                                        lambda number: f"{number} per node")]))


def _idle(groups):
    """Queues may share nodes: the numbers are of the queue that has most of them."""
    total, idle = max((_total(kinds), sum(kind.idle for kind in kinds)) for kinds in groups)
    return f"{idle} of {total} nodes idle" if total else ""


def _total(kinds):
    return sum(kind.total for kind in kinds)


def _most(values, write):
    known = {value for value in values if value is not None}
    if not known or not max(known):
        return ""
    return ("up to " if len(known) > 1 else "") + write(max(known))


def _counted(name, number):
    """``1 core``, ``4 cores``, ``2 a100``, or of GPUs without a name ``2 GPUs``."""
    return f"{number} {name or 'GPU'}" + "s" * (number != 1 and name in ("", "core"))
