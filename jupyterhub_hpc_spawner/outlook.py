"""What a request would cost and when it might start, from what is known already. Estimates, and named as such."""
from dataclasses import dataclass
from datetime import datetime

from .fields import is_on
from .fitting import candidates, kinds
from .limits import write
from .units import format_span

AT_ONCE = 60


@dataclass(frozen=True)
class Outlook:
    """What the form says of a request. The place of ``{time}`` in ``wait`` is for ``start``, in the reader's zone."""

    cost: str = ""
    wait: str = ""
    start: datetime | None = None
    problem: str = ""


def summary(values):
    """One line for people: ``"normal, 2 nodes, 04:00:00, Dask"``; ``values`` are the vocabulary's, typed or parsed."""
    words = [str(values[name]) for name in ("queue", "node_type") if values.get(name)]
    for name, unit in (("nodes", "node"), ("cores", "core"), ("gpus", "GPU")):
        number = str(values.get(name) or (name == "nodes" and "1") or "")
        words += [f"{number} {unit}" + "s" * (number != "1")] if number else []
    words += [_typed(name, values[name]) for name in ("memory", "walltime") if values.get(name)]
    words += [title for name, title in (("dask", "Dask"), ("ipyparallel", "IPyParallel")) if is_on(values.get(name))]
    return ", ".join(words)


def outlook(options, info, user):
    """The Outlook by what the cluster tells everybody."""
    account = _account(options, info, user)
    left = balance(info, user, account)
    cost = "; ".join(filter(None, (price(options, info), left and f"{left} on {account}")))
    return Outlook(cost, wait(options, info), problem=_too_little(options, info, user))


def by_estimate(found, estimate, title, now):
    """The Outlook ``found`` with the word of the batch system itself, ``title``, on this very request."""
    if estimate.refusal:
        return Outlook(found.cost, problem=f"{title} would not start this as it stands: {estimate.refusal}")
    if estimate.start is None:
        return found
    seconds = (estimate.start - now).total_seconds()
    when = "at once" if seconds < AT_ONCE else f"at about {{time}}, in {format_span(seconds)}"
    return Outlook(found.cost, f"Would start {when} ({title}'s estimate)", estimate.start, found.problem)


def brief(options, info):
    """Price and wait, a line each, as short as a card has room for."""
    return tuple(filter(None, (price(options, info, details=False), wait(options, info, details=False))))


def price(options, info, details=True):
    """Node-hours and, where the cores are known, core-hours at most; "" where no walltime is known."""
    queue = info.queue(options.queue)
    seconds = _seconds(options, queue)
    if not seconds:
        return ""
    node_hours = options.nodes * seconds / 3600
    words = [f"{'At most' if options.walltime else 'Up to'} {_hours(node_hours, 'node')}"]
    words += [_hours(node_hours * options.cores, "core")] if options.cores else []
    words += [] if options.walltime or not details else [f"in the {write('walltime', seconds)} that {queue.name} gives"]
    return ", ".join(words)


def wait(options, info, details=True):
    """Whether there are idle nodes of the wanted kind for it now, "" where the cluster does not tell."""
    queues = [queue for queue in candidates(info, options.queue)
              if not options.walltime or (queue.max_walltime or options.walltime) >= options.walltime]
    found = [(*_nodes_for(options, queue), queue) for queue in queues]
    idle, partly, total, queue = max(found, key=lambda each: (min(each[0] + each[1], options.nodes), each[2]),
                                     default=(0, 0, 0, None))
    if not total:
        return ""
    enough = idle + partly >= options.nodes
    start = "Will wait for nodes" if not enough else "May have to wait" if queue.waiting else "Should start at once"
    such = "such nodes" if total < queue.total_nodes else "nodes"
    where = f" in {info.title('queue', queue.name)}" if len(queues) > 1 else ""
    words = [f"{idle} of {total} {such} are idle{where}",
             partly and f"{partly} more {'is in use but has' if partly == 1 else 'are in use but have'} room",
             queue.waiting and f"{queue.waiting} {'job waits' if queue.waiting == 1 else 'jobs wait'} already"]
    return f"{start}{': ' + ', '.join(filter(None, words)) if details else ''} (estimate)"


def _nodes_for(options, queue):
    """(idle, with room, all) of the nodes that could run it, of all the queue's where these are not told apart."""
    if not any(kind.total for kind in queue.kinds):
        return queue.idle_nodes, 0, queue.total_nodes
    fit = [kind for kind in kinds(queue, options.node_type, options.gpu_type) if _holds(kind, options)]
    return tuple(map(sum, zip(*((kind.idle, _with_room(kind, options), kind.total) for kind in fit)))) or (0, 0, 0)


def _with_room(kind, options):
    """Of the nodes in use at least so many have enough cores left, however those are spread over them; of memory and
    GPUs nobody tells what is left."""
    wanted = options.cores or 1
    if options.memory or options.gpus or options.gpu_type or not kind.partly or wanted >= (kind.cores or 0):
        return 0
    return max(0, -(-(kind.free - kind.partly * (wanted - 1)) // (kind.cores - wanted)))


def _holds(kind, options):
    """Whether one such node has enough, as far as that is known."""
    gpus = kind.gpus.get(options.gpu_type, 0) if options.gpu_type else max(kind.gpus.values(), default=0)
    return ((kind.cores or options.cores or 0) >= (options.cores or 0)
            and (kind.memory or options.memory or 0) >= (options.memory or 0) and gpus >= (options.gpus or 0))


def balance(info, user, account):
    """``"1,200 core-hours left"``; "" where nobody tells."""
    left = info.left(user, account)
    return "" if left is None else f"{_hours(left, 'core')} left"


def _too_little(options, info, user):
    """A sentence where the account has not enough left, as far as that is known."""
    account = _account(options, info, user)
    left = info.left(user, account)
    if left is None:
        return ""
    seconds = _seconds(options, info.queue(options.queue)) or 0
    needed = options.nodes * (options.cores or 0) * seconds / 3600
    if left > 0 and needed <= left:
        return ""
    return f"Too little is left on {account}" + (f" for {_hours(needed, 'core')}." if needed else ".")


def _account(options, info, user):
    """The one that is named, or the user's only one; "" where the batch system chooses."""
    accounts = info.accounts.get(user, ())
    return options.account or (accounts[0] if len(accounts) == 1 else "")


def _seconds(options, queue):
    """The walltime, the queue's own where none is chosen, or None."""
    return options.walltime or (queue and (queue.default_walltime or queue.max_walltime))


def _typed(name, value):
    return write(name, value) if isinstance(value, int) else str(value)


def _hours(number, unit):
    """``"1,200 core-hours"``, ``"0.5 node-hours"``, ``"1 node-hour"``."""
    text = f"{number:,.0f}" if number >= 10 or number == int(number) else f"{number:.1f}"
    return f"{text} {unit}-hour" + "s" * (text != "1")
