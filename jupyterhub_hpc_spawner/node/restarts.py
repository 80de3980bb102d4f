"""A runtime's life in the launcher: it runs, and runs again whenever a notebook asks for that.

The request is an empty file of the session's directory, where only the user can make one: no port, no connection. The
answer is that the file goes, and then the runtime's state in the session file. See ``notebook/restart.py``.
"""
import asyncio
import os
from contextlib import suppress

from .report import reason

REQUEST = "restart-"
LOOK_EVERY = 1


async def keep(runtime, launcher):
    """Until it is cancelled. The runtime has run(), and stop() that ends all that run() started."""
    name = runtime.plan["name"]
    request = launcher.path(REQUEST + name)
    running = asyncio.ensure_future(once(runtime, launcher))
    try:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            if not os.path.exists(request):
                continue
            # A request that comes during a start has that start for an answer.
            if running.done() or not launcher.session_file.is_starting(name):
                running.cancel()
                await asyncio.wait([running])
                launcher.session_file.begin(name, runtime.facts)
                running = asyncio.ensure_future(_again(runtime, launcher))
            with suppress(FileNotFoundError):
                os.remove(request)
    finally:
        # What it is just starting is not known to its stop() yet.
        running.cancel()
        await asyncio.wait([running])


async def once(runtime, launcher):
    """Run it. What nobody expected is in the session file, too: a notebook reads it, and may ask for another start."""
    try:
        await runtime.run()
    except Exception as error:
        launcher.session_file.runtime(runtime.plan["name"], state="failed", error=reason(error))
        await runtime.stop()


async def _again(runtime, launcher):
    await runtime.stop()
    await once(runtime, launcher)
