"""What Grid Engine tells of its queues and hosts, for the form: ``qstat -F``, an entry for each queue on each host; and
who may use a queue: ``qconf``, where lists of users and of ``@groups`` have names.
"""
import re
from xml.etree import ElementTree

from ..errors import ParseError
from ..model import ClusterInfo, NodeKind, Queue
from ..units import UnitError, parse_memory, parse_walltime
from .kinds import of_queue, use

COMMANDS = {
    "queues": ["qstat", "-F", "h_rt,mem_total", "-u", "*", "-xml"],
    "queues-configuration": ["qconf", "-sq", "*"],
}
# qstat(1): what is free of GPUs is told and not what there is; projects and reservations are not told in bulk.
_UNTOLD = frozenset({"account", "reservation", "gpus", "gpu_type"})


def commands(answers):
    """COMMANDS and, once it is known which lists the queues have, their users."""
    queues = _records(answers["queues-configuration"], "qname") if "queues-configuration" in answers else ()
    named = sorted({name for queue in queues for _, name in _lists(queue)
                    if not set(name) & set(",[]=")})  # by host: not a name
    return {**COMMANDS, **({"usersets": ["qconf", "-su", ",".join(named)]} if named else {})}


def parse(answers):
    """ClusterInfo of the answers to ``commands``."""
    if "queues" not in answers:
        return ClusterInfo()
    try:
        root = ElementTree.fromstring(answers["queues"].stdout)
    except ElementTree.ParseError as error:
        raise ParseError(f"an answer that is not XML ({error})", answers["queues"]) from error
    instances = {}
    for entry in root.iter("Queue-List"):
        queue, at, host = entry.findtext("name", "").partition("@")
        if at and host:
            instances.setdefault(queue, []).append(entry)
    # Waiting jobs belong to no queue yet: those of all count for each.
    waiting = sum(job.findtext("state") == "qw" for job in root.iter("job_list"))
    users = _users(answers)
    return ClusterInfo(queues=tuple(_queue(name, found, waiting, users.get(name, ()))
                                    for name, found in instances.items()), untold=_UNTOLD)


def _users(answers):
    """{queue: those that may use it, see ``model.Queue``}; of a queue whose lists differ by host nobody is kept out."""
    if not {"queues-configuration", "usersets"} <= answers.keys():
        return {}
    sets = {entry["name"]: re.split("[, ]+", entry.get("entries", ""))
            for entry in _records(answers["usersets"], "name")}
    found = {}
    for queue in _records(answers["queues-configuration"], "qname"):
        lists = _lists(queue)
        # A set without users has the entry NONE, and so lets nobody in.
        if all(name in sets for _, name in lists):
            found[queue["qname"]] = tuple(sign + user for sign, name in lists for user in sets[name])
    return found


def _lists(queue):
    """("", name of a list that is let in) and ("-", name of one that is not)."""
    return [(sign, name) for sign, key in (("", "user_lists"), ("-", "xuser_lists"))
            for name in queue.get(key, "NONE").split() if name != "NONE"]


def _records(completed, first):
    """Lines of a key and its value as dicts, each from its ``first`` key on; a value may go on after a backslash."""
    records = []
    for line in re.sub(r"\\\n\s*", " ", completed.stdout).splitlines():
        key, _, value = line.partition(" ")
        if key == first:
            records.append({})
        if records:
            records[-1][key] = value.strip()
    return records


def _queue(name, instances, waiting, users):
    limits = [_seconds(_resource(entry, "h_rt")) for entry in instances]
    kinds = list(map(_kind, instances))
    return Queue(
        name=name, up=any(map(_takes_jobs, instances)), max_walltime=None if None in limits else max(limits),
        max_nodes=len(instances), total_nodes=len(instances), idle_nodes=sum(kind.idle for kind in kinds),
        waiting=waiting, users=users, **of_queue(kinds),
    )


def _takes_jobs(entry):
    return not set(entry.findtext("state", "")) & set("acdCDEosuAS")


def _kind(entry):
    """The queue's slots on one host; another queue may use the same host."""
    slots = _number(entry, "slots_total")
    return NodeKind(cores=slots or None, memory=_bytes(_resource(entry, "mem_total")) or None,
                    **use(_takes_jobs(entry), slots, _number(entry, "slots_used")))


def _number(entry, name):
    text = entry.findtext(name, "")
    return int(text) if text.isdecimal() else 0


def _resource(entry, name):
    return next((found.text or "" for found in entry.iter("resource") if found.get("name") == name), "")


def _seconds(text):
    """None for ``infinity``."""
    try:
        return parse_walltime(text)
    except UnitError:
        return None


def _bytes(text):
    """0 where the host has not told yet."""
    try:
        return parse_memory(text)
    except UnitError:
        return 0
