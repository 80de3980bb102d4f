"""What one user is offered: what the cluster told, without what is for others, as the site wants it shown.

Form, browser, limits and the check of what comes back all work on the Offer that is made here.
"""
from dataclasses import replace
from datetime import timedelta

from .declared import FIELDS, REST, Entry
from .model import Choice, NodeKind, Offer, Queue
from .units import format_walltime

# A reservation that begins later than this is not offered yet.
SOON = timedelta(days=1)
_MOMENT = "%a %d %b %H:%M UTC"


def offer(policy, info, user="", groups=None, now=None):
    """The Offer for this user, a member of these groups of the cluster (None: not known), at this time (None: any)."""
    queues = _queues(policy, info)
    found = _found(policy, info, queues, user)
    places = {each.queue for each in info.associations.get(user, ())}
    closed = {"queue": {queue.name: "is for others" for queue in queues
                        if places and not places & {"", queue.name} or not _may_use(queue, info, user, groups)},
              "reservation": _closed(info, user, groups, now)}
    facts = {"queue": {queue.name: _facts(queue) for queue in queues},
             "reservation": {each.name: _moment(each, now) for each in info.reservations}}
    fields = {field: _shown(policy, field, found[field], closed.get(field, {}), facts.get(field, {}))
              for field in FIELDS}
    shown = {field: {**listed, **unlisted} for field, (listed, unlisted, _) in fields.items()}
    order = {name: number for number, name in enumerate(shown["queue"])}
    kept = sorted((queue for queue in queues if queue.name in order), key=lambda queue: order[queue.name])
    return Offer(
        **{**vars(info), "queues": tuple(kept), "untold": _untold(policy, info)}, user=user,
        choices={field: _up(listed, kept) if field == "queue" else listed
                 for field, (listed, _, _) in fields.items() if listed},
        unlisted={field: unlisted for field, (_, unlisted, _) in fields.items() if unlisted},
        closed={field: others for field, (_, _, others) in fields.items() if others},
        vague=_vague(policy, info.queues),
        first=_first(info.queue(None) if "queue" in policy.discover else None, kept, fields["queue"][0]))


def _found(policy, info, queues, user):
    """The values of each field that the cluster has for this user, in its order."""
    found = {"queue": [queue.name for queue in queues], "account": info.accounts.get(user, ()),
             "qos": info.qos.get(user, ()), "reservation": [each.name for each in info.reservations],
             "node_type": policy.node_types or [name for queue in queues for name in queue.features],
             "gpu_type": [kind for queue in queues for kind in queue.gpus if kind]}
    return {field: list(dict.fromkeys(names)) if field in policy.discover or field == "node_type" else []
            for field, names in found.items()}


def _shown(policy, field, found, closed, facts):
    """({value: Choice} that are listed, those that are only taken, {value: why} of those that are not)."""
    listed, unlisted, entries = {}, {}, policy.choices.get(field, {})
    if _open(policy, field, found):
        return {}, {}, {name: "is not offered here" for name, entry in entries.items() if entry.hide is True}
    for name, entry in _declared(entries, found).items():
        if name not in closed and entry.hide is not True:
            (unlisted if entry.hide else listed)[name] = Choice(entry.title or name, entry.description,
                                                                facts.get(name, ""))
    others = {name: closed.get(name, "is not offered here")
              for name in dict.fromkeys((*found, *entries))
              if name not in listed and name not in unlisted and name != REST}
    return listed, unlisted, others


def _open(policy, field, found):
    """Whether anything may be typed: the batch system was asked and did not tell, and the site takes what it has."""
    rest = policy.choices.get(field, {}).get(REST)
    return not found and field in policy.discover and rest is not None and not rest.hide


def _declared(entries, found):
    """{value: Entry} in the site's order: of what was found, or where nothing was, of all that the site names."""
    if not entries:
        return dict.fromkeys(found, Entry())
    shown = {}
    for name, entry in entries.items():
        if name == REST:
            shown.update({other: entry for other in found if other not in entries})
        elif not found or name in found:
            shown[name] = entry
    return shown


def _untold(policy, info):
    counted = any("gpus" in entry.facts() for field in ("queue", "node_type")
                  for entry in policy.choices.get(field, {}).values())
    gpus = {"gpus"} if "queue" not in policy.discover and not counted else set()
    told = {field for field in policy.choices if not _open(policy, field, ())}
    told |= {"node_type"} if policy.node_types else set()
    return frozenset((info.untold | gpus | (set(FIELDS) - policy.discover)) - told)


def _queues(policy, info):
    """All queues with what the site says of them and of their nodes."""
    entries = policy.choices.get("queue", {})
    found = info.queues if "queue" in policy.discover else ()
    declared = _declared(entries, [queue.name for queue in found])
    if _open(policy, "queue", found):
        return ()
    queues = _with_types(policy, found) or tuple(Queue(name) for name in declared)
    chosen = [name for name, entry in declared.items() if entry.facts().get("default")]
    made = (_queue(queue, declared.get(queue.name, Entry()), policy.choices.get("node_type", {})) for queue in queues)
    return tuple(replace(queue, default=queue.name == chosen[0]) for queue in made) if chosen else tuple(made)


