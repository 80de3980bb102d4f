"""What HTCondor's programs print as JSON, and what the machines of the pool tell the form."""
import json

from ..errors import ParseError
from ..model import ClusterInfo, Queue

ATTRIBUTES = ("Machine", "State", "SlotType", "Cpus", "TotalSlotCpus", "TotalCpus", "TotalMemory", "TotalGPUs")

# https://htcondor.readthedocs.io/en/latest/classad-attributes/job-classad-attributes.html, HoldReasonCode.
HOLDS = {1: "held by its owner or an administrator", 6: "the node could not run it",
         12: "the node could not be given its files", 13: "the node could not return its files",
         14: "its directory is not there on the node", 15: "submitted as held", 26: "held by the pool's policy",
         34: "it used more memory than it asked for", 46: "its walltime is over", 47: "its walltime is over"}
# Machines have attributes without end, and none is a list of what the site thinks of as types.
_UNTOLD = frozenset({"account", "node_type", "gpu_type"})


def read_ads(completed, *needed):
    """ClassAds as dicts, each with the needed attributes as whole numbers or text. Nothing at all is an empty list."""
    try:
        ads = json.loads(completed.stdout.strip() or "[]")
        if all(isinstance(ad[name], (int, str)) for ad in ads for name in needed):
            return ads
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        pass
    raise ParseError("an answer without the requested attributes", completed)


def parse(answers):
    """ClusterInfo: the pool as one queue, where the largest machine counts."""
    if "machines" not in answers:
        return ClusterInfo()
    machines = {}
    for slot in read_ads(answers["machines"], "Machine"):
        machines.setdefault(slot["Machine"], []).append(slot)
    if not machines:
        return ClusterInfo()
    slots = [slots[0] for slots in machines.values()]
    gpus = _largest(slots, "TotalGPUs")
    return ClusterInfo(queues=(Queue(
        name="pool", default=True, max_nodes=1, total_nodes=len(machines),
        idle_nodes=sum(all(map(_idle, slots)) for slots in machines.values()),
        cores=_largest(slots, "TotalCpus") or None, memory=_largest(slots, "TotalMemory") * 1024 ** 2 or None,
        gpus={"": gpus} if gpus else {},
    ),), untold=_UNTOLD)


def _idle(slot):
    return slot.get("State") == "Unclaimed" and slot.get("Cpus") == slot.get("TotalSlotCpus")


def _largest(slots, name):
    # Cores of a machine are a real number since 10.x: 8.0
    values = (slot.get(name) for slot in slots)
    return int(max((value for value in values if isinstance(value, (int, float)) and 0 < value < 1e15), default=0))
