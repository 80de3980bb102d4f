"""What the user of a spawner may choose: the cluster's answer, the user's groups there, and what was chosen before."""
import asyncio
import grp
import os
import pwd
from datetime import datetime, timezone

from ..errors import OptionErrors
from ..model import ClusterInfo
from ..offers import offer
from . import private

PATIENCE = 2


def offer_of(spawner):
    """The Offer, as far as it is known: no command is run for it."""
    info = spawner.cluster.info if spawner.discover else ClusterInfo()
    return offer(spawner.policy, info, spawner.user.name, spawner.user_groups, datetime.now(timezone.utc))


async def look(spawner, patience=PATIENCE):
    """Have the cluster known: waits only for its very first answer, and for that ``patience`` seconds."""
    info = await spawner.cluster.known_info(patience) if spawner.discover else ClusterInfo()
    if any(each.groups for each in (*info.queues, *info.reservations)):
        spawner.user_groups = await _groups_of(spawner.user.name)


def filled_in(spawner):
    """What the form shows: what was refused, with the reasons; else values of the last time under those of a link, and
    what of them is not possible, by field."""
    refused, link = private.refused(spawner)
    if refused:
        return refused
    values = {**private.prefill(spawner), **link}
    try:
        spawner.parse_options(values)
    except OptionErrors as errors:
        return values, {error.field: error.message if error.field in link else f"No longer possible: {error.message}"
                        for error in errors.errors if error.field in values}
    return values, {}


async def _groups_of(username):
    """The names of the user's groups; None where this machine does not know the user, or not soon enough."""
    try:
        # The directory of users may be elsewhere and slow.
        return await asyncio.wait_for(asyncio.to_thread(_groups, username), PATIENCE)
    except (KeyError, asyncio.TimeoutError, OSError):
        return None


def _groups(username):
    user = pwd.getpwnam(username)
    return frozenset(grp.getgrgid(number).gr_name for number in os.getgrouplist(username, user.pw_gid))
