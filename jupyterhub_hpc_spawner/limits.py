"""Largest values of the site and of the queues: one declaration for the form, the browser and what comes back."""
from dataclasses import dataclass

from .units import format_memory, format_walltime

_WRITERS = {"memory": format_memory, "walltime": format_walltime}
_OF_QUEUES = {"walltime": "max_walltime", "nodes": "max_nodes", "cores": "cores", "memory": "memory"}


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


def limits(policy, info, queue=None, gpu_type=None):
    """A Limit by field, for a job in this queue; of no queue, in the one that the batch system would choose.

    Where it may choose among several, a limit is what the most generous of them allows; a queue that is not known
    adds none.
    """
    found = {name: Limit(name, value, "here") for name, value in policy.limits.items()}
    queues = _candidates(info, queue)
    where = f"in queue {queues[0].name}" if len(queues) == 1 else "in any queue"
    for name, values in _values(queues, gpu_type):
        if name not in info.untold and values and None not in values:
            if name not in found or max(values) < found[name].value:
                found[name] = Limit(name, max(values), where)
    return found


def _candidates(info, name):
    queue = info.queue(name)
    if queue is not None:
        return [queue]
    return [] if name else [queue for queue in info.queues if queue.up]


def _values(queues, gpu_type):
    for name, attribute in _OF_QUEUES.items():
        yield name, [getattr(queue, attribute) for queue in queues]
    yield "gpus", [queue.gpus.get(gpu_type, 0) if gpu_type else max(queue.gpus.values(), default=0)
                   for queue in queues]


def most_generous(policy, info):
    """The largest value of a field in any queue that takes jobs; of the site where it is stricter."""
    queues = [queue for queue in info.queues if queue.up]
    found = dict(policy.limits)
    for name, values in _values(queues, None):
        if name not in info.untold and values and None not in values:
            found[name] = min(max(values), found.get(name, max(values)))
    return found
