"""Between the form and the browser: what goes there so that fields follow each other, as plain JSON, and what comes
back, or by a link.

It comes from the same functions that the answer is checked with; the browser only shows it.
"""
import json

from .errors import OptionErrors
from .fields import is_on
from .fitting import candidates, fitting
from .limits import limits, write
from .options import Options, parse_options

# Options that are boxes.
_BOXES = tuple(name for name, field in Options.model_fields.items() if field.default is False)
_FOLLOWED = ("queue", "node_type", "gpu_type", "account")
# The hidden field of a browser without scripts: what the other fields held when the form was shown, as JSON.
SHOWN = "as_shown"


def rules(policy, info):
    """``presets`` by name: what they fill in and what they fix; ``titles`` by field and value, where they differ;
    ``ticked``: the boxes that the site ticks."""
    titles = {field: {value: choice.title for value, choice in choices.items() if choice.title != value}
              for field, choices in info.choices.items()}
    return {"titles": {field: found for field, found in titles.items() if found},
            "ticked": [name for name in _BOXES if is_on(policy.defaults.get(name))],
            "presets": {name: {"values": {key: _text(key, value) for key, value in profile.options.items()},
                               "lock": list(profile.lock)} for name, profile in policy.profiles.items()}}


def follow(policy, info, values):
    """What the other fields may hold beside these values, which may be anything.

    ``limits``: (largest value, sentence) by field; ``choices``: values by field, where not all go with the others;
    ``defaults``: what an open field means.
    """
    queue, node_type, gpu_type, account = (_word(values.get(name)) for name in _FOLLOWED)
    found = limits(policy, info, queue, node_type, gpu_type)
    defaults = {each.default_walltime for each in candidates(info, queue)}
    return {"limits": {name: [write(name, limit.value), str(limit)] for name, limit in found.items()},
            "choices": fitting(info, queue, node_type, account),
            "defaults": {"walltime": write("walltime", *defaults)} if len(defaults) == 1 and None not in defaults
            else {}}


def from_link(link, saved, policy, info):
    """What the form shows for a link: to everybody the same, whatever they chose last time. {} where it says nothing
    of the session.

    Only the account of last time is kept, where the link leaves it to the user and it goes with the rest: who follows
    a link pays for it. A quality of service goes with an account and has limits, and what a notebook needs is in its
    environment: of those the link means the site's own.
    """
    if not link.keys() & Options.model_fields.keys():
        return {}
    profile = policy.profiles.get(link.get("profile"))
    if not saved.get("account") or "account" in link or (profile and "account" in profile.options):
        return dict(link)
    values = {"account": saved["account"], **link}
    try:
        parse_options(values, policy, info)
    except OptionErrors as errors:
        return dict(link) if any(error.field == "account" for error in errors.errors) else values
    return values


def counted(values):
    """What counts of a form that was sent. A script fills in the preset that is chosen; without one, fields still hold
    what was shown with another preset: where they were not touched, they say nothing. A box that was ticked and is not
    any more says so.

    It can only leave out what the user might have left out. A hidden field that we did not make stays, and is refused
    as no option.
    """
    shown = _as_shown(values.get(SHOWN))
    if shown is None:
        return values
    sent = {name: value for name, value in values.items() if name != SHOWN}
    unticked = {name: "off" for name in _BOXES if shown.get(name) == "on" and name not in sent}
    if sent.get("profile", "") not in ("", shown.get("profile", "")):
        sent = {name: value for name, value in sent.items() if name == "profile" or value != shown.get(name)}
    return {**sent, **unticked}


def _as_shown(text):
    try:
        shown = json.loads(text or "null")
    except (ValueError, RecursionError):
        return None
    known = isinstance(shown, dict) and shown.keys() <= Options.model_fields.keys()
    return shown if known and all(isinstance(value, str) for value in shown.values()) else None


def _word(value):
    return value if isinstance(value, str) and value else None


def _text(name, value):
    """As the field takes it: a number is minutes there, or megabytes, as it is in the site's configuration."""
    if name in _BOXES:
        return "on" if is_on(value) else ""
    return str(value)
