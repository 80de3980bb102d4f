"""What goes together of what a user is offered: queues, nodes, accounts. One declaration for browser and server."""
from .offers import admits


def candidates(info, name):
    """The queue of that name; of no name those that the batch system may choose; none where it is not known."""
    queue = info.queue(name or info.first.get("queue"))
    if queue is not None:
        return [queue]
    return [] if name else [queue for queue in info.queues if queue.up]


def kinds(queue, node_type=None, gpu_type=None):
    """The queue's nodes of this type and with such GPUs; all of them where none is or nothing is known of that."""
    found = [kind for kind in queue.kinds if not node_type or node_type in kind.features] or queue.kinds
    return [kind for kind in found if not gpu_type or gpu_type in kind.gpus] or found


def fitting(info, queue=None, node_type=None, account=None):
    """{field: values} that go with these, of the fields of which that is known."""
    queues = candidates(info, queue)
    found = {}
    if queues and all(each.kinds or each.features for each in queues) and any(each.features for each in info.queues):
        found["node_type"] = {name for each in queues for name in each.features}
    if any(each.gpus for each in info.queues):
        found["gpu_type"] = {name for each in queues for name in _gpus(each, node_type)}
    rows = [row for row in _associations(info) if not queues or any(_open(row, each) for each in queues)]
    if rows:
        found["account"] = {row.account for row in rows}
    if any(row.qos for row in rows):
        found["qos"] = {name for row in rows if account in (None, "", row.account) for name in row.qos
                        if not queues or any(admits(each.qos, {name}) for each in queues)}
    return {field: [name for name in info.choices[field] if name in names]
            for field, names in found.items() if field in info.choices}


def _gpus(queue, node_type):
    return {name for kind in kinds(queue, node_type) for name in kind.gpus} if queue.kinds else set(queue.gpus)


def _open(row, queue):
    return row.queue in ("", queue.name) and admits(queue.accounts, {row.account})


def _associations(info):
    return info.associations.get(info.user, ())