def _queue(queue, entry, types):
    facts = entry.facts()
    if not facts and not types:
        return queue
    own = {name: facts[name] for name in ("cores", "memory") if name in facts}
    names = facts.pop("node_types", None)
    kinds = queue.kinds
    if names is not None:
        kept = [replace(kind, features=tuple(name for name in kind.features if name in names)) for kind in kinds]
        kinds = [kind for kind in kept if kind.features] or [NodeKind((name,)) for name in names]
    if "gpus" in facts:
        kinds = [replace(kind, gpus={name: number for name, number in facts["gpus"].items()
                                     if name in kind.gpus or not queue.gpus}) for kind in kinds]
    kinds = tuple(_kind(replace(kind, **own), types) for kind in kinds)
    queue = replace(queue, **facts, kinds=kinds)
    gpus = {name: number for kind in kinds for name, number in kind.gpus.items()}
    return replace(queue, features=tuple(dict.fromkeys(name for kind in kinds for name in kind.features)),
                   gpus={**gpus, **queue.gpus}) if kinds else queue


def _kind(kind, types):
    for name in kind.features:
        if name in types:
            facts = types[name].facts()
            kind = replace(kind, **facts)
    return kind


def _with_types(policy, queues):
    """The nodes' features as the site calls them; what cannot be told from features may be on any node."""
    if not policy.node_types and "node_type" in policy.discover:
        return queues
    types, vague = _types(policy), _vague(policy, queues)

    def names(features):
        return tuple(name for name, constraint in types.items()
                     if name in vague or set(constraint.split("&")) <= set(features))

    return tuple(replace(queue, features=names(queue.features),
                         kinds=tuple(replace(kind, features=names(kind.features)) for kind in queue.kinds))
                 for queue in queues)


def _types(policy):
    return policy.node_types or dict.fromkeys(policy.choices.get("node_type", {}).keys() - {REST}, "")


def _vague(policy, queues):
    """The site's node types that features of nodes do not tell."""
    if not policy.node_types and "node_type" in policy.discover:
        return frozenset()
    known = {feature for queue in queues for feature in queue.features} if "node_type" in policy.discover else set()
    return frozenset(name for name, constraint in _types(policy).items() if not set(constraint.split("&")) <= known)


def admits(entries, names):
    """Whether a list of the batch system lets one of these in: words, or with ``-`` in front those that it keeps out.
    Nobody is kept out of whom it is not known."""
    if names is None or not entries:
        return True
    words = {entry.removeprefix("+") for entry in entries if not entry.startswith("-")}
    out = {entry[1:] for entry in entries if entry.startswith("-")}
    return bool(words & set(names)) if words else not set(names) <= out


def _may_use(queue, info, user, groups):
    return _invited(queue, info, user, groups) and admits(queue.qos, info.qos.get(user) or None)


def _invited(place, info, user, groups):
    return (_lets_in(place.users, user, groups) and admits(place.groups, groups)
            and admits(place.accounts, info.accounts.get(user) or None))


def _lets_in(entries, user, groups):
    """The same of users, and among them of groups with ``@`` in front: who is kept out by one name is out."""
    if not user or groups is None and with_groups(entries):
        return True
    names = {user, *(f"@{group}" for group in groups or ())}
    return not {f"-{name}" for name in names} & set(entries) and admits(
        [entry for entry in entries if not entry.startswith("-")], names)


def with_groups(entries):
    """Whether there are groups among these users."""
    return any(entry.lstrip("+-").startswith("@") for entry in entries)


def _closed(info, user, groups, now):
    """{reservation: why it is not for this user now}."""
    closed = {}
    for each in info.reservations:
        if not _invited(each, info, user, groups):
            closed[each.name] = "is for others"
        elif now and each.end and each.end <= now:
            closed[each.name] = "is over"
        elif now and each.start and each.start > now + SOON:
            closed[each.name] = f"begins on {each.start.strftime(_MOMENT)}"
    return closed


def _moment(reservation, now):
    if now and reservation.start:
        return f"from {reservation.start.strftime(_MOMENT)}" if reservation.start > now else ""
    return "" if reservation.active else "not active now"


def _facts(queue):
    limit = f"up to {format_walltime(queue.max_walltime)}" if queue.max_walltime else ""
    idle = f"{queue.idle_nodes} of {queue.total_nodes} nodes idle" if queue.total_nodes else ""
    return ", ".join(filter(None, (idle, limit)))


def _up(listed, queues):
    down = {queue.name for queue in queues if not queue.up}
    return {name: choice for name, choice in listed.items() if name not in down}


def _first(usual, queues, listed):
    """The queue that must be named where the user names none: the site's default, or any, if the batch system would
    take one that is not for this user."""
    default = next((queue.name for queue in queues if queue.default), None)
    if default is None and usual is None or usual and default == usual.name:
        return {}
    default = default or next(iter(listed), None)
    return {"queue": default} if default else {}
