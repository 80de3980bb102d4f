"""IPyParallel's controller with an eye on its engines: how many there are, and whether they have anything to do."""
import asyncio
import os
import runpy
import sys
import time

from . import activity
from .report import say

# What the controller of an extra job ends with when its engines had no task for too long.
IDLE = 75
COUNT = "engines.json"
PAUSE = 1


def run_controller(profile, address, patience="0"):
    """Become the controller. It ends itself after ``patience`` seconds without a task; 0: never."""
    activity.run_in_thread(activity.watch(lambda: bool(getattr(_hub(), "pending", ()))))
    activity.run_in_thread(_tend(os.path.join(profile, COUNT), float(patience)))
    sys.argv = ["ipcontroller", "--profile-dir=" + profile, "--ip=" + address, "--location=" + address,
                "--usethreads", "--IPController.enable_curve=True"]
    runpy.run_module("ipyparallel.controller", run_name="__main__", alter_sys=True)


def _hub():
    """The part of the controller that knows of all that goes to the engines, in this process; None at first."""
    from ipyparallel.controller.app import IPController
    return getattr(IPController.instance(), "hub", None) if IPController.initialized() else None


async def _tend(path, patience):
    """Tell how many engines there are, and end this process when they had no task for too long."""
    told = done = 0
    used = None  # the first of them may be long in coming
    while not patience or used is None or time.monotonic() - used < patience:
        await asyncio.sleep(PAUSE)
        hub = _hub()
        if hub is None:
            continue
        if len(hub.engines) != told:
            told, used = len(hub.engines), time.monotonic()
            activity.tell_count(path, own=told)
        if hub.pending or len(hub.all_completed) != done:
            done, used = len(hub.all_completed), time.monotonic()
    say("IPyParallel: the engines had %s, so this cluster ends" % activity.no_task(patience))
    activity.note_idle_end()
    os._exit(IDLE)
