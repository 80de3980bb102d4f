"""The call to the Hub: which phase this session is in. Typed fields and the job's own secret, nothing else."""
import http.client
import json
import os
import sys
import time
import traceback
import urllib.error
import urllib.request
from contextlib import suppress
from email.utils import parsedate_to_datetime

from . import certificate

# A Hub may be away for an hour or more; a session that it never hears of would only use up its allocation.
PATIENCE = 2 * 3600
# Seconds that the Hub's clock was ahead of this node's at its last answer.
_ahead = 0


class Reporter:
    """Tells the Hub the phases of one session; ``secret`` proves that this is the session's own job."""

    def __init__(self, session, secret):
        self.url = os.environ["JUPYTERHUB_API_URL"].rstrip("/") + "/hpc-spawner/report"
        self.session = session
        self.secret = secret

    def report(self, phase, patience=PATIENCE, **fields):
        """The Hub's answer, a dict; None where it did not take it. Blocks, and tries again for ``patience`` seconds: a
        Hub may be restarting."""
        fields.update(phase=phase, session=self.session, secret=self.secret)
        give_up = time.monotonic() + patience
        pause, tries = 0.2, 0
        while True:
            try:
                return json.loads(post(self.url, fields) or "{}")
            except urllib.error.HTTPError as error:
                if error.code not in (429, 500, 502, 503, 504):
                    say("the Hub refused the report %r: %s %s" % (phase, error.code, error.reason))
                    return None
                trouble = error
            except (OSError, ValueError) as error:  # also what does not talk as a Hub does, a page of a proxy
                trouble = error
            if time.monotonic() > give_up:
                say("the Hub at %s cannot be reached: %s" % (self.url, trouble))
                return None
            tries += 1
            if tries == 5:  # some seconds: more than a restart of the Hub, or what is between does not let it through
                say("the Hub at %s cannot be reached so far: %s" % (self.url, trouble))
            time.sleep(pause)
            pause = min(pause * 2, 5)


def hub_time():
    """Now, in seconds since 1970, by the Hub's clock where it has answered before."""
    return time.time() + _ahead


def _note_clock(ahead):
    """The header is in whole seconds, so what it says may be up to one more; so little is no other clock."""
    global _ahead
    _ahead = 0 if -2 < ahead < 1 else ahead + 1


def post(url, fields):
    """Say it to the Hub, with the server's token; the text of its answer. Raises OSError."""
    headers = {"Authorization": "token " + os.environ["JUPYTERHUB_API_TOKEN"], "Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(fields).encode(), headers)
    # No proxy of the environment: the Hub is inside the cluster's network.
    handlers = [urllib.request.ProxyHandler({})]
    if url.startswith("https:"):
        handlers.append(urllib.request.HTTPSHandler(context=certificate.client_context()))
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=20) as answer:
            with suppress(TypeError, ValueError):  # it does not say
                _note_clock(parsedate_to_datetime(answer.headers["Date"]).timestamp() - time.time())
            return answer.read()
    except http.client.HTTPException as error:
        raise OSError("no answer of a Hub: %r" % error)


def reason(error):
    """What is wrong, in words for the user; of what nobody expected its kind, too, and the log has where it was."""
    if isinstance(error, OSError) or type(error) is LookupError:
        return str(error)
    say("".join(traceback.format_exception(type(error), error, error.__traceback__)))
    return repr(error)


def say(text):
    """A line of the session's log; lost where that is on a full file system."""
    with suppress(OSError):
        print(time.strftime("[%H:%M:%S] ") + text, file=sys.stderr, flush=True)


def leave_note(path, text):
    """Say it of Dask, and leave it, once, in a file for ``dask.py``, which puts it into the session file."""
    say("Dask: " + text)
    with suppress(OSError), open(path, "a+") as note:  # a full home directory keeps nobody from working
        note.seek(0)
        if text not in note.read().splitlines():
            note.write(text + "\n")
