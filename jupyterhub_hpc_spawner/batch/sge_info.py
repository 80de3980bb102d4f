"""What Grid Engine tells of its queues and hosts, for the form: ``qstat -F``, an entry for each queue on each host."""
from xml.etree import ElementTree

from ..errors import ParseError
from ..model import ClusterInfo, Queue
from ..units import UnitError, parse_memory, parse_walltime

COMMANDS = {"queues": ["qstat", "-F", "h_rt,mem_total", "-xml"]}
# qstat(1): what is free of GPUs is told and not what there is; projects and reservations are not told in bulk.
_UNTOLD = frozenset({"account", "reservation", "gpus", "gpu_type"})


def parse(answers):
    """ClusterInfo of the answers to COMMANDS."""
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
    return ClusterInfo(queues=tuple(_queue(name, found) for name, found in instances.items()), untold=_UNTOLD)


def _queue(name, instances):
    up = [entry for entry in instances if not set(entry.findtext("state", "")) & set("acdCDEosuAS")]
    limits = [_seconds(_resource(entry, "h_rt")) for entry in instances]
    return Queue(
        name=name, up=bool(up), max_walltime=None if None in limits else max(limits), max_nodes=len(instances),
        total_nodes=len(instances), idle_nodes=sum(_number(entry, "slots_used") == 0 for entry in up),
        cores=max((_number(entry, "slots_total") for entry in instances), default=0) or None,
        memory=max((_bytes(_resource(entry, "mem_total")) for entry in instances), default=0) or None,
    )


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
