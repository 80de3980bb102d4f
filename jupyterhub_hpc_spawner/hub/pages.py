"""What the browser asks for beside JupyterHub's own pages: our static files, the form's check, a cancel by form."""
import hashlib
import json
from dataclasses import asdict
from datetime import datetime, timezone
from functools import cache, partial
from importlib.resources import files
from pathlib import Path

from jupyterhub import apihandlers, handlers
from jupyterhub.apihandlers.users import UserServerAPIHandler
from jupyterhub.handlers.static import CacheControlStaticFilesHandler
from jupyterhub.utils import url_path_join
from tornado import web

from ..errors import ConfigError, OptionErrors
from ..form_data import follow
from ..outlook import by_estimate, outlook
from . import ending, estimates, offering, overview, private
from .failures import field_of

TEMPLATES = Path(files("jupyterhub_hpc_spawner.templates"))
STATIC = TEMPLATES / "static"
# JupyterHub's pages that are ours.
PAGES = TEMPLATES / "pages"
MAX_BODY = 16384


def static_url(base_url, name):
    """The address of one of our files; it changes with the file, so browsers may keep it."""
    return url_path_join(base_url, "hpc-spawner/static", name) + "?v=" + _digest(name)


def form_addresses(spawner):
    """(``static`` and ``preview`` of ``form.render``)."""
    base_url = spawner.hub.base_url
    return partial(static_url, base_url), url_path_join(base_url, "api/hpc-spawner/preview")


def add_pages(spawner):
    """Our pages in place of JupyterHub's own, where there is a Hub: for ``render`` there is none."""
    if spawner.hub:
        private.add_pages(spawner, str(PAGES), hpc_static=partial(static_url, spawner.hub.base_url),
                          hpc_sessions=overview.sessions, hpc_title=private.title,
                          hpc_failure=private.kept_failure)


def last_time(spawner, templates):
    """Why the last start failed, or the last session ended, for the top of the form; "" where JupyterHub says it there
    already, or neither happened."""
    request = getattr(spawner.handler, "request", None)
    if request is None or request.method != "GET":
        return ""
    failure, ended = private.kept_failure(spawner.user, spawner.name), ending.kept(spawner)
    if failure is None and ended is None:
        return ""
    colour, title = ("danger", "The last start failed") if failure else ("warning", "Your last session has ended")
    said = templates.get_template("pages/hpc_failure.html").render(failure=failure or ended)
    return (f'<div class="alert alert-{colour} hpc-failed" id="hpc-failed" role="alert"><h2 class="h5">{title}</h2>'
            f"{said}</div>")


@cache
def _digest(name):
    return hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]


class PreviewHandler(apihandlers.APIHandler):
    """``POST /hub/api/hpc-spawner/preview``: what is wrong with these options, what they cost, when they may start.

    The same check as at the start, from what is known already: nothing is started, and no command is waited for.
    """

    @web.authenticated
    async def post(self):
        user = self.current_user
        if user is None or not hasattr(user, "spawners"):
            raise web.HTTPError(403, "The form is for users")
        if len(self.request.body) > MAX_BODY:
            raise web.HTTPError(413, "Too much for a form")
        try:
            values = json.loads(self.request.body)
        except (ValueError, RecursionError):
            raise web.HTTPError(400, "Not JSON") from None
        spawner = user.spawners[""]
        await spawner.apply_group_overrides()
        await offering.look(spawner, patience=0)
        try:
            info = spawner.offer
            beside = follow(spawner.policy, info, values) if isinstance(values, dict) else {}
            options = spawner.parse_options(values)
        except OptionErrors as errors:
            self.finish({"errors": {error.field: error.message for error in errors.errors}, **beside})
        except ConfigError as error:  # told to the administrator at every start, not at every key
            raise web.HTTPError(503, str(error)) from None
        else:
            self.finish({**_preview(spawner, info, options), **beside})


def _preview(spawner, info, options):
    """What is known of the request now; ``asking``: more may be known if one asks again in a moment. ``refused`` is by
    field: the batch system would not start it now, and may be asked to all the same."""
    found = outlook(options, info, spawner.user.name)
    estimate, asking = estimates.look(spawner, options)
    field = field_of(estimate.refusal) if estimate else ""
    if estimate is not None:
        found = by_estimate(found, estimate, spawner.cluster.system.title, datetime.now(timezone.utc))
    return {"errors": {}, "refused": {field: found.problem} if field else {}, **asdict(found),
            "start": found.start and found.start.timestamp(), "asking": asking}


class CancelHandler(UserServerAPIHandler):
    """``POST /hub/api/hpc-spawner/cancel/USER[/SERVER]``: JupyterHub's DELETE, for a browser without scripts."""

    def check_post_content_type(self):
        return True  # a form's; its XSRF token is checked like any other

    async def post(self, user_name, server_name=""):
        await self.delete(user_name, server_name or "")
        self.redirect(url_path_join(self.hub.base_url, "home"))


def register():
    page = (r"/hpc-spawner/static/(.*)", CacheControlStaticFilesHandler, {"path": str(STATIC)})
    preview = (r"/api/hpc-spawner/preview", PreviewHandler)
    cancel = (r"/api/hpc-spawner/cancel/([^/]+)(?:/([^/]+))?", CancelHandler)
    for known, entry in ((handlers.default_handlers, page), (apihandlers.default_handlers, preview),
                         (apihandlers.default_handlers, cancel)):
        if entry[0] not in [each[0] for each in known]:
            known.append(entry)
