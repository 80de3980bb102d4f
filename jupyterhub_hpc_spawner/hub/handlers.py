"""What a session says to the Hub: ``POST /hub/api/hpc-spawner/report`` from its job, ``…/jobs/…`` from notebooks."""
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Literal

from batchspawner.api import BatchSpawnerAPIHandler
from jupyterhub import apihandlers
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from tornado import web

from ..options import readable
from . import credentials
from .extra import jobs_of

MAX_BODY = 8192
RuntimeName = Literal["dask", "ipyparallel"]


class Proof(BaseModel):
    """What every message begins with: the session and its secret."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    session: Annotated[str, Field(max_length=80)]
    secret: Annotated[str, Field(max_length=80)]


class Report(Proof):
    """All that a job can say. Nothing else is accepted, and none of it names a setting."""

    phase: Literal["started", "listening", "runtimes", "failed", "ended"]
    address: IPv4Address | IPv6Address
    port: Annotated[int, Field(ge=1, le=65535)] = 0
    message: Annotated[str, Field(max_length=1000)] = ""
    runtimes: dict[RuntimeName, Literal["running", "failed"]] = {}
    seconds: Annotated[float, Field(ge=0, le=10 ** 6)] = 0


Count = Annotated[int, Field(ge=1, le=10000)]
Seconds = Annotated[float, Field(gt=0, le=10 ** 9)]


class Wish(Proof):
    """An extra job. ``options`` are the vocabulary's and checked where all options are; counts are per node."""

    runtime: RuntimeName
    options: Annotated[dict[Annotated[str, Field(max_length=40)], Annotated[str, Field(max_length=200)] | int | None],
                       Field(max_length=20)] = {}
    name: Annotated[str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9_.-]{0,60})?$")] = ""
    workers: Count = 1
    threads: Count | None = None
    lifetime: Seconds | None = None
    stagger: Seconds | None = None
    engines: Count | None = None

    def settings(self, label):
        """What the job is told of its workers, by their runtime's part."""
        workers = {"name": label, "lifetime": self.lifetime, "stagger": self.stagger}
        return {"workers": workers} if self.runtime == "dask" else {}


class Choice(Proof):
    """One of the session's extra jobs."""

    job_id: Annotated[str, Field(min_length=1, max_length=100)]


class SessionHandler(apihandlers.APIHandler):
    """Messages from a session: the server's own token finds the user, the secret proves the session."""

    def read(self, kind):
        """(the session's spawner, the message)."""
        user, token = self.current_user, self.get_token()
        if len(self.request.body) > MAX_BODY or token is None or not hasattr(user, "spawners"):
            raise web.HTTPError(403, "Only for a session's own job and notebooks")
        try:
            message = kind.model_validate_json(self.request.body)
        except ValidationError as error:
            raise web.HTTPError(400, f"Not a {kind.__name__.lower()}: {_bad_fields(error)}") from None
        for spawner in list(user.spawners.values()):
            session = getattr(spawner, "session", None)
            if (session and session.state.name == message.session and session.state.token == token.id
                    and credentials.matches(message.secret, session.state.digest)):
                return spawner, message
        raise web.HTTPError(403, "There is no such session, or this is not its own")


class ReportHandler(SessionHandler):
    """The job's call-back."""

    @web.authenticated
    async def post(self):
        spawner, report = self.read(Report)
        await spawner.take_report(report, self._peer())
        if report.phase == "started" and spawner.internal_ssl:
            shown = self.request.get_ssl_certificate(binary_form=True)
            self.write({"certificate": spawner.certify(shown)})
        else:
            self.set_status(204)

    def _peer(self):
        """The address at the other end of the connection; "" where that is a proxy's, whatever it says of others."""
        if "X-Forwarded-For" in self.request.headers:
            return ""
        return self.request.connection.stream.socket.getpeername()[0].partition("%")[0].removeprefix("::ffff:")


class ExtraJobsHandler(SessionHandler):
    """``jobs/submit``, ``jobs/cancel`` and ``jobs/list``, see ``notebook/jobs.py``."""

    @web.authenticated
    async def post(self, verb):
        if verb == "submit":
            spawner, wish = self.read(Wish)
            self.write({"job_id": await jobs_of(spawner).submit(wish)})
        elif verb == "cancel":
            spawner, choice = self.read(Choice)
            await jobs_of(spawner).cancel(choice.job_id)
            self.set_status(204)
        else:
            spawner, _ = self.read(Proof)
            self.write({"jobs": jobs_of(spawner).show()})


def _bad_fields(error):
    """What is wrong by field, without the values: a secret is among them."""
    return "; ".join(f"{readable('.'.join(map(str, detail['loc']))[:64]) if detail['loc'] else 'body'}: {detail['msg']}"
                     for detail in error.errors(include_url=False, include_input=False)[:5])


class BatchSpawnerRoute(BatchSpawnerAPIHandler):
    """batchspawner's own call-back, registered when batchspawner is imported: gone from a Hub that runs HPCSpawner.

    JupyterHub imports every spawner that is installed, so a Hub that runs batchspawner's must keep it.
    """

    async def prepare(self):
        if getattr(self.settings["spawner_class"], "replaces_batchspawner", False):
            raise web.HTTPError(404)
        await super().prepare()


def register():
    """Our call-back in, and batchspawner's only where it is needed."""
    ours = {r"/api/batchspawner": BatchSpawnerRoute, r"/api/hpc-spawner/report": ReportHandler,
            r"/api/hpc-spawner/jobs/(submit|cancel|list)": ExtraJobsHandler}
    kept = [entry for entry in apihandlers.default_handlers if entry[0] not in ours]
    apihandlers.default_handlers[:] = [*kept, *ours.items()]
