"""One real job of a check, submitted by the road of every session; what it finds it writes into its log."""
import asyncio
import json
import time

from ...errors import HPCSpawnerError, OptionErrors, SubmitError
from ...model import JobState
from .. import credentials, staging
from ..commands import first_of, within
from ..failures import StartFailed
from ..session import Session
from .facts import JobFacts
from .findings import Said

MARK = "found: "
WALLTIME = "15m"
LOG_LINES = 200
END_PATIENCE = 60
CONNECT_TIMEOUT = 10
PAUSE = 1
LATE_LOG = 10
SHARED = "c.HPCSpawner.session_root must be on a file system that this machine and all nodes see"


class JobCheck:
    """The job of one software environment. ``peers`` are the addresses that asked our own listener, or None."""

    def __init__(self, spawner, environment, arguments, findings, peers):
        self.spawner = spawner
        self.cluster = spawner.cluster
        self.environment = environment
        self.arguments = arguments
        self.say = Said(findings, environment)
        self.session = spawner.session = Session.new(staging.session_root(spawner), spawner.log)
        self.facts = JobFacts(spawner, self.session, self.say, peers)
        self.seen, self.log = [], []

    async def run(self):
        # Shielded: whoever breaks off now must still learn the job's id, or it would be lost.
        submission = asyncio.ensure_future(self._submit())
        try:
            if await asyncio.shield(submission):
                await self._watch()
        finally:
            if await submission:
                await self._end()

    async def _watch(self):
        tasks = [asyncio.ensure_future(task) for task in (self._read_log(), self._show_progress())]
        try:
            await within(self.arguments.timeout, self._follow())
        except asyncio.TimeoutError:
            self._job_takes_too_long()
        except StartFailed:
            await self._job_failed()
        finally:
            for task in tasks:
                task.cancel()

    async def _submit(self):
        session = self.session
        session.tell(5, "Submitting the job.")
        try:
            options = self.spawner.parse_options(self._options())
            request, text, files = self.spawner.render(options, session)
            files.update(self._files(options, request))
            session.state.job_id = await self.cluster.submit(self.spawner.user.name, request, text, files)
        except OptionErrors as error:
            self.say.fail("job", f"the site refuses its options: {error}", "name others with --options")
        except SubmitError as error:
            self.say.fail("job", f"the batch system refused it: {error}", "what it needs besides goes into --options, "
                          "as users write it, or into the req_* settings")
        except HPCSpawnerError as error:
            self.say.fail("job", error, "see docs/troubleshooting.md")
        else:
            self.cluster.poller.watch(session.state.job_id, self.spawner.user.name)
            session.tell(20, f"Job {session.state.job_id} is submitted.")
            return True
        return False

    def _options(self):
        """As little as can be asked for, and what the administrator says."""
        options = {"dask": True, "dask_workers_per_node": 1, "dask_threads_per_worker": 1}
        if self.environment:
            options["environment"] = self.environment
        policy = self.spawner.policy
        if "walltime" not in policy.unsupported | policy.allowed.keys():
            options["walltime"] = WALLTIME
        return {**options, **self.arguments.options}

    def _files(self, options, request):
        """A session's, but for the token, which no Hub knows, and a word that keeps the server from starting."""
        self.spawner.api_token = credentials.new_secret()
        files = staging.session_files(self.spawner, options, self.session, request, self.cluster.system)
        files["plan.json"] = json.dumps({**json.loads(files["plan.json"]), "check": True})
        return files

    async def _show_progress(self):
        """The lines of the waiting page, while it would be shown."""
        async for event in self.session.follow():
            if event["step"] != "server":
                self.say.progress(event["message"])

    async def _read_log(self):
        while True:
            await self._read_log_once()
            await asyncio.sleep(PAUSE)

    async def _read_log_once(self):
        log = await self.cluster.end(self.spawner.user.name, self.session.state.directory, LOG_LINES, remove=False)
        self.log = log.splitlines()
        for line in self.log:
            if line.startswith(MARK) and line not in self.seen:
                try:
                    facts = json.loads(line[len(MARK):])
                except ValueError:
                    continue  # not yet whole
                self.seen.append(line)
                await self.facts.take(facts)

    async def _follow(self):
        """Until the job has said all; StartFailed where it ends before."""
        await self.back(*await self.session.listening(self.cluster.poller))
        await first_of(self.session.ended(self.cluster.poller), self.facts.all.wait())
        if not self.facts.all.is_set():
            await self._read_log_once()
        if not self.facts.all.is_set():
            raise StartFailed.job_ended(self.session.state.job_id, self._status(), "")

    def _status(self):
        return self.cluster.poller.status(self.session.state.job_id)

    async def back(self, host, port):
        """From here to the job, as the proxy will go."""
        ports = self.spawner.port_range
        try:
            reader, writer = await within(CONNECT_TIMEOUT, asyncio.open_connection(host, port))
            said = await within(CONNECT_TIMEOUT, reader.readline())
            writer.close()
            if said.decode(errors="replace").strip() != self.session.state.name:
                raise OSError("somebody else answers")
            self.say.ok("node from the Hub", f"{host} port {port} answers" + (
                f", of the range {ports[0]}-{ports[1]}" if ports[0] else ""))
        except (OSError, asyncio.TimeoutError) as error:
            self.say.fail("node from the Hub", f"{host} port {port}: {str(error) or 'no answer'}", "let the firewall "
                          "pass c.HPCSpawner.port_range from this machine (and the proxy's) to compute nodes")

    def _job_takes_too_long(self):
        known = self.session.state.steps[-1]["message"]
        what = f"not done within {self.arguments.timeout:g} s; the last that is known: {known}"
        if self._status().state == JobState.RUNNING and not self.seen:
            self.say.fail("job", f"{what} No line of its log is in {self.session.state.directory}", SHARED)
        else:
            self.say.fail("job", what, "wait longer with --timeout, or choose an emptier queue with --options")

    async def _job_failed(self):
        """The end of its log says why; a log that is not there does, too."""
        for _ in range(LATE_LOG):  # file systems show it late
            await self._read_log_once()
            if self.log:
                break
            await asyncio.sleep(PAUSE)
        ended = f"job {self.session.state.job_id} ended too early ({self._status().code or 'by itself'})"
        words = [line for line in self.log if line and not line.startswith(MARK)]
        if self.log:
            self.say.fail("job", f"{ended}: {self.session.message or ' / '.join(words[-3:])}",
                          "put right what it says; the job's script is what `render` prints")
        else:
            self.say.fail("job", f"{ended} and left no log in {self.session.state.directory}", SHARED)

    async def _end(self):
        """Cancel, and nothing is left: no job, no directory."""
        state, user, start = self.session.state, self.spawner.user.name, time.monotonic()
        self.cluster.poller.expect_end(state.job_id)
        try:
            self.cluster.system.parse_cancel(await self.cluster.helper.run(
                user, self.cluster.system.cancel_command(state.job_id), self.cluster.timeout))
            await within(END_PATIENCE, self.session.ended(self.cluster.poller))
            await self.cluster.helper.ask(user, "end", self.cluster.timeout, session_dir=state.directory, lines=0,
                                          remove=True)
            self.say.ok("end", f"job {state.job_id} and its directory are gone {time.monotonic() - start:.1f} s after "
                        "its cancel")
        except asyncio.TimeoutError:
            self.say.fail("end", f"job {state.job_id} is cancelled and still there after {END_PATIENCE} s",
                          f"look at it; its directory is {state.directory}")
        except HPCSpawnerError as error:
            self.say.fail("end", f"job {state.job_id} or its directory {state.directory} may be left: {error}",
                          "remove them by hand")
        finally:
            self.cluster.poller.forget(state.job_id)
