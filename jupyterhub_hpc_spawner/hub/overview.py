"""A user's sessions in a few words each, for the Hub's home page: from what is known already, nothing is asked."""
import time
from dataclasses import dataclass
from urllib.parse import quote

from ..model import JobState
from ..units import format_span
from . import ending, private
from .session import local, started


@dataclass(frozen=True)
class Overview:
    """``title`` is the server's name for people; ``colour`` is Bootstrap's name for one; ``time`` says when it ends or
    starts, or what to do after its end."""

    name: str
    title: str
    state: str
    colour: str
    text: str
    time: str
    link: str
    link_text: str


def sessions(user):
    """Those that run or start, and those that ended by themselves; the default server's first."""
    active = {spawner.name: spawner for spawner in user.spawners.values() if spawner.active}
    found = {name: _overview(spawner) for name, spawner in active.items() if getattr(spawner, "session", None)}
    ended = {name: _ended(user, name, end) for name, end in ending.all_kept(user).items() if name not in active}
    return [session for _, session in sorted({**ended, **found}.items())]


def _ended(user, name, end):
    page = f"{user.settings['hub'].base_url}spawn/{user.escaped_name}" + (f"/{quote(name)}" if name else "")
    title = private.title(user.spawners[name]) or "Default server"
    return Overview(name, title, "Ended", "secondary", end.summary, end.advice, page, "Start again")


def _overview(spawner):
    session, poller = spawner.session, spawner.cluster.poller
    status, asked = poller.status(session.state.job_id), poller.asked(session.state.job_id)
    name, title = spawner.name, private.title(spawner) or "Default server"
    page = f"{spawner.hub.base_url}spawn-pending/{spawner.user.escaped_name}" + (f"/{quote(name)}" if name else "")
    if spawner.pending == "stop":
        return Overview(name, title, "Stopping", "secondary", f"Job {session.state.job_id} is being stopped.", "", page,
                        "See what it does")
    if spawner.ready:
        paused = status.state == JobState.SUSPENDED
        return Overview(name, title, "Suspended" if paused else "Running", "warning" if paused else "success",
                        _runs(session, status), _time_left(status, asked), spawner.user.server_url(name), "Open")
    return _starting(name, title, session.state.steps[-1], status, page)


def _runs(session, status):
    job, nodes = f"Job {session.state.job_id}", status.nodes or status.host or session.state.address
    if status.state == JobState.SUSPENDED:
        return f"{job} on {nodes} is suspended by the batch system."
    return " ".join(filter(None, [f"{job} runs on {nodes}." if nodes else f"{job} runs.",
                                  started(session.state.runtimes)]))


def _time_left(status, asked):
    if status.time_left is None:
        return ""
    left = max(0, status.time_left - (time.time() - asked))
    return f"{format_span(left // 60 * 60)} left"  # rather a little less than there is


def _starting(name, title, last, status, page):
    waits = last["step"] == "queue"
    never = waits and not last.get("can_start", True)
    when = status.start_estimate if waits and not never else None
    state = "Will not start" if never else "Waiting" if waits else "Starting"
    return Overview(name, title, state, "danger" if never else "warning" if waits else "info", last.get("text") or
                    last["message"], f"Expected to start at {local(when)} (estimate)" if when else "", page,
                    "Change the request" if never else "See how far it is")
