"""What a request would cost and when it might start, from what is known already. Estimates, and named as such."""
from .limits import write


def summary(values):
    """One line for people: ``"normal, 2 nodes, 04:00:00, Dask"``; ``values`` are the vocabulary's, typed or parsed."""
    words = [str(values[name]) for name in ("queue", "node_type") if values.get(name)]
    for name, unit in (("nodes", "node"), ("cores", "core"), ("gpus", "GPU")):
        number = str(values.get(name) or (name == "nodes" and "1") or "")
        words += [f"{number} {unit}" + "s" * (number != "1")] if number else []
    words += [_typed(name, values[name]) for name in ("memory", "walltime") if values.get(name)]
    words += [title for name, title in (("dask", "Dask"), ("ipyparallel", "IPyParallel")) if _on(values.get(name))]
    return ", ".join(words)


def cost(options, info):
    """Node-hours and, where the cores are known, core-hours at most; "" where no walltime is known."""
    queue = info.queue(options.queue)
    seconds = options.walltime or (queue and (queue.default_walltime or queue.max_walltime))
    if not seconds:
        return ""
    node_hours = options.nodes * seconds / 3600
    text = f"At most {_number(node_hours)} node-hours"
    return text + (f", {_number(node_hours * options.cores)} core-hours" if options.cores else "")


def wait(options, info):
    """Whether there are idle nodes for it now, "" where the cluster does not tell."""
    queue = info.queue(options.queue)
    if queue is None or not queue.total_nodes:
        return ""
    state = f"{queue.idle_nodes} of {queue.total_nodes} nodes are idle"
    if queue.idle_nodes >= options.nodes:
        return f"Should start at once: {state} (estimate)"
    return f"Will wait for nodes: {state} (estimate)"


def _typed(name, value):
    return write(name, value) if isinstance(value, int) else str(value)


def _on(value):
    return str(value).lower() in ("true", "on", "1", "yes")


def _number(value):
    return f"{value:.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"
