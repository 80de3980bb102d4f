"""What Slurm tells of its partitions, accounts and reservations, for the form: sinfo(1), scontrol(1), sacctmgr(1)."""
import re
from dataclasses import replace
from datetime import datetime, timezone

from ..errors import ParseError
from ..model import Association, ClusterInfo, NodeKind, Queue, Reservation
from ..units import UnitError, parse_walltime
from . import slurm_shares
from .kinds import of_queue

SEP = "\x1f"
_QUEUE_FIELDS = ("%R", "%a", "%l", "%D", "%T", "%c", "%m", "%f", "%G", "%C")
COMMANDS = {
    "queues": ["sinfo", "-h", "-a", "-o", SEP.join(_QUEUE_FIELDS)],
    "partitions": ["scontrol", "show", "partition", "-o"],
    "accounts": ["sacctmgr", "-n", "-P", "show", "assoc", "format=User,Account,Partition,QOS"],
    "reservations": ["scontrol", "show", "reservation", "-o"],
    "shares": slurm_shares.COMMAND,
}


def parse(answers, waiting=None):
    """ClusterInfo of those of COMMANDS that answered; ``waiting`` are numbers of jobs by partition, where known."""
    associations = _associations(answers["accounts"]) if "accounts" in answers else {}
    details = _records(answers["partitions"], "PartitionName") if "partitions" in answers else {}
    return ClusterInfo(
        queues=_queues(answers["queues"], details, waiting) if "queues" in answers else (),
        accounts=_of_all(associations, lambda row: [row.account]),
        qos=_of_all(associations, lambda row: row.qos),
        associations=associations,
        reservations=_reservations(answers["reservations"]) if "reservations" in answers else (),
        untold=frozenset() if associations else frozenset({"account"}),
        balances=slurm_shares.parse_balances(answers["shares"]) if "shares" in answers else {},
    )


def _of_all(associations, names):
    return {user: tuple(dict.fromkeys(name for row in rows for name in names(row)))
            for user, rows in associations.items()}


def duration(text):
    """Seconds; None for UNLIMITED, INVALID, NOT_SET, infinite and the like. ``30:00`` is 30 minutes."""
    try:
        return parse_walltime(text)
    except UnitError:
        return None


def _number(text):
    """``4`` of ``4+``, as sinfo(1) prints where nodes differ; None of UNLIMITED."""
    match = re.match(r"\d+", text)
    return int(match.group()) if match else None


def parse_gres(text):
    """GPUs a node by type, ``""`` for an untyped one: ``gpu:a100:4(S:0,1),gpu:2`` to ``{"a100": 4, "": 2}``."""
    gpus = {}
    for item in re.sub(r"\([^)]*\)", "", text).split(","):
        kind, *rest = item.strip().split(":")
        if kind == "gpu" and rest:
            count = int(rest[-1]) if rest[-1].isdecimal() else 1
            gpu_type = rest[0] if not rest[0].isdecimal() else ""
            gpus[gpu_type] = max(gpus.get(gpu_type, 0), count)
    return gpus


def _records(completed, key):
    """The lines of ``scontrol show -o`` as dicts, by the value of ``key``."""
    records = {}
    for line in completed.stdout.splitlines():
        fields = dict(re.findall(r"(\S+?)=(\S*)", line))
        if key in fields:
            records[fields[key]] = fields
    return records


def _queues(completed, details, waiting):
    """One Queue a partition: sinfo prints a line for each kind of node in each state."""
    found = {}
    for line in filter(None, completed.stdout.split("\n")):
        fields = line.split(SEP)
        if len(fields) != len(_QUEUE_FIELDS) or not fields[3].isdecimal():
            raise ParseError("a line without the requested fields", completed)
        name, up, limit, nodes, state, cores, memory, features, gres, use = fields
        _, _, rows = found.setdefault(name, (up == "up", duration(limit), []))
        rows.append(NodeKind(
            features=tuple(word for word in features.split(",") if word and word != "(null)"), cores=_number(cores),
            memory=(_number(memory) or 0) * 1024 ** 2 or None, gpus=parse_gres(gres), total=int(nodes),
            **_use(state.rstrip("*~#!%$@^-"), int(nodes), use)))
    return tuple(replace(_queue(name, *row, details.get(name, {})), waiting=None if waiting is None else waiting[name])
                 for name, row in found.items())


def _use(state, nodes, cores):
    """Of nodes in this state; ``cores`` are those of all, as allocated/idle/other/total."""
    free = re.fullmatch(r"\d+/(\d+)/\d+/\d+", cores)
    partly = nodes if state == "mixed" and free and int(free[1]) else 0
    return {"idle": nodes if state == "idle" else 0, "partly": partly, "free": int(free[1]) if partly else 0}


def _queue(name, up, limit, nodes, detail):
    most, total = _number(detail.get("MaxNodes", "")), sum(kind.total for kind in nodes)
    return Queue(
        name=name, default=detail.get("Default") == "YES", up=up,
        max_walltime=limit, default_walltime=duration(detail.get("DefaultTime", "")),
        max_nodes=min(most, total) if most is not None else total,
        total_nodes=total, idle_nodes=sum(kind.idle for kind in nodes), groups=_names(detail, "AllowGroups"),
        accounts=_names(detail, "AllowAccounts") or _names(detail, "DenyAccounts", "-"),
        qos=_names(detail, "AllowQos") or _names(detail, "DenyQos", "-"), **of_queue(nodes),
    )


def _names(fields, key, sign=""):
    """The words of a list; () where it is not given, or for all."""
    text = fields.get(key, "")
    return tuple(sign + word for word in text.split(",") if word) if text not in ("ALL", "(null)", "NONE") else ()


def _associations(completed):
    """{user: Associations}; a line without a user is an account's own."""
    found = {}
    for line in filter(None, completed.stdout.split("\n")):
        user, account, queue, names = (line.split("|") + [""] * 3)[:4]
        if user and account:
            qos = tuple(filter(None, names.split(",")))
            found.setdefault(user, []).append(Association(account, queue, qos))
    return {user: tuple(rows) for user, rows in found.items()}


def _reservations(completed):
    """Without those for maintenance, which nobody may use."""
    return tuple(
        Reservation(name, _names(fields, "Users"), _names(fields, "Groups"), _names(fields, "Accounts"),
                    fields.get("State") == "ACTIVE", _time(fields.get("StartTime")), _time(fields.get("EndTime")))
        for name, fields in _records(completed, "ReservationName").items()
        if "MAINT" not in fields.get("Flags", "").split(",")
    )


def _time(text):
    """``2026-11-21T11:23:20``: asked for in UTC."""
    try:
        return datetime.strptime(text or "", "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
    except ValueError:
        return None
