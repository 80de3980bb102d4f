"""The few things that JupyterHub has no public name for, in one place; tested on the oldest and newest supported."""
import sqlalchemy

from ..form import read

_REJECTED = "_hpc_rejected_form"
_LINK = "_hpc_link"


def shared(spawner, name, make):
    """An object that all spawners of this Hub share; it lives in the web application's settings."""
    settings = spawner.user.settings
    if name not in settings:
        settings[name] = make()
    return settings[name]


def persist(spawner):
    """Write the spawner's state now: JupyterHub writes it only after a start has succeeded."""
    spawner.orm_spawner.state = spawner.get_state()
    sqlalchemy.inspect(spawner.orm_spawner).session.commit()


def reject(user, values, errors):
    """Keep a refused form for the page that answers it: that page is made by the default server's spawner."""
    setattr(user, _REJECTED, (values, errors))


def rejected(user):
    """(values, errors) of the form that was just refused, once; None otherwise."""
    found = getattr(user, _REJECTED, None)
    setattr(user, _REJECTED, None)
    return found


def unwrap(user_options):
    """The options of a REST body: JupyterHub 5 hands on the whole body where 6 takes out ``user_options``."""
    if isinstance(user_options, dict) and user_options.keys() <= {"user_options", "display_name"}:
        return user_options.get("user_options") or {}
    return user_options


def prefill(spawner):
    """What the form shows: the link's values over those of the last time."""
    saved = unwrap(spawner.orm_spawner.user_options)
    values = dict(saved) if isinstance(saved, dict) else {}
    values.update(getattr(spawner.handler, _LINK, {}))
    return values


def take_link(spawner):
    """Move the options of a link out of the spawn page's request, where JupyterHub would start a server for them."""
    request = getattr(spawner.handler, "request", None)
    if request is not None and request.method == "GET":
        words = {key: request.query_arguments.pop(key) for key in list(request.query_arguments)
                 if key not in ("next", "display_name")}
        setattr(spawner.handler, _LINK, read({
            key.removeprefix("opt-"): [word.decode(errors="replace") for word in values]
            for key, values in words.items()}))
