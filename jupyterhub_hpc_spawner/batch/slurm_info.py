"""What Slurm tells of its partitions, accounts and reservations, for the form: sinfo(1), scontrol(1), sacctmgr(1)."""
import re

from ..errors import ParseError
from ..model import ClusterInfo, Queue, Reservation
from ..units import UnitError, parse_walltime
from . import slurm_shares

SEP = "\x1f"
_QUEUE_FIELDS = ("%R", "%a", "%l", "%D", "%T", "%c", "%m", "%f", "%G", "%s")
COMMANDS = {
    "queues": ["sinfo", "-h", "-a", "-o", SEP.join(_QUEUE_FIELDS)],
    "partitions": ["scontrol", "show", "partition", "-o"],
    "accounts": ["sacctmgr", "-n", "-P", "show", "assoc", "format=User,Account,QOS"],
    "reservations": ["scontrol", "show", "reservation", "-o"],
    "shares": slurm_shares.COMMAND,
}


def parse(answers):
    """ClusterInfo of those of COMMANDS that answered."""
    accounts, qos = _accounts(answers["accounts"]) if "accounts" in answers else ({}, {})
    details = _records(answers["partitions"], "PartitionName") if "partitions" in answers else {}
    return ClusterInfo(
        queues=_queues(answers["queues"], details) if "queues" in answers else (),
        accounts=accounts,
        qos=qos,
        reservations=_reservations(answers["reservations"]) if "reservations" in answers else (),
        untold=frozenset() if accounts else frozenset({"account"}),
        balances=slurm_shares.parse_balances(answers["shares"]) if "shares" in answers else {},
    )


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


def _queues(completed, details):
    """One Queue a partition: sinfo prints a line for each kind of node, so the largest node counts."""
    found = {}
    for line in filter(None, completed.stdout.split("\n")):
        fields = line.split(SEP)
        if len(fields) != len(_QUEUE_FIELDS) or not fields[3].isdecimal():
            raise ParseError("a line without the requested fields", completed)
        name, up, limit, nodes, state, cores, memory, features, gres, _ = fields
        row = found.setdefault(name, {"total": 0, "idle": 0, "cores": 0, "memory": 0, "features": {}, "gpus": {},
                                      "up": up == "up", "limit": duration(limit)})
        row["total"] += int(nodes)
        row["idle"] += int(nodes) if state.rstrip("*~#!%$@^-") == "idle" else 0
        row["cores"] = max(row["cores"], _number(cores) or 0)
        row["memory"] = max(row["memory"], (_number(memory) or 0) * 1024 ** 2)
        row["features"].update(dict.fromkeys(f for f in features.split(",") if f and f != "(null)"))
        for gpu_type, count in parse_gres(gres).items():
            row["gpus"][gpu_type] = max(row["gpus"].get(gpu_type, 0), count)
    return tuple(_queue(name, row, details.get(name, {})) for name, row in found.items())


def _queue(name, row, detail):
    most = _number(detail.get("MaxNodes", ""))
    allowed = detail.get("AllowAccounts", "ALL")
    return Queue(
        name=name, default=detail.get("Default") == "YES", up=row["up"],
        max_walltime=row["limit"], default_walltime=duration(detail.get("DefaultTime", "")),
        max_nodes=min(most, row["total"]) if most is not None else row["total"],
        total_nodes=row["total"], idle_nodes=row["idle"],
        cores=row["cores"] or None, memory=row["memory"] or None, gpus=row["gpus"],
        features=tuple(row["features"]), accounts=None if allowed == "ALL" else tuple(allowed.split(",")),
    )


def _accounts(completed):
    accounts, qos = {}, {}
    for line in filter(None, completed.stdout.split("\n")):
        user, _, rest = line.partition("|")
        account, _, names = rest.partition("|")
        if user and account:
            accounts.setdefault(user, {})[account] = None
            qos.setdefault(user, {}).update(dict.fromkeys(filter(None, names.split(","))))
    return ({user: tuple(names) for user, names in accounts.items()},
            {user: tuple(names) for user, names in qos.items()})


def _reservations(completed):
    def names(fields, key):
        return () if fields.get(key, "(null)") == "(null)" else tuple(fields[key].split(","))

    return tuple(
        Reservation(name, names(fields, "Users"), names(fields, "Accounts"), fields.get("State") == "ACTIVE")
        for name, fields in _records(completed, "ReservationName").items()
    )
