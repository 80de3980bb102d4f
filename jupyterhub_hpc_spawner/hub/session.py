"""One session's life in the Hub: what was submitted, what the job reported, what the waiting page shows."""
import asyncio
import ipaddress
import secrets
import time
from dataclasses import asdict, dataclass, field

from ..model import JobState
from ..runtimes import RUNTIMES
from . import credentials, metrics
from .commands import first_of
from .failures import StartFailed

LOG_LINES = 30
# What stays true of a step whatever is told of it next.
KEPT = ("nodes", "runtimes", "beside")


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
    """What outlives a restart of the Hub; no secret, only the digest of one. ``goodbye``: why the job says it ends;
    ``stopping``: the user has asked for its end; ``token``: the number of its server's token in the Hub's database;
    ``runtimes``: {name: state} of how their first start went, once the job has said it."""

    name: str
    directory: str
    digest: str
    job_id: str = ""
    steps: list = field(default_factory=list)
    phases: list = field(default_factory=list)
    address: str = ""
    port: int = 0
    relayed: bool = False
    goodbye: str = ""
    stopping: bool = False
    extra: list = field(default_factory=list)
    times: dict = field(default_factory=dict)
    token: int = 0
    runtimes: dict = field(default_factory=dict)


def new_name():
    """Of a session or an extra job and its directory."""
    return f"jupyter-{secrets.token_hex(6)}"


