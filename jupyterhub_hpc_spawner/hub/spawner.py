"""HPCSpawner: JupyterHub's view of a session. Thin: what it does is done in the other rooms."""
import asyncio
import time
from functools import partial
from types import SimpleNamespace

from ..errors import ConfigError, HelperError, NoAnswer, OptionError, OptionErrors, QueryError, SubmitError
from ..model import JobState, JobStatus
from ..runtimes import wanted_runtimes
from . import certificates, ending, extra, handlers, metrics, pace, pages, private, staging
from .choosing import Choosing
from .commands import within
from .failures import StartFailed, bad_options, field_of
from .session import LOG_LINES, Session
from .session_log import SessionLog

handlers.register()
pages.register()
pace.register()

STOP_TIMEOUT = 20


class HPCSpawner(Choosing):
    """Sessions as batch jobs, with Dask and IPyParallel already connected."""

    replaces_batchspawner = paced = True
    session = _submission = None
    late = False

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        metrics.watch(self)

    @classmethod
    def begin(cls, app):
        """With the Hub, before anyone comes: what the Hub before still owed is done, our pages are there, and a mistake
        in the configuration is told."""
        spawner = cls(config=app.config, parent=app, hub=app.hub)
        spawner.user = SimpleNamespace(name="", settings=app.tornado_settings)
        for step in (lambda: spawner.cluster.owed.load(), lambda: spawner.policy):
            try:
                step()
            except ConfigError as error:
                app.log.error("HPCSpawner: %s", error)
        if name := certificates.missing_name(app):
            app.log.error("HPCSpawner: internal_ssl: the Hub's certificate is not for its own address, so no job can "
                          "call it. Add %r to c.JupyterHub.trusted_alt_names, and set "
                          "c.JupyterHub.recreate_internal_certs = True for one start.", name)

    def render(self, options, session):
        """(JobRequest, text that is submitted, further files by name) of these Options."""
        return staging.render(self, options, session.state.name, session.state.directory)

    def new_session(self):
        return Session.new(staging.session_root(self), SessionLog(self), partial(private.persist, self))

    async def start(self):
        """Submit the job and wait until its server answers; the URL of the server."""
        return await private.timed(self, self._start)

    async def _start(self, begin):
        options = await self.check_options(self.user_options)
        private.keep_failure(self, None)
        private.keep_end(self.orm_spawner, None)
        try:
            await staging.find_home(self)
        except HelperError as error:
            raise private.keep_failure(self, StartFailed.not_submitted(error)) from error
        self.check_number()  # and no await before there is a session: of starts at once each counts
        self.session = self.new_session()
        self.session.state.token = private.token_number(self)
        self.session.reach("asked")
        self.session.tell(5, "Submitting the job.",
                          runtimes=[type(runtime).__name__ for runtime in wanted_runtimes(options)])
        # The job's name is known before there is a job: a Hub that ends now finds it again.
        private.persist(self)
        # Shielded: a start that is cancelled now must still learn the job's id, or the job would be lost.
        self._submission = asyncio.ensure_future(self._submit(options))
        try:
            await asyncio.shield(self._submission)
        except StartFailed as failure:
            raise private.keep_failure(self, failure) from failure.__cause__
        return await self._listening(begin)

    @metrics.start()
    async def _listening(self, begin):
        """The URL of the server, as soon as the job says that it answers. Raises StartFailed.

        Gives up a little before JupyterHub would, which counts from ``begin`` and says nothing of the job and its log.
        """
        patience = begin + self.start_timeout - min(30, self.start_timeout / 10) - time.monotonic()
        try:
            self.ip, self.port = await within(patience, self.session.listening(self.cluster.poller))
        except asyncio.TimeoutError:
            raise private.keep_failure(self, self._too_late()) from None
        except StartFailed as failure:
            self.session.log.error("The session could not start: %r", failure.summary)
            private.keep_failure(self, failure)  # now: JupyterHub may give up before there is the log
            failure.details = await asyncio.shield(self._clean_up())
            raise
        host = f"[{self.ip}]" if ":" in self.ip else self.ip
        return f"{'https' if self.internal_ssl else 'http'}://{host}:{self.port}"

    def _too_late(self):
        state = self.session.state
        failure = StartFailed.too_late(state.job_id, self.start_timeout, state.steps[-1]["step"])
        self.session.log.error("The session could not start: %r", failure.summary)
        return failure

    async def get_url(self):
        """Asked after a restart of the Hub: a session that had not started yet goes on starting."""
        if self.session is None or self.session.over:
            return await super().get_url()
        if self.session.has("listening"):
            return await self._listening(time.monotonic())
        private.resume(self, private.timed(self, self._resumed))
        return await super().get_url()

    async def _resumed(self, begin):
        while not await self._has_job():
            if self.session.over:
                raise private.keep_failure(self, StartFailed(
                    503, "The Hub was restarted before there was a job. Start your session again.",
                    advice=("Nothing is wrong with your request. Try again.", "again")))
            await asyncio.sleep(self.status_interval)
        return await self._listening(begin)

    async def _has_job(self):
        """Whether the session's job is known. One that a Hub submitted which has ended since is looked for."""
        if self.session.state.job_id or self.session.over:
            return not self.session.over
        try:
            job_id = await self.cluster.find(self.user.name, self.session.state.name)
        except (QueryError, HelperError) as error:
            self.session.log.warning("Whether there is a job is not known: %s", error)
            return False
        if job_id:
            self._submitted(job_id)
        else:
            self.session.state.goodbye = ending.NO_JOB
            await self._clean_up()
        return bool(job_id)

    @metrics.start()
    async def _submit(self, options):
        session = self.session
        try:
            request, text, files = self.render(options, session)
            files.update(staging.session_files(self, options, session, request, self.cluster.system))
            self._submitted(await self.cluster.submit(self.user.name, request, text, files))
        except OptionError as error:  # of what this batch system takes as a node type, say
            session.over = True  # there is no job: nobody need look for it
            private.refuse(self, {error.field: error.message})
            raise bad_options(OptionErrors([error])) from error
        except SubmitError as error:
            session.over = True
            private.refuse(self, {field_of(error): str(error)})
            raise StartFailed.refused(error) from error
        except (ConfigError, HelperError, QueryError) as error:
            session.over = not isinstance(error, (NoAnswer, QueryError))
            session.log.error("No job: %s", error)
            raise StartFailed.not_submitted(error) from error

    def _submitted(self, job_id):
        session = self.session
        session.state.job_id = job_id
        session.reach("submitted")
        session.tell(20, f"Job {job_id} is submitted.")
        private.forget_typed(self)
        private.persist(self)
        self.cluster.poller.watch(job_id, self.user.name)

    async def poll(self):
        """None while the job may be there, also when nobody knows; 0 after its end."""
        if self._submission and not self._submission.done():
            return None
        session = self.session
        if session is None or session.over:
            return 0
        if session.stop_left_over:  # by a Hub that ended while it stopped the session
            await self.stop()
            return 0
        if not await self._has_job():
            if session.over:
                ending.keep(self, session, JobStatus(JobState.FINISHED), "")
            return 0 if session.over else None
        if not session.has("ended"):
            patience = max(10, 3 * self.status_interval)
            status = await self.cluster.poller.answered(session.state.job_id, self.user.name, patience)
            if session.over:  # a stop, or another poll, was quicker
                return 0
            if status.state != JobState.FINISHED and not session.put_back(self.cluster.poller):
                extra.jobs_of(self).watch()
                return None
            if session.has("listening"):
                metrics.failed("lost")
        await self._keep_end(session)
        return 0

    async def _keep_end(self, session):
        """Of a session that nobody stopped here: why it ended, for its user. A job that the batch system only lacks is
        cancelled: should that have been a wrong answer, it does not run on without its session."""
        status = self.cluster.poller.status(session.state.job_id)
        if self.cluster.poller.lacks(session.state.job_id) and not session.has("ended"):
            await self.cluster.cancel(self.user.name, session.state.job_id)
        end = await self._clean_up()
        kept = ending.keep(self, session, status, end)  # JupyterHub may have cleared self.session meanwhile
        session.log.warning("The session has ended by itself: %s; the end of its log: %r", kept.why, end[-1000:])
        if status.state != JobState.FINISHED:
            asyncio.ensure_future(ending.last_word(self, kept, session.state.goodbye))

    async def stop(self, now=False):
        """End the job and remove its directory; ``now`` does not wait for the job's own orderly end."""
        if self._submission:
            await asyncio.wait([self._submission])
            if self.late and isinstance(failure := self._submission.exception(), StartFailed):
                private.keep_failure(self, failure)
        if self.session is None:
            return
        self.session.state.stopping = True
        private.persist(self)
        if not await self._has_job():
            return
        self.cluster.poller.watch(self.session.state.job_id, self.user.name, submitted=False)  # not yet by a new Hub
        self.session.log.info("The session is stopped")
        failure = private.kept_failure(self.user, self.name) or self._given_up()
        await asyncio.gather(self.cluster.cancel(self.user.name, self.session.state.job_id),
                             extra.jobs_of(self).cancel_all())
        if not now:
            try:
                await within(STOP_TIMEOUT, self.session.ended(self.cluster.poller))
            except asyncio.TimeoutError:
                self.session.log.warning("The job was cancelled and has not ended yet; it will be cancelled again")
                self.cluster.owed.add(self.user.name, self.session.state.job_id)
        log = await self._clean_up(0 if now else STOP_TIMEOUT)
        if failure:
            failure.details = log

    def _given_up(self):
        """Where JupyterHub itself ended the start: its own word for it, a TimeoutError, says nothing of the job."""
        cause = private.given_up(self)
        if not cause:
            return None
        metrics.failed(cause)
        return private.keep_failure(self, self._too_late() if cause == "timeout" else StartFailed.unreachable(
            self.session.state.job_id, f"{self.ip}:{self.port}", self.http_timeout))

    async def _clean_up(self, patience=STOP_TIMEOUT):
        """The end of the session's log; its directory is removed, its token is good for nothing, and nobody asks for
        its jobs any more."""
        session = self.session
        await extra.jobs_of(self).end(patience)
        session.reach("ended")
        session.over = True
        self.cluster.poller.forget(session.state.job_id)
        private.revoke(self, session.state.token)
        return await self.cluster.end(self.user.name, session.state.directory, LOG_LINES)

    async def take_report(self, report, peer):
        """The job's call-back, after it proved itself. A quick job's may come before its submission is answered."""
        session = self.session
        if self._submission:
            await asyncio.wait([self._submission])
        session.report(report, peer)
        private.used(self)
        private.persist(self)
        if report.phase == "ended" and self._poll_callback:
            asyncio.ensure_future(self.poll_and_notify())

    def certify(self, shown):
        """The certificate for a server where the job runs, and for the key of what the job showed."""
        return certificates.server_certificate(self, shown, self.session.host(self.cluster.poller))

    async def progress(self):
        """The waiting page's lines."""
        while self.session is None:
            await asyncio.sleep(0.05)
        async for event in self.session.follow():
            yield event

    def get_state(self):
        state = super().get_state()
        if self.session is not None:
            state["session"] = self.session.dump()
        if end := private.kept_end(self.orm_spawner):
            state["ended"] = end
        return state

    def load_state(self, state):
        super().load_state(state)
        if "session" in state:
            self.session = Session.load(state["session"], SessionLog(self), partial(private.persist, self))

    def clear_state(self):
        super().clear_state()
        self.session = self._submission = None


private.at_hub_start(HPCSpawner)
