"""What the browser needs to know of a cluster so that fields follow each other: the form's rules as plain JSON.

The limits are those that the answer is checked against (``limits.py``); the browser only looks them up.
"""
from .limits import limits, write

CHOICES = {"node_type": "features", "gpu_type": "gpus", "account": "accounts"}


def rules(policy, info):
    """``limits`` by queue ("" for none chosen), ``choices`` by field and queue, ``presets`` by name."""
    names = ["", *(queue.name for queue in info.queues if queue.up)]
    return {"limits": {name: _limits(policy, info, name or None) for name in names},
            "choices": {field: _choices(field, info, policy) for field in CHOICES},
            "presets": {name: {"values": {key: _text(key, value) for key, value in profile.options.items()},
                               "lock": list(profile.lock)} for name, profile in policy.profiles.items()}}


def _limits(policy, info, queue):
    """(largest value, sentence) by field; GPUs of a type are ``gpus/TYPE``."""
    found = dict(limits(policy, info, queue))
    for kind in {kind for each in info.queues for kind in each.gpus if kind}:
        limit = limits(policy, info, queue, kind).get("gpus")
        if limit:
            found[f"gpus/{kind}"] = limit
    return {name: [write(limit.field, limit.value), str(limit)] for name, limit in found.items()}


def _choices(field, info, policy):
    """What each queue offers, without those that take all."""
    if field == "node_type" and policy.node_types:
        return {}
    offers = {queue.name: getattr(queue, CHOICES[field]) for queue in info.queues if queue.up}
    return {name: list(offered) for name, offered in offers.items() if offered is not None}


def _text(name, value):
    if isinstance(value, bool):
        return "on" if value else ""
    return write(name, value) if isinstance(value, int) else str(value)
