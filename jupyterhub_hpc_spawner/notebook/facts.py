"""The session file (see ``node/session_file.py``) as what a reader wants to know, in order, still without any form."""
import os
from collections import namedtuple

from .advice import advice
from .plain import MAX_FILE, clock, duration, line, moment, plain, read_object
from .versions import difference

SOON = 600
MANY_NODES = 8
MAX_LOG = 4000
CONNECT = {"dask": "from dask.distributed import Client; client = Client()",
           "ipyparallel": 'import os, ipyparallel as ipp; rc = ipp.Client(os.environ["IPP_CLIENT_FILE"])'}
TITLES = {"dask": "Dask", "ipyparallel": "IPyParallel"}
STATES = ("starting", "running", "failed", "ended")

# ``rows`` are (label, text, link or ""); ``error`` is the reason with the end of a log; ``notes`` say what to do.
Part = namedtuple("Part", "title state rows error notes")


def look(environ, now):
    """The parts: the session itself, then each of its runtimes. Never raises, whatever the file holds."""
    path = environ.get("HPC_SESSION_FILE")
    if not path:
        return [Part("Not in a session", "", [], "", [
            "HPC_SESSION_FILE is not set: this Python was not started in a session of jupyterhub-hpc-spawner."])]
    try:
        found = read_object(path)
    except (OSError, ValueError) as error:
        return [Part("The session cannot be read", "failed", [("File", line(path), "")], plain(error), [
            "The session has ended, or this node does not see its file. Start a session anew on the Hub's page."])]
    runtimes = found.get("runtimes")
    runtimes = runtimes if isinstance(runtimes, dict) else {}
    parts = [runtime(line(name, 40), facts, path) for name, facts in runtimes.items() if isinstance(facts, dict)]
    return [_session(found, now, bool(parts), path), *parts]


def _session(found, now, has_runtimes, path):
    job = line(found.get("job_id"))
    rows = [("Nodes", _nodes(found.get("nodes")), ""), ("Account", line(found.get("account")), ""),
            ("Queue", line(found.get("queue")), ""), *_times(found, now)]
    if not has_runtimes:
        rows.append(("Runtimes", "none was asked for", ""))
    notes = _idle_ends(_beside(path, "idle-ends"), now)
    left = _left(found, now)
    if left is not None and left < SOON:
        notes.append("The job ends soon, and everything in it: save your work.")
    return Part("Session of job %s" % job if job else "Session", "ended" if moment(found.get("end")) else "running",
                _filled(rows), "", notes)


def _left(found, now):
    ends = moment(found.get("ends"))
    return None if ends is None or moment(found.get("end")) else max(0, ends - now)


def _times(found, now):
    start, ends, end = (moment(found.get(name)) for name in ("start", "ends", "end"))
    yield "Started", clock(start, now) if start else "", ""
    if end:
        yield "Ended", clock(end, now), ""
    elif ends:
        yield "Time left", "%s, until %s" % (duration(_left(found, now)), clock(ends, now)), ""
    else:
        yield "Time left", "not known", ""


def _nodes(nodes):
    names = [line(name, 100) for name in nodes if line(name)] if isinstance(nodes, list) else []
    if not names:
        return ""
    domains = {name.partition(".")[2] for name in names}
    if len(domains) == 1 and any(map(str.isalpha, *domains)):
        names = [name.partition(".")[0] or name for name in names]
    more = " and %d more" % (len(names) - MANY_NODES) if len(names) > MANY_NODES else ""
    return "%d: %s%s" % (len(names), ", ".join(names[:MANY_NODES]), more)


def runtime(name, facts, path):
    """The part of one runtime; ``path`` is that of the session file."""
    state = line(facts.get("state"), 40)
    error = _error(facts.get("error"))
    rows = [("Connect", CONNECT.get(name, "") if state == "running" else "", ""),
            ("Address", line(facts.get("address")), ""), ("Client file", line(facts.get("client_file")), ""),
            ("Workers", _counted(facts.get("workers"), state, _beside(path, "dask-workers.json")), ""),
            ("Engines", _counted(facts.get("engines"), state, _beside(path, "ipp", "engines.json")), ""),
            ("MPI", {True: "yes", False: "no: " + line(facts.get("mpi_error"))}.get(_flag(facts.get("mpi")), ""), ""),
            _dashboard(facts.get("dashboard"), state)]
    notes = [*advice(name, state, error, os.path.dirname(path)), *_told(facts.get("notes"))]
    if name == "dask":
        notes.extend(filter(None, [_versions(_beside(path, "dask-versions.json"))]))
    return Part(TITLES.get(name, name), state, _filled(rows), error, notes)


def _told(notes):
    """What nodes had to say."""
    notes = notes if isinstance(notes, dict) else {}
    return ["%s: %s" % (line(node, 100), line(note)) for node, note in list(notes.items())[:MANY_NODES]]


def _error(value):
    """The reason, which comes first, and the end of the log, where the cause is."""
    text = plain(value, 20000)
    reason, _, log = text.partition("\n")
    return "\n".join(filter(None, [line(reason, 500), log[-MAX_LOG:]]))


def _versions(path):
    try:
        return difference(read_object(path))
    except (OSError, ValueError):
        return ""  # they come with the scheduler: one that did not start has told none


def _counted(expected, state, path):
    """How many there are of how many, as who has them in hand tells in a file."""
    text = line(expected, 20)
    if not text or state not in ("starting", "running"):
        return text
    try:
        count = read_object(path)
    except (OSError, ValueError):
        return "%s expected" % text  # it comes with the first of them
    own, extra = (line(count.get(name), 20) for name in ("own", "extra"))
    return "%s of %s%s" % (own or "?", text, ", %s extra" % extra if extra not in ("", "0") else "")


def _idle_ends(path, now):
    """A note on extra jobs that had nothing to do; the file has a line for each, when it ended."""
    try:
        with open(path) as file:
            ends = [moment(int(end)) for end in file.read(MAX_FILE).split()]
    except (OSError, ValueError):
        return []
    return ["Extra jobs that ended because they had no task for long: %d, the last at %s."
            % (len(ends), clock(ends[-1], now))] if ends and ends[-1] else []


def _beside(path, *names):
    return os.path.join(os.path.dirname(path), *names)


def _flag(value):
    return value if isinstance(value, bool) else None


def _dashboard(path, state):
    """None while it starts: nothing answers there yet."""
    return ("Dashboard", "", "") if state == "starting" else ("Dashboard", line(path), _link(path))


def _link(value):
    """A path of this server, or "": nothing that a browser takes for a script or for another server."""
    text = value if isinstance(value, str) else ""
    harmless = text.startswith("/") and text[1:2] not in ("/", "\\") and text.isprintable() and len(text) <= 300
    return text if harmless else ""


def _filled(rows):
    return [row for row in rows if row[1]]
