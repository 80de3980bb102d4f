"""Largest values of the site and of the queues: one declaration for the form, the browser and what comes back."""
from dataclasses import dataclass

from .fitting import candidates, kinds
from .units import format_memory, format_walltime

_WRITERS = {"memory": format_memory, "walltime": format_walltime}


@dataclass(frozen=True)
class Limit:
    """The largest ``value`` of a field (bytes, seconds, counts), and ``where`` that holds, as people read it."""

    field: str
    value: int
    where: str

    def __str__(self):
        return f"at most {write(self.field, self.value)} {self.where}" if self.value else f"none {self.where}"


def write(field, value):
    """The value as the user would type it."""
    return _WRITERS.get(field, str)(value)


def limits(policy, info, queue=None, node_type=None, gpu_type=None):
    """A Limit by field, for a job in this queue on such nodes; of no queue, in the one that would be chosen for it.

    Where the batch system may choose among several, a limit is what the most generous of them allows; a queue that is
    not known adds none.
    """
    found = {name: Limit(name, value, "here") for name, value in policy.limits.items()}
    queues = candidates(info, queue)
    where = f"in queue {info.title('queue', queues[0].name)}" if len(queues) == 1 else "in any queue"
    nodes = _nodes(info, queues, node_type, gpu_type)
    anywhere = _largest(info, queues)
    for name, value in _largest(info, queues, node_type, gpu_type).items():
        if name not in found or value < found[name].value:
            here = f"{nodes} {where}" if nodes and value != anywhere.get(name) else where
            found[name] = Limit(name, value, here)
    return found


def most_generous(policy, info):
    """The largest value of a field in any queue that takes jobs; of the site where it is stricter."""
    found = _largest(info, [queue for queue in info.queues if queue.up])
    return {**found, **{name: min(value, found.get(name, value)) for name, value in policy.limits.items()}}


def _nodes(info, queues, node_type, gpu_type):
    """``on himem nodes``, where these are told apart from others."""
    if not any(queue.kinds for queue in queues):
        return ""
    if node_type:
        return f"on {info.title('node_type', node_type)} nodes"
    return f"on nodes with {info.title('gpu_type', gpu_type)}" if gpu_type else ""


def _largest(info, queues, node_type=None, gpu_type=None):
    """The largest values that one of the queues allows, of the fields that all of them limit."""
    gpu_type = None if "gpu_type" in info.untold else gpu_type
    rows = [_row(queue, node_type, gpu_type) for queue in queues]
    columns = {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}
    return {name: max(values) for name, values in columns.items() if name not in info.untold and None not in values}


def _row(queue, node_type, gpu_type):
    """One queue's largest values, by field: those of its nodes of this type, where it tells them apart."""
    nodes = kinds(queue, node_type, gpu_type)
    row = {"walltime": queue.max_walltime, "nodes": queue.max_nodes}
    if node_type or gpu_type:
        row["nodes"] = _least(queue.max_nodes, sum(kind.total for kind in nodes) or None)
    for name in ("cores", "memory"):
        values = [getattr(kind, name) for kind in nodes]
        row[name] = max(values) if values and None not in values else getattr(queue, name)
    row["gpus"] = max((_count(each.gpus, gpu_type) for each in nodes or [queue]), default=0)
    return row


def _count(gpus, gpu_type):
    return gpus.get(gpu_type, 0) if gpu_type else max(gpus.values(), default=0)


def _least(*values):
    return min((value for value in values if value is not None), default=None)
