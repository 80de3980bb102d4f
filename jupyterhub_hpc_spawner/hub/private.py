"""The few things that JupyterHub has no public name for, in one place; tested on the oldest and newest supported."""
import asyncio
import time
from functools import wraps
from types import SimpleNamespace
from urllib.parse import urlsplit

import jupyterhub
import sqlalchemy
from jupyterhub import orm
from jupyterhub.app import JupyterHub
from jupyterhub.utils import utcnow

from ..form import read
from .commands import within
from .failures import StartFailed

_TYPED = "_hpc_typed"
_LINK = "_hpc_link"
_FAILURES = "_hpc_failures"


def at_hub_start(cls):
    """``cls.begin(app)`` when the Hub has made its web application, where its spawners are of this class.

    JupyterHub has no hook for it: a spawner comes to be when somebody comes.
    """
    make = JupyterHub.init_tornado_application

    @wraps(make)
    def make_and_begin(app):
        make(app)
        if issubclass(app.spawner_class, cls):
            app.spawner_class.begin(app)
    JupyterHub.init_tornado_application = make_and_begin


def shared(spawner, name, make):
    """An object that all spawners of this Hub share; it lives in the web application's settings."""
    settings = spawner.user.settings
    if name not in settings:
        settings[name] = make()
    return settings[name]


def add_pages(spawner, directory, **names):
    """Have JupyterHub use the templates of this directory, where the site has none of its own of that name."""
    environments = [spawner.user.settings[name] for name in ("jinja2_env", "jinja2_env_sync")]
    _, pages = environments[0].loader.loaders
    if directory not in pages.searchpath:
        pages.searchpath.insert(len(pages.searchpath) - 1, directory)  # the last is JupyterHub's own
    for environment in environments:
        environment.globals.update(names)


def persist(spawner):
    """Write the spawner's state now, where it is another: JupyterHub writes it only after a start has succeeded."""
    state = spawner.get_state()
    if state != spawner.orm_spawner.state:
        spawner.orm_spawner.state = state
        sqlalchemy.inspect(spawner.orm_spawner).session.commit()


def token_number(spawner):
    """The server's token in the Hub's database, which has no token itself, only what it is known by."""
    token = orm.APIToken.find(sqlalchemy.inspect(spawner.orm_spawner).session, spawner.api_token)
    return token.id if token else 0


def revoke(spawner, number):
    """That token is good for nothing any more. JupyterHub does the same for a token that it made itself, but does not
    know one of the Hub before."""
    db = sqlalchemy.inspect(spawner.orm_spawner).session
    token = db.get(orm.APIToken, number) if db and number else None
    if token and token.user is spawner.orm_spawner.user:
        db.delete(token)
        db.commit()


def used(spawner):
    """Activity of now: the last that JupyterHub knows is from before the wait in the queue."""
    spawner.orm_spawner.last_activity = utcnow(with_tz=False)
    sqlalchemy.inspect(spawner.orm_spawner).session.commit()  # the next request would roll it back


def resume(spawner, listening):
    """After a restart of the Hub: show the server as starting, with progress and cancel, until ``listening`` is done.

    JupyterHub would wait for the server for ``http_timeout`` seconds, and all other servers with it, and then stop
    the job: its question whether the server is up is answered yes, and asked again when there is one.
    """
    spawner.server.wait_up = _said_to_be_up
    spawner._spawn_pending = True
    spawner._spawn_future = asyncio.ensure_future(_resume(spawner, listening))


async def _said_to_be_up(**ignored):
    return SimpleNamespace(headers={"X-JupyterHub-Version": jupyterhub.__version__})


async def _resume(spawner, listening):
    server, user = spawner.server, spawner.user
    try:
        url = urlsplit(await within(spawner.start_timeout, listening))
        server.proto, server.ip, server.port = url.scheme, url.hostname, url.port
        sqlalchemy.inspect(spawner.orm_spawner).session.commit()
        del server.wait_up
        await user._wait_up(spawner)
        await user.settings["proxy"].add_user(user, spawner.name)
    except asyncio.CancelledError:
        # JupyterHub's own stop follows, and asks this task for its exception: a cancelled task would raise there.
        raise StartFailed(409, "The start was cancelled.", advice=("Start it again when you like.", "again")) from None
    except Exception:
        spawner._spawn_pending = False
        await user.stop(spawner.name)
        raise
    finally:
        spawner._spawn_pending = False


