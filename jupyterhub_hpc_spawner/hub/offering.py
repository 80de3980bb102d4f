"""What the user of a spawner may choose: the cluster's answer, the user's groups there, and what was chosen before."""
import asyncio
from datetime import datetime, timezone

from ..errors import HelperError, OptionErrors
from ..form_data import from_link
from ..model import ClusterInfo
from ..offers import offer, with_groups
from . import private
from .commands import within

PATIENCE = 2


def offer_of(spawner):
    """The Offer, as far as it is known: no command is run for it."""
    info = spawner.cluster.info if spawner.discover else ClusterInfo()
    return offer(spawner.policy, info, spawner.user.name, spawner.user_groups, datetime.now(timezone.utc))


async def look(spawner, patience=PATIENCE):
    """Have the cluster known: waits only for its very first answer, and for that ``patience`` seconds."""
    info = await spawner.cluster.known_info(patience) if spawner.discover else ClusterInfo()
    if any(each.groups or with_groups(each.users) for each in (*info.queues, *info.reservations)):
        spawner.user_groups = await _groups_of(spawner)


def filled_in(spawner):
    """(values, errors by field, where the values are from) of the form: what was refused, with the reasons; or what a
    link says; or the values of the last time. The errors say what of them is not possible."""
    refused, link = private.refused(spawner)
    if refused:
        return (*refused, "typed")
    told = from_link(link, private.prefill(spawner), spawner.policy, spawner.offer)
    values = told or {**private.prefill(spawner), **link}
    return values, _impossible(spawner, values, link), "link" if told else "last"


def _impossible(spawner, values, link):
    try:
        spawner.parse_options(values)
    except OptionErrors as errors:
        return {error.field: error.message if error.field in link else f"No longer possible: {error.message}"
                for error in errors.errors if error.field in values}
    return {}


async def _groups_of(spawner):
    """The names of the user's groups; None where this machine does not know the user, or not soon enough."""
    try:
        found = await within(PATIENCE, spawner.cluster.helper.accounts.groups(spawner.user.name))
    except (HelperError, asyncio.TimeoutError):
        return None
    return None if found is None else frozenset(found)
