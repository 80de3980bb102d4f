"""Work that the single-user server does not see: a session that computes is not idle.

Whoever computes touches the file ``busy`` of the session's directory: Dask's scheduler, IPyParallel's controllers
(those of extra jobs too), the server while it is used or a kernel is busy and prints nothing, and whatever the user
likes. The session's launcher tells the Hub, as the single-user server does of messages and as often
(JUPYTERHUB_ACTIVITY_INTERVAL), but by the Hub's own clock.

The same programs know when an extra job has nothing to do, and how many workers or engines there are.
"""
import asyncio
import json
import os
import threading
import time
from contextlib import suppress
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

from .processes import in_thread
from .report import hub_time, post, say

LOOKS = 10
# Seconds between two looks for extra jobs that are idle, at most.
LOOK = 30


def interval():
    """Seconds between two words to the Hub, as jupyterhub-singleuser reads them; 0 for none."""
    return float(os.environ.get("JUPYTERHUB_ACTIVITY_INTERVAL") or 300)


def beside_session(name):
    """A file of the session's directory, in extra jobs, too."""
    return Path(os.environ["HPC_SESSION_FILE"]).with_name(name)


def busy_file():
    return beside_session("busy")


async def watch(computing):
    """Touch the file as long as ``computing()`` is true."""
    while interval() > 0:
        await asyncio.sleep(interval() / LOOKS)
        if computing():
            with suppress(OSError):  # the session is ending, or the file system is away
                busy_file().touch(0o600)


def run_in_thread(coroutine):
    """For programs whose event loop is not ours."""
    threading.Thread(target=asyncio.run, args=(coroutine,), daemon=True).start()


def no_task(seconds):
    """Why an extra job ended."""
    return "no task for %g %s" % ((seconds / 60, "min") if seconds >= 60 else (seconds, "s"))


def note_idle_end():
    """For ``session()``: one more extra job has ended because it had nothing to do."""
    with suppress(OSError), open(beside_session("idle-ends"), "a") as ends:
        ends.write("%d\n" % time.time())


def tell_count(path, **count):
    """For ``session()``: how many there are. Lost on a full file system, as everything that only informs."""
    with suppress(OSError):
        new = Path("%s.new" % path)
        new.write_text(json.dumps(count))
        new.replace(path)


async def tell_hub():
    """Whenever the file has been touched since the last look."""
    url = os.environ.get("JUPYTERHUB_ACTIVITY_URL")
    seen = _touched()
    while url and interval() > 0:
        await asyncio.sleep(interval())
        touched = _touched()
        if touched != seen:
            seen = touched
            await in_thread(partial(_tell, url))


def _touched():
    """Not compared with a clock: the file system may have its own."""
    try:
        return busy_file().stat().st_mtime_ns
    except OSError:
        return None


def _tell(url):
    now = {"last_activity": datetime.fromtimestamp(hub_time(), timezone.utc).isoformat()}
    try:
        post(url, dict(now, servers={os.environ.get("JUPYTERHUB_SERVER_NAME", ""): now}))
    except OSError as error:
        say("the Hub does not hear that this session computes: %s" % error)
