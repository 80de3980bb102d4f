"""``session().restart()``: the session's launcher starts a runtime anew. Its side is ``node/restarts.py``.

There is no connection to it. The request is an empty file beside the session file; when that file is gone the request
is taken, and the runtime's state in the session file is the answer.
"""
import os
import time

from .facts import TITLES, runtime
from .plain import line, moment, read_object

# Seconds: until the launcher takes a request, until a runtime has ended and started.
NOTICE = 20
PATIENCE = 240
PAUSE = 0.2


class RestartError(RuntimeError):
    """A runtime could not be started again; the text says why, and what to do."""


def restart(environ, name=None):
    """Start the runtime ``name`` anew, or all that have failed; come back when they run. Prints what it waits for."""
    path = environ.get("HPC_SESSION_FILE")
    runtimes = _runtimes(path)
    if name is not None and name not in runtimes:
        raise RestartError("This session was started without %r; it has %s. Ask for it on the spawn page of your next "
                           "session." % (name, " and ".join(map(repr, map(line, runtimes))) or "no runtime"))
    names = [name] if name is not None else [key for key, facts in runtimes.items() if facts.get("state") == "failed"]
    if not names:
        print("No runtime has failed." + "".join(" restart(%r) starts %s anew." % (key, TITLES.get(key, key))
                                                 for key in runtimes))
    requests = {key: os.path.join(os.path.dirname(path), "restart-" + key) for key in names}
    for request in requests.values():
        os.close(os.open(request, os.O_WRONLY | os.O_CREAT, 0o600))
    for key, request in requests.items():
        _see_it_run(path, key, request)


def _see_it_run(path, name, request):
    begin = time.monotonic()
    title = TITLES.get(name, name)
    print("%s starts again ..." % title, end="", flush=True)
    try:
        while os.path.exists(request):
            _check_time(path, begin + NOTICE, "The session did not take the request within %d s: its first process is "
                        "gone, or this is not its first node." % NOTICE)
        while _runtimes(path)[name].get("state") == "starting":
            _check_time(path, begin + PATIENCE, "%s is still starting after %d s; session() shows how it goes on."
                        % (title, PATIENCE))
    except BaseException:
        print()
        _withdraw(request)
        raise
    facts = _runtimes(path)[name]
    state = line(facts.get("state"), 40)
    print(" %s after %.0f s" % (state, time.monotonic() - begin))
    if state != "running":
        part = runtime(name, facts, path)
        raise RestartError("\n".join(["%s could not be started again. %s" % (title, part.error), *part.notes]))


def _check_time(path, deadline, words):
    _runtimes(path)
    if time.monotonic() > deadline:
        raise RestartError(words)
    time.sleep(PAUSE)


def _runtimes(path):
    """Name to facts. RestartError where there is no session, or none any more."""
    if not path:
        raise RestartError("HPC_SESSION_FILE is not set: this Python was not started in a session.")
    try:
        found = read_object(path)
    except (OSError, ValueError) as error:
        raise RestartError("The session cannot be read: %s. It has ended, or this node does not see its file." % error)
    if moment(found.get("end")):
        raise RestartError("The session is ending; nothing is started in it any more.")
    runtimes = found.get("runtimes")
    runtimes = runtimes if isinstance(runtimes, dict) else {}
    return {name: facts for name, facts in runtimes.items() if isinstance(facts, dict)}


def _withdraw(request):
    try:
        os.remove(request)
    except OSError:
        pass
