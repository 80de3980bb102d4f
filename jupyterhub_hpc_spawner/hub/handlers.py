"""The job's call-back: ``POST /hub/api/hpc-spawner/report``."""
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Literal

from batchspawner.api import BatchSpawnerAPIHandler
from jupyterhub import apihandlers
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from tornado import web

from . import credentials

MAX_BODY = 8192


class Report(BaseModel):
    """All that a job can say. Nothing else is accepted, and none of it names a setting."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    session: Annotated[str, Field(max_length=80)]
    secret: Annotated[str, Field(max_length=80)]
    phase: Literal["started", "listening", "failed", "ended"]
    address: IPv4Address | IPv6Address
    port: Annotated[int, Field(ge=1, le=65535)] = 0
    message: Annotated[str, Field(max_length=1000)] = ""


class ReportHandler(apihandlers.APIHandler):
    """Takes a report from a session's own job: the server's token finds the user, the secret proves the job."""

    @web.authenticated
    async def post(self):
        user = self.current_user
        if len(self.request.body) > MAX_BODY or user is None or not hasattr(user, "spawners"):
            raise web.HTTPError(403, "Reports come from a session's own job")
        try:
            report = Report.model_validate_json(self.request.body)
        except ValidationError as error:
            raise web.HTTPError(400, f"Not a report: {error.error_count()} bad fields") from None
        for spawner in list(user.spawners.values()):
            session = getattr(spawner, "session", None)
            if session and session.state.name == report.session and credentials.matches(
                    report.secret, session.state.digest):
                spawner.take_report(report, self._peer())
                self.set_status(204)
                return
        raise web.HTTPError(403, "There is no such session, or this is not its job")

    def _peer(self):
        """The address at the other end of the connection, whatever X-Forwarded-For says."""
        return self.request.connection.stream.socket.getpeername()[0].partition("%")[0].removeprefix("::ffff:")


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
    ours = {r"/api/batchspawner": BatchSpawnerRoute, r"/api/hpc-spawner/report": ReportHandler}
    kept = [entry for entry in apihandlers.default_handlers if entry[0] not in ours]
    apihandlers.default_handlers[:] = [*kept, *ours.items()]
