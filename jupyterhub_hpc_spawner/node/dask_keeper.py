"""One node's Dask workers from one import: forked before there is an event loop or a thread, watched and replaced.

What a nanny beside each worker did is done here for all of them: a worker that died comes back, later each time if it
does so at once; one that uses too much memory or whose event loop stands still is killed, and comes back.
"""
import gc
import json
import mmap
import os
import shutil
import signal
import socket
import time
import traceback
from multiprocessing.connection import wait
from urllib.parse import urlsplit

from . import start_method
from .backoff import Backoff
from .memory_watch import MemoryWatch
from .report import say
from .supervisor import BROKEN

TICK = 0.2
HOPELESS = 4
GRACE = 5
START_TIMEOUT = 120
CONNECT_TIMEOUT = 3


def run_keeper(text):
    """Keep the workers of this specification (JSON, made in ``dask_workers.py``) until the end; the exit status."""
    spec = json.loads(text)
    keeper = Keeper(spec)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, keeper.end)
    try:
        keeper.context = start_method.choose(spec["note"])
        return keeper.run()
    except Exception:  # such as no memory for a fork: another starts in its place
        traceback.print_exc()
        return BROKEN


class Slot:
    """The worker of one name, and after its end the next. ``due`` is when that is, None for never."""

    process = None
    due = 0
    beat = 0
    silent = 0

    def __init__(self, spec, index):
        self.index = index
        self.name = "%s-%d" % (spec["name"], index)
        self.directory = os.path.join(spec["scratch"], str(index))
        self.backoff = Backoff()

    def start(self, context, spec):
        from .dask_worker import work
        self.backoff.begin()
        self.beat = self.silent = 0
        self.process = context.Process(target=work, args=(spec, self.index, self.name, self.directory))
        self.process.start()

    def end(self):
        """Take note of its end; the exit status. The next comes at once, unless they end right after their start."""
        self.process.join()
        code = self.process.exitcode
        self.process.close()
        self.process = None
        shutil.rmtree(self.directory, ignore_errors=True)
        from .dask_worker import AS_TOLD
        delay = self.backoff.end(as_told=code == AS_TOLD)
        self.due = time.monotonic() + delay if code else None
        return code


class Keeper:
    def __init__(self, spec):
        self.spec = spec
        self.slots = [Slot(spec, index) for index in range(spec["count"])]
        self.ending = False
        self.ever_worked = False
        with open(spec["pulse"], "w+b") as pulse:
            pulse.write(bytes(spec["count"]))
            pulse.flush()
            self.pulse = mmap.mmap(pulse.fileno(), 0)

    def end(self, number, frame):
        self.ending = True

    def run(self):
        """0 where the workers ended because they should."""
        if not self._await_scheduler():
            say("Dask: there is no scheduler at %s" % self.spec["scheduler"])
            return 1
        gc.collect()
        gc.freeze()  # or the first collection in each worker copies all pages
        try:
            return self._keep()
        finally:
            self._end_all()

    def _keep(self):
        watch = MemoryWatch(self.spec["memory"], self.spec["memory"] * self.spec["count"], _terminate_fraction())
        while not self.ending and any(slot.process or slot.due is not None for slot in self.slots):
            self._start_due()
            self._reap()
            self._check(watch)
            if not self.ever_worked and all(slot.backoff.quick_ends >= HOPELESS for slot in self.slots):
                say("Dask: no worker could be started")
                return 1
        return 0

    def _running(self):
        return {slot.process.sentinel: slot for slot in self.slots if slot.process}

    def _start_due(self):
        now = time.monotonic()
        for slot in self.slots:
            if not slot.process and slot.due is not None and slot.due <= now and not self.ending:
                self.pulse[slot.index] = 0
                slot.start(self.context, self.spec)

    def _reap(self):
        running = self._running()
        ended = wait(list(running), TICK)
        if not running:
            time.sleep(TICK)  # with nothing to wait for, wait() returns at once
        for sentinel in ended:
            slot = running[sentinel]
            code = slot.end()
            if self.ending or not code:
                continue
            if self.ever_worked and not self._scheduler_answers():
                say("Dask: the scheduler is gone")
                self.ending = True
            else:
                say("Dask: worker %s ended with status %d; the next starts in %.1f s"
                    % (slot.name, code, max(0, slot.due - time.monotonic())))

    def _check(self, watch):
        """Kill whose memory or event loop is out of hand; that it ended is seen in ``_reap``."""
        by_pid = {slot.process.pid: slot for slot in self.slots if slot.process}
        for pid, why in watch.excess(by_pid):
            self._kill(by_pid[pid], why, watch.descendants(pid))
        for slot in by_pid.values():
            beat = self.pulse[slot.index]
            self.ever_worked = self.ever_worked or beat > 0
            # Turns of this loop, not seconds: the workers of a job that was suspended have done nothing wrong.
            slot.silent = slot.silent + 1 if beat == slot.beat else 0
            slot.beat = beat
            if beat and slot.silent * TICK > self.spec["silence"]:
                self._kill(slot, "its event loop stands still", watch.descendants(slot.process.pid))
                slot.silent = 0

    def _kill(self, slot, why, programs):
        say("Dask: worker %s is killed: %s" % (slot.name, why))
        slot.process.kill()
        for pid in programs:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def _await_scheduler(self):
        """One process asks, so that not each worker does and sleeps between its tries."""
        deadline = time.monotonic() + START_TIMEOUT
        while not self._scheduler_answers():
            if self.ending or time.monotonic() > deadline:
                return self.ending
            time.sleep(0.05)
        return True

    def _scheduler_answers(self):
        """By a whole TLS greeting where there is TLS: half a one is an error in the scheduler's log."""
        from distributed import Security
        url = urlsplit(self.spec["scheduler"])
        context = Security().get_connection_args("worker").get("ssl_context") if url.scheme == "tls" else None
        try:
            with socket.create_connection((url.hostname, url.port), CONNECT_TIMEOUT) as connection:
                if context:
                    context.wrap_socket(connection).close()
            return True
        except socket.timeout:
            return self.ever_worked  # busy, not gone
        except OSError:
            return False

    def _end_all(self):
        """Workers that lost their scheduler are on their way already; they take a second signal as the first."""
        for slot in self._running().values():
            slot.process.terminate()
        deadline = time.monotonic() + GRACE
        while self._running() and time.monotonic() < deadline:
            for sentinel in wait(list(self._running()), TICK):
                self._running()[sentinel].end()
        for slot in self._running().values():
            slot.process.kill()
            slot.end()


def _terminate_fraction():
    """Of its limit that a worker may use, as Dask's configuration says to a nanny; 0 for all of it and more."""
    import dask
    return float(dask.config.get("distributed.worker.memory.terminate") or 0)
