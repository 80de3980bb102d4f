"""What is left on Slurm's accounts: sshare(1). A limit of an account also holds for the accounts below it."""
from ..errors import ParseError

COMMAND = ["sshare", "-a", "-P", "-n", "--format=Account,User,Partition,GrpTRESMins,GrpTRESRaw"]


def parse_balances(completed):
    """Core-hours left, by account and then by user, ``""`` for all of them; what has no limit is left out.

    Only limits on ``cpu``: what a site puts into ``billing`` is its own.
    """
    above, balances = [], {}
    for line in filter(None, completed.stdout.split("\n")):
        fields = line.split("|")
        if len(fields) != 5:
            raise ParseError("a line without the requested fields", completed)
        account, user, partition, limit, used = fields
        left = _left(limit, used)
        if not user:
            # Accounts are indented below the one that they belong to.
            del above[len(account) - len(account.lstrip(" ")):]
            above.append(left)
            left = min((each for each in above if each is not None), default=None)
        if left is not None and not partition:
            balances.setdefault(account.lstrip(" "), {})[user] = left
    return balances


def _left(limit, used):
    """Hours; None where there is no limit."""
    minutes, taken = _cpu(limit), _cpu(used)
    return None if minutes is None else max(0, minutes - (taken or 0)) / 60


def _cpu(text):
    """The minutes of CPUs in ``cpu=72000,node=3``."""
    numbers = dict(item.partition("=")[::2] for item in text.split(","))
    number = numbers.get("cpu", "")
    return int(number) if number.isascii() and number.isdecimal() else None