class Session:
    """``state.steps`` are the waiting page's steps, oldest first: of each the last that was told, and since when it is.

    ``news`` wakes whoever waits for the next; ``save`` is called when a step begins.
    """

    def __init__(self, state, log, save=None):
        self.state = state
        self.log = log
        self.save = save
        self.secret = ""
        self.message = ""
        self.over = False
        self.extra = None
        self.stop_left_over = state.stopping
        self.heard = 0
        self.news = asyncio.Event()

    @classmethod
    def new(cls, root, log, save=None):
        name = new_name()
        secret = credentials.new_secret()
        session = cls(SessionState(name, f"{root}/{name}", credentials.digest(secret)), log, save)
        session.secret = secret
        return session

    @classmethod
    def load(cls, state, log, save=None):
        session = cls(SessionState(**state), log, save)
        # What was on its way to the batch system when the Hub ended has no id: it ends with the session's job.
        session.state.extra = [ExtraJob(**job) for job in session.state.extra if job["job_id"]]
        if session.state.job_id:
            last = session.state.steps[-1] if session.state.steps else {"progress": 25, "step": "queue"}
            session.tell(last["progress"], f"The Hub was restarted and has found job {session.state.job_id} again.",
                         last["step"])
        else:
            session.tell(5, "The Hub was restarted while the job was submitted; it is looked for.")
        return session

    def dump(self):
        return asdict(self.state)

    @property
    def step(self):
        """The last that it has come to, see ``metrics.STATES``."""
        return next(reversed(self.state.times), "asked")

    def reach(self, step):
        """It has come this far; only the first time counts."""
        if step not in self.state.times:
            self.state.times[step] = time.time()
            metrics.reached(step, self.state.times)
            self.log.info("The session is %s", metrics.STATES[step])

    def has(self, phase):
        return phase in self.state.phases

    def tell(self, progress, message, step="submit", **facts):
        """A line for the waiting page (percent, text, step); the same line twice in a row is one."""
        steps, now = self.state.steps, time.time()
        last = steps[-1] if steps else {"step": None}
        same = last["step"] == step
        kept = {name: last[name] for name in KEPT if same and name in last}
        event = {"progress": progress, "message": message, "step": step, "time": now,
                 "since": last["since"] if same else now, "job_id": self.state.job_id, **kept, **facts}
        if same and {**last, "time": now} == event:
            return
        steps[-1 if same else len(steps):] = [event]
        if not same and self.save and self.state.job_id:
            self.save()
        self._wake()

    def report(self, report, peer):
        """Take a report from the job; ``peer`` is the address that it came from, "" where that is a proxy's.

        A phase counts once. The address is believed where the report came from there; through a relay (NAT, a
        proxy) the batch system is asked for the node instead.
        """
        if self.has(report.phase):
            return
        self.state.phases.append(report.phase)
        self.heard = time.time()
        if report.phase in ("started", "listening"):
            self.state.address = str(report.address)
            self.state.relayed = not peer or ipaddress.ip_address(peer) != report.address
        if report.phase == "started":
            self.reach("running")
            self.tell(60, f"The job runs on {report.address}; the server is starting.", "server")
        elif report.phase == "listening":
            self.state.port = report.port
            self.reach("listening")
            self.tell(90, "The server answers; connecting.", "server", **self._begin_runtimes())
        elif report.phase == "runtimes":
            self._runtimes_started(report)
        elif report.phase == "failed":
            self.message = report.message
        elif report.phase == "ended":
            self.reach("ended")
            self.state.goodbye = report.message
        self._wake()

    def _begin_runtimes(self):
        """They start when the server answers, or before where that takes long: then the job has said so already."""
        begun = "beside" in self.state.steps[-1] or not self.state.steps[0].get("runtimes")
        return {} if begun else {"beside": {"state": "now", "text": "Starting.", "since": time.time(), "until": None}}

    def _runtimes_started(self, report):
        """The server does not wait for them, so this may come before it answers or while somebody works already."""
        now, last = time.time(), self.state.steps[-1]
        self.state.runtimes = report.runtimes
        failed = "failed" in report.runtimes.values()
        self.tell(last["progress"], last["message"], last["step"], beside={
            "state": "failed" if failed else "done", "text": started(report.runtimes), "since": now - report.seconds,
            "until": now})

    def host(self, poller):
        """Where the job runs: as it said from there, else as the batch system says; "" while nobody knows."""
        return poller.status(self.state.job_id).host if self.state.relayed else self.state.address

    async def listening(self, poller):
        """(host, port) of the server, as soon as the job reports it. Raises StartFailed when the job ends before."""
        while True:
            status = poller.status(self.state.job_id)
            if self.has("listening") and (host := self.host(poller)):
                return host, self.state.port
            if self.has("failed") or self.has("ended") or status.state == JobState.FINISHED:
                raise StartFailed.job_ended(self.state.job_id, status, self.message)
            if poller.asked(self.state.job_id) > self.heard:  # what the job said since is newer than an older answer
                self._tell_status(status)
            await self._next(poller)

    def put_back(self, poller):
        """Whether the job of a server that answered is in the queue again: what ran is lost."""
        job_id = self.state.job_id
        return (self.has("listening") and poller.status(job_id).state == JobState.PENDING
                and poller.asked(job_id) > self.heard)

    async def ended(self, poller):
        """Wait until the job said goodbye or the batch system says that it is over."""
        while not self.has("ended") and poller.status(self.state.job_id).state != JobState.FINISHED:
            await self._next(poller)

    async def follow(self):
        """The steps there are, and then each line as it comes."""
        steps, at, told = self.state.steps, 0, None
        while True:
            news = self.news
            while at < len(steps):
                if steps[at] is not told:
                    told = steps[at]
                    yield dict(told)
                if at + 1 == len(steps):
                    break
                at += 1
            await news.wait()

    def _tell_status(self, status):
        """What the batch system's answer changes; an answer that is older than the job's last word changes nothing."""
        job, last = f"Job {self.state.job_id}", self.state.steps[-1]
        if status.state == JobState.PENDING:
            self._tell_waiting(status, job)
        elif status.state == JobState.SUSPENDED:
            step = last["step"] if last["step"] in ("node", "server") else "node"
            self.tell(50, f"{job} is suspended by the batch system, and goes on when that resumes it.", step,
                      suspended=True)
        elif status.state == JobState.RUNNING:
            nodes = status.nodes or status.host
            if not self.has("started"):
                self.reach("running")
                self.tell(50, f"{job} has its nodes ({nodes}) and is starting.", "node", nodes=nodes)
            elif last.get("suspended"):
                self.tell(60, f"{job} goes on; the server is starting.", "server", nodes=nodes)
            else:
                self.tell(last["progress"], last["message"], last["step"], nodes=nodes)

    def _tell_waiting(self, status, job):
        begun = [event for event in self.state.steps if event["step"] in ("node", "server")]
        for phase in {"started", "runtimes"} & set(self.state.phases):
            self.state.phases.remove(phase)  # it will be, once more
        where = f"{job} was put back into the queue" if begun else f"{job} is waiting in the queue"
        if status.can_start:
            why = "; ".join(filter(None, [place(status), status.explanation]))
            text = f"{where}: {why}." if why else f"{where}."
            when = f" Expected to start at {local(status.start_estimate)}." if status.start_estimate else ""
        else:
            why = f"{status.explanation} ({status.reason})"
            text = f"{job} will never start as it stands: {why}."
            when = " Cancel it and change the request."
        self.tell(30, text + when, "queue", text=text, why=why and f"{why[0].upper()}{why[1:]}.", queue=status.queue,
                  ahead=status.ahead, can_start=status.can_start, reason=status.reason, explanation=status.explanation,
                  estimate=status.start_estimate and status.start_estimate.timestamp())

    def _wake(self):
        self.news.set()
        self.news = asyncio.Event()

    async def _next(self, poller):
        await first_of(self.news.wait(), poller.next_round())


def place(status):
    """How many jobs are ahead, in words; "" where nobody knows."""
    if status.ahead is None:
        return ""
    where = f" in queue {status.queue}" if status.queue else ""
    if not status.ahead:
        return f"it is next in line{where}"
    return f"{status.ahead} jobs are ahead of it{where}" if status.ahead > 1 else f"1 job is ahead of it{where}"


def started(runtimes):
    """How the first start of the runtimes went, in words: ``Dask has started.``; "" while nobody knows."""
    def names(state):
        return [type(each).__name__ for each in RUNTIMES if runtimes.get(each.name) == state]
    up, failed = names("running"), names("failed")
    return " ".join(filter(None, [
        up and f"{' and '.join(up)} {'have' if len(up) > 1 else 'has'} started.",
        failed and f"{' and '.join(failed)} did not start: session() in a notebook says why."]))


def local(time):
    """In the Hub's own time zone, with its name: batch systems are asked in UTC."""
    return f"{time.astimezone():%Y-%m-%d %H:%M %Z}"
