"""One session's life in the Hub: what was submitted, what the job reported, what the waiting page shows."""
import asyncio
import ipaddress
import secrets
import time
from dataclasses import asdict, dataclass, field

from ..model import JobState
from . import credentials
from .commands import first_of
from .failures import StartFailed

PHASES = ("started", "listening", "failed", "ended")
LOG_LINES = 30


@dataclass
class ExtraJob:
    """A further job of a session; ``label`` is its name for people. Without a ``job_id`` it is not submitted yet."""

    runtime: str
    label: str
    nodes: int
    name: str
    directory: str
    job_id: str = ""


@dataclass
class SessionState:
    """What outlives a restart of the Hub; no secret, only the digest of one."""

    name: str
    directory: str
    digest: str
    job_id: str = ""
    phases: list = field(default_factory=list)
    address: str = ""
    port: int = 0
    relayed: bool = False
    extra: list = field(default_factory=list)


def new_name():
    """Of a session or an extra job and its directory."""
    return f"jupyter-{secrets.token_hex(6)}"


class Session:
    """``events`` are the waiting page's lines, oldest first; ``news`` wakes whoever waits for the next."""

    def __init__(self, state, log):
        self.state = state
        self.log = log
        self.secret = ""
        self.events = []
        self.message = ""
        self.over = False
        self.extra = None
        self.news = asyncio.Event()

    @classmethod
    def new(cls, root, log):
        name = new_name()
        secret = credentials.new_secret()
        session = cls(SessionState(name, f"{root}/{name}", credentials.digest(secret)), log)
        session.secret = secret
        return session

    @classmethod
    def load(cls, state, log):
        session = cls(SessionState(**state), log)
        # What was on its way to the batch system when the Hub ended has no id: it ends with the session's job.
        session.state.extra = [ExtraJob(**job) for job in session.state.extra if job["job_id"]]
        if session.state.job_id:
            session.tell(25, f"The Hub was restarted and has found job {session.state.job_id} again.", "queue")
        else:
            session.tell(5, "The Hub was restarted while the job was submitted; it is looked for.")
        return session

    def dump(self):
        return asdict(self.state)

    def has(self, phase):
        return phase in self.state.phases

    def tell(self, progress, message, step="submit", **facts):
        """A line for the waiting page (percent, text, step); the same line twice in a row is one."""
        if not self.events or self.events[-1]["message"] != message:
            self.events.append({"progress": progress, "message": message, "step": step, "time": time.time(),
                                **facts})
            self._wake()

    def report(self, report, peer):
        """Take a report from the job; ``peer`` is the address that it came from.

        A phase counts once. The address is believed where the report came from there; through a relay (NAT, a
        proxy) the batch system is asked for the node instead.
        """
        if self.has(report.phase):
            return
        self.state.phases.append(report.phase)
        address = str(report.address)
        self.state.relayed = ipaddress.ip_address(peer) != report.address
        if report.phase == "started":
            self.tell(60, f"The job runs on {address}; the server is starting.", "server")
        elif report.phase == "listening":
            self.state.address, self.state.port = address, report.port
            self.tell(90, "The server answers; connecting.", "server")
        elif report.phase == "failed":
            self.message = report.message
        self._wake()

    async def listening(self, poller):
        """(host, port) of the server, as soon as the job reports it. Raises StartFailed when the job ends before."""
        while True:
            status = poller.status(self.state.job_id)
            if self.has("listening"):
                if not self.state.relayed:
                    return self.state.address, self.state.port
                if status.host:
                    return status.host, self.state.port
            if self.has("failed") or self.has("ended") or status.state == JobState.FINISHED:
                raise StartFailed.job_ended(self.state.job_id, status, self.message)
            self._tell_status(status)
            await self._next(poller)

    async def ended(self, poller):
        """Wait until the job said goodbye or the batch system says that it is over."""
        while not self.has("ended") and poller.status(self.state.job_id).state != JobState.FINISHED:
            await self._next(poller)

    async def follow(self):
        """The events there are, and then each as it comes."""
        seen = 0
        while True:
            news = self.news
            while seen < len(self.events):
                yield self.events[seen]
                seen += 1
            await news.wait()

    def _tell_status(self, status):
        if status.state == JobState.PENDING:
            if status.can_start:
                why = f": {status.explanation}" if status.explanation else ""
                when = f" Expected to start at {_local(status.start_estimate)}." if status.start_estimate else ""
                self.tell(30, f"Job {self.state.job_id} is waiting in the queue{why}.{when}", "queue",
                          estimate=status.start_estimate and status.start_estimate.timestamp())
            else:
                self.tell(30, f"Job {self.state.job_id} will never start as it stands: {status.explanation} "
                              f"({status.reason}). Cancel it and change the request.", "queue")
        elif status.state == JobState.RUNNING and not self.has("started"):
            where = status.nodes or status.host
            self.tell(50, f"Job {self.state.job_id} has its nodes ({where}) and is starting.", "node")
        elif status.state == JobState.SUSPENDED:
            self.tell(50, f"Job {self.state.job_id} is suspended by the batch system.", "node")

    def _wake(self):
        self.news.set()
        self.news = asyncio.Event()

    async def _next(self, poller):
        await first_of(self.news.wait(), poller.next_round())


def _local(time):
    """In the Hub's own time zone, with its name: batch systems are asked in UTC."""
    return f"{time.astimezone():%Y-%m-%d %H:%M %Z}"
