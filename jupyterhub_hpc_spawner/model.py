"""The words the rooms speak to each other: frozen dataclasses, no logic."""
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Mapping


class JobState(Enum):
    """Where a job is, in the words of every batch system."""

    PENDING = "pending"
    RUNNING = "running"
    SUSPENDED = "suspended"
    FINISHED = "finished"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class JobStatus:
    """What the batch system says of one job.

    ``code`` is its own word for the state, ``reason`` its own word for why; ``explanation`` says that in
    plain words. ``can_start`` is False where the job will wait for ever as it stands. ``host`` is the node
    that runs the job script. ``start_estimate`` knows its time zone, ``time_left`` is in seconds.

    ``ahead`` is the number of waiting jobs that come before it in ``queue``, as far as order decides: jobs that
    cannot start as they stand, or wait for something of their own (a time, another job, a limit of their user), do not
    count, and have no place themselves. None where the batch system does not tell the order. Without a ``queue``,
    ``ahead`` counts the jobs of all queues.
    """

    state: JobState
    code: str = ""
    reason: str = ""
    explanation: str = ""
    can_start: bool = True
    host: str = ""
    nodes: str = ""
    start_estimate: datetime | None = None
    time_left: int | None = None
    queue: str = ""
    ahead: int | None = None


@dataclass(frozen=True)
class Estimate:
    """What the batch system says of a request before it is made: the ``start``, which knows its time zone, or in its
    own words why it would not start as it stands. Neither: it cannot say."""

    start: datetime | None = None
    refusal: str = ""


@dataclass(frozen=True)
class Completed:
    """A command that ran to its end."""

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class NodeKind:
    """Nodes of a queue that are alike; ``features`` are the node types by which they can be asked for. Of ``total``
    nodes ``idle`` have no job, and ``partly`` have some cores left, ``free`` of them together."""

    features: tuple[str, ...] = ()
    cores: int | None = None
    memory: int | None = None
    gpus: Mapping[str, int] = field(default_factory=dict)
    total: int = 0
    idle: int = 0
    partly: int = 0
    free: int = 0


@dataclass(frozen=True)
class Queue:
    """One queue (Slurm: partition) and its limits; times in seconds, memory in bytes, counts per node.

    None means that there is no limit, or that the batch system does not tell. ``cores``, ``memory``, ``gpus`` and
    ``features`` are of all its nodes together; ``kinds`` tells them apart, where the batch system does. Of
    ``all_cores`` of its nodes together ``free_cores`` have no job; ``waiting`` is the number of jobs that wait for
    their turn. ``users``, ``groups``, ``accounts`` and ``qos`` are those that may use it, or with ``-`` in front may
    not; () means all. Among ``users`` may be groups with ``@`` in front.
    """

    name: str
    default: bool = False
    up: bool = True
    max_walltime: int | None = None
    default_walltime: int | None = None
    max_nodes: int | None = None
    total_nodes: int = 0
    idle_nodes: int = 0
    cores: int | None = None
    memory: int | None = None
    gpus: Mapping[str, int] = field(default_factory=dict)
    features: tuple[str, ...] = ()
    kinds: tuple[NodeKind, ...] = ()
    free_cores: int | None = None
    all_cores: int | None = None
    waiting: int | None = None
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    qos: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reservation:
    """Nodes set aside for some; ``users``, ``groups`` and ``accounts`` as those of a Queue. Times know their zone."""

    name: str
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    active: bool = True
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True)
class Association:
    """An account that a user may charge, in this queue only or in all, and the qualities of service it has there."""

    account: str
    queue: str = ""
    qos: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClusterInfo:
    """What the batch system tells. ``accounts`` and ``qos`` are by user name; so are ``associations``, which say what
    of them goes together. Of the options in ``untold`` it says nothing, so that users write them themselves.

    ``balances`` are core-hours left by account and then by user, ``""`` for all of its users together.
    """

    queues: tuple[Queue, ...] = ()
    accounts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    qos: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    associations: Mapping[str, tuple[Association, ...]] = field(default_factory=dict)
    reservations: tuple[Reservation, ...] = ()
    untold: frozenset[str] = frozenset()
    balances: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def queue(self, name):
        """The queue of that name (of no name: the default one), or None."""
        for queue in self.queues:
            if queue.name == name or (not name and queue.default):
                return queue
        return None

    def left(self, user, account):
        """Core-hours that the user may still take from the account; None: no limit, or nobody tells."""
        known = self.balances.get(account, {})
        return min((known[name] for name in ("", user) if name in known), default=None)


@dataclass(frozen=True)
class Choice:
    """A value that a field offers, as people read it."""

    title: str
    description: str = ""
    facts: str = ""

    @property
    def text(self):
        described = ": ".join(filter(None, (self.title, self.description)))
        return described + (f" ({self.facts})" if self.facts else "")


@dataclass(frozen=True)
class Offer(ClusterInfo):
    """What one user may choose, by ``offers.offer``: of ClusterInfo what is for this user, as the site wants it shown.

    ``choices`` are by field and value; a field that is not there takes what is typed. ``unlisted`` are values that are
    taken and not shown, ``closed`` says of others why they are not for this user. ``first`` is what holds where the
    user leaves a field open and the batch system's own default is not for this user. ``vague`` are node types of which
    nobody tells what nodes have them.
    """

    user: str = ""
    choices: Mapping[str, Mapping[str, Choice]] = field(default_factory=dict)
    unlisted: Mapping[str, Mapping[str, Choice]] = field(default_factory=dict)
    closed: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    first: Mapping[str, str] = field(default_factory=dict)
    vague: frozenset[str] = frozenset()

    def title(self, field, value):
        """The value's name for people."""
        known = {**self.choices.get(field, {}), **self.unlisted.get(field, {})}
        return known[value].title if isinstance(value, str) and value in known else value


@dataclass(frozen=True)
class Environment:
    """A software environment: modules to load, then ``path/bin`` put first in PATH."""

    path: str = ""
    modules: tuple[str, ...] = ()
    description: str = ""


@dataclass(frozen=True)
class JobRequest:
    """Everything a job script is made from; every value is validated, none is quoted.

    Counts, ``memory`` (bytes) and ``gpus`` are per node, ``walltime`` is in seconds.
    """

    name: str
    session_dir: str
    nodes: int = 1
    queue: str | None = None
    account: str | None = None
    qos: str | None = None
    reservation: str | None = None
    constraint: str | None = None
    cores: int | None = None
    memory: int | None = None
    gpus: int | None = None
    gpu_type: str | None = None
    walltime: int | None = None
    environment: Environment = Environment()
    extra_directives: tuple[str, ...] = ()
    prologue: str = ""
    epilogue: str = ""
