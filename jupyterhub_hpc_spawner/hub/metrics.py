"""What Prometheus reads of sessions on the Hub's own ``/hub/metrics``; docs/operation.md says what to make of it.

No label has more values than are written here: nobody's name and no job's id.
"""
import time
from collections import Counter as Count
from contextlib import asynccontextmanager
from functools import partial
from weakref import WeakSet

from prometheus_client import REGISTRY, Counter, Gauge, Histogram

from ..errors import SubmitError
from .failures import StartFailed

# Why a session did not start, by what StartFailed's status says of it or, without one, what JupyterHub did; of
# "lost", one that had started, the job went without a goodbye.
BY_STATUS = {400: "refused", 503: "not_submitted", 500: "ended", 504: "timeout"}
CAUSES = (*BY_STATUS.values(), "unreachable", "lost")
COMMANDS = ("submit", "find", "status", "owner_status", "cancel", "info", "estimate")
# From a command on a quiet cluster to a night in the queue.
WAITS = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 900, 3600, 4 * 3600, 12 * 3600, 24 * 3600)
LATENCIES = (0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60)
# The steps of a session and what it is from then on.
STATES = {"asked": "submitting", "submitted": "pending", "running": "starting", "listening": "running",
          "ended": "ending"}


def _metric(kind, name, text, labels=(), **settings):
    """Registered once, also where this module is imported anew."""
    name = "jupyterhub_hpc_" + name
    return REGISTRY._names_to_collectors.get(name) or kind(name, text, list(labels), **settings)


def _with_values(metric, values):
    """All that the label can be is there from the start, at zero: a rate needs the value before the first."""
    return {value: metric.labels(value) for value in values}


QUEUE_WAIT = _metric(Histogram, "queue_wait_seconds", "From the job's submission to its start", buckets=WAITS)
START = _with_values(_metric(
    Histogram, "start_duration_seconds", "Of a session's start: submit, server (from the job's start to a server that "
    "answers), total (the queue included)", ["phase"], buckets=WAITS), ("submit", "server", "total"))
FAILURES = _with_values(_metric(
    Counter, "failures_total", "Sessions that did not start, or whose job ended without a word", ["cause"]), CAUSES)
COMMAND = _with_values(_metric(
    Histogram, "command_duration_seconds", "Commands of the batch system", ["command"], buckets=LATENCIES), COMMANDS)
ERRORS = _with_values(_metric(
    Counter, "command_errors_total", "Commands of the batch system that did not answer, or not as they should",
    ["command"]), COMMANDS)
SESSIONS = _with_values(_metric(Gauge, "sessions", "Sessions by state", ["state"]), STATES.values())
EXTRA_JOBS = _metric(Gauge, "extra_jobs", "Jobs that sessions have beside their own")
CANCELS_OWED = _metric(Gauge, "cancels_owed", "Jobs that could not be cancelled yet and are tried again")

# From one step to another: what that is the duration of.
_DURATIONS = {"submitted": [("asked", START["submit"])], "running": [("submitted", QUEUE_WAIT)],
              "listening": [("running", START["server"]), ("asked", START["total"])]}
_spawners = WeakSet()
_owed = WeakSet()


def watch(spawner):
    """Count this spawner's session whenever Prometheus asks."""
    _spawners.add(spawner)


def watch_owed(cancels):
    """Count these, too."""
    _owed.add(cancels)


def _sessions():
    return [spawner.session for spawner in _spawners if spawner.session and not spawner.session.over]


def _in_state(state):
    return Count(STATES[session.step] for session in _sessions())[state]


for _state, _gauge in SESSIONS.items():
    _gauge.set_function(partial(_in_state, _state))
CANCELS_OWED.set_function(lambda: sum(map(len, _owed)))
EXTRA_JOBS.set_function(lambda: sum(len(session.state.extra) for session in _sessions()))


def reached(step, times):
    """A session has come to this step; ``times`` has those of all its steps so far."""
    for begin, duration in _DURATIONS.get(step, ()):
        if begin in times:
            duration.observe(max(0, times[step] - times[begin]))  # clocks are set back, too


def failed(cause):
    """One of CAUSES."""
    FAILURES[cause].inc()


@asynccontextmanager
async def start():
    """Around a part of a start: its failure is counted."""
    try:
        yield
    except StartFailed as failure:
        if cause := BY_STATUS.get(failure.status_code):
            failed(cause)
        raise


@asynccontextmanager
async def command(kind):
    """Around a command of the batch system; that it refuses a job is an answer, not an error."""
    begin = time.monotonic()
    try:
        yield
    except SubmitError:
        raise
    except Exception:
        ERRORS[kind].inc()
        raise
    finally:
        COMMAND[kind].observe(time.monotonic() - begin)
