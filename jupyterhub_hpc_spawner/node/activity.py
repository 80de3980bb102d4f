"""Work that the single-user server does not see: a session that computes is not idle.

Whoever computes touches the file ``busy`` of the session's directory: Dask's scheduler, IPyParallel's controllers
(those of extra jobs too), the server for a kernel that is busy and prints nothing, and whatever the user likes. The
session's launcher tells the Hub, as the single-user server does of messages and as often
(JUPYTERHUB_ACTIVITY_INTERVAL).
"""
import asyncio
import os
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

from .processes import in_thread
from .report import post, say

LOOKS = 10


def interval():
    """Seconds between two words to the Hub, as jupyterhub-singleuser reads them; 0 for none."""
    return float(os.environ.get("JUPYTERHUB_ACTIVITY_INTERVAL") or 300)


def busy_file():
    return Path(os.environ["HPC_SESSION_FILE"]).with_name("busy")


async def watch(computing):
    """Touch the file as long as ``computing()`` is true."""
    while interval() > 0:
        await asyncio.sleep(interval() / LOOKS)
        if computing():
            with suppress(OSError):  # the session is ending, or the file system is away
                busy_file().touch(0o600)


def watch_in_thread(computing):
    """For programs whose event loop is not ours."""
    threading.Thread(target=asyncio.run, args=(watch(computing),), daemon=True).start()


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
    now = {"last_activity": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    try:
        post(url, dict(now, servers={os.environ.get("JUPYTERHUB_SERVER_NAME", ""): now}))
    except OSError as error:
        say("the Hub does not hear that this session computes: %s" % error)