def given_up(spawner):
    """Why JupyterHub itself ends a start, one of ``metrics.CAUSES``; "" where a user does."""
    return "unreachable" if spawner._waiting_for_response else "timeout" if spawner.late else ""


async def timed(spawner, work):
    """``work(begin)``, a start; ``spawner.late`` where JupyterHub's own limit cancels it, and not the user."""
    begin, spawner.late = time.monotonic(), False
    try:
        return await work(begin)
    except asyncio.CancelledError:
        spawner.late = time.monotonic() - begin > spawner.start_timeout - 0.1
        raise


def keep_typed(spawner, values):
    """Keep what was typed into a server's form until its job is there: the page that answers a refused form is made by
    the default server's spawner, and a refusal that comes late is answered by a form that is asked for later."""
    _typed(spawner)[spawner.name] = (values, {})


def refuse(spawner, errors):
    """Say why the form did not do, by field; what has no field is said above the form."""
    values, _ = _typed(spawner).get(spawner.name) or (prefill(spawner), {})
    _typed(spawner)[spawner.name] = (values, {name: text for name, text in errors.items() if name})


def forget_typed(spawner):
    _typed(spawner).pop(spawner.name, None)


def _typed(spawner):
    """(values, errors) by server: on the user, as JupyterHub makes a new spawner after a failure."""
    return spawner.user.__dict__.setdefault(_TYPED, {})


def refused(spawner):
    """((values, errors) of what was refused, once, or None; the values of the link that leads to the form).

    Only a request for the form (GET) has a ``_LINK``: without one, this answers a form that was sent.
    """
    typed, link = _typed(spawner), vars(spawner.handler).pop(_LINK, None) if spawner.handler else None
    if link is None and typed:
        return typed.popitem()[1], {}
    mine = typed.pop(spawner.name, None)
    return (None if link else mine), link or {}


def keep_failure(spawner, failure):
    """Keep why this server did not start, or None, for pages that are made by another spawner; ``failure`` again."""
    failures = vars(spawner.user).setdefault(_FAILURES, {})
    failures[spawner.name] = failure
    if failure and spawner.session:
        failure.belongs_to(spawner.session, title(spawner))
    return failure


def kept_failure(user, name):
    return vars(user).get(_FAILURES, {}).get(name)


def title(spawner):
    """A named server's name for people, which JupyterHub 6 has beside its own; "" for the default server."""
    return spawner.name and (getattr(spawner, "display_name", "") or spawner.name)


def keep_end(orm_spawner, end):
    """Write how this server's last session ended, or None. Beside the session's state, and longer: what JupyterHub
    clears is the session's."""
    db = sqlalchemy.inspect(orm_spawner).session
    if db and end != kept_end(orm_spawner):  # there is none where the server has been removed
        orm_spawner.state = {**(orm_spawner.state or {}), "ended": end}
        db.commit()


def kept_end(orm_spawner):
    return orm_spawner.state.get("ended") if sqlalchemy.inspect(orm_spawner).session and orm_spawner.state else None


def unwrap(user_options):
    """The options of a REST body: JupyterHub 5 hands on the whole body where 6 takes out ``user_options``."""
    if isinstance(user_options, dict) and user_options.keys() <= {"user_options", "display_name"}:
        return user_options.get("user_options") or {}
    return user_options


def prefill(spawner):
    """The options of the last time."""
    saved = unwrap(spawner.orm_spawner.user_options)
    return dict(saved) if isinstance(saved, dict) else {}


def take_link(spawner):
    """Move the options of a link out of the spawn page's request, where JupyterHub would start a server for them."""
    request = getattr(spawner.handler, "request", None)
    if request is not None and request.method == "GET":
        words = {key: request.query_arguments.pop(key) for key in list(request.query_arguments)
                 if key not in ("next", "display_name")}
        setattr(spawner.handler, _LINK, read({
            key.removeprefix("opt-"): [word.decode(errors="replace") for word in values]
            for key, values in words.items()}))
