"""What to do about a runtime, in the user's words."""
import re

# (what the error says, what to do); the first that fits counts.
_REMEDIES = [(re.compile(pattern, re.IGNORECASE), text) for pattern, text in [
    (r"No module named '?([\w.]{1,60})",
     "The session's software environment has no {0}: install it there, or choose another environment at the start."),
    (r"did not answer within|did not start",
     "A slow file system can be the reason: try once more."),
    (r"out.of.memory|oom.kill|MemoryError|exceeded.{0,20}memory|status (?:137|-9)\b",
     "The job's memory may be too small: start a session with more memory, or fewer workers on each node."),
    (r"Permission denied|No space left|Disk quota exceeded",
     "Something could not be written: look at your quota and the rights of your directories."),
]]
_AGAIN = ("session().restart() starts it again. The logs are in {directory} while the session lives; what fails twice "
          "is for your administrators.")
_LOST = {"dask": "Client() does not connect.", "ipyparallel": "Clients do not connect."}
_NO_WORKERS = "Client() connects, but workers are missing."


def advice(name, state, error, directory):
    """Sentences for a runtime in this state."""
    if state == "starting":
        yield "It starts. Show this again in some seconds."
    elif state == "failed":
        lost = _NO_WORKERS if error.startswith("the workers ended") else _LOST.get(name)
        yield " ".join(filter(None, [lost, _remedy(error)]))
        yield _AGAIN.format(directory=directory)


def _remedy(error):
    for pattern, text in _REMEDIES:
        found = pattern.search(error)
        if found:
            return text.format(*found.groups())
    return ""
