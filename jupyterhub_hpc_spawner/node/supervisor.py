"""The process that keeps a node's workers, and the next where that one is killed or breaks: all of them go with it.

It may be the victim of the kernel when memory is short, or of a hand that meant something else.
"""
import os
import shutil
import signal
import subprocess
import time

from .backoff import DELAYS, Backoff
from .processes import die_with_parent
from .report import leave_note

GRACE = 6
# What the process ends with where something went wrong that it did not foresee.
BROKEN = 70


class Supervisor:
    """``scratch`` is emptied before the process is started again; the file ``note`` takes what was the matter."""

    def __init__(self, argv, env, scratch, note):
        self.argv = argv
        self.env = env
        self.scratch = scratch
        self.note = note
        self.backoff = Backoff()
        self.child = None
        self.ending = False

    def run(self):
        """The exit status, after an end that it came to by itself or was told to."""
        signal.signal(signal.SIGALRM, lambda number, frame: self._kill_group())
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._end)
        code = self._run_once()
        while (code < 0 or code == BROKEN) and self._goes_on():
            delay = self.backoff.end()
            if self.backoff.quick_ends >= len(DELAYS):
                break
            leave_note(self.note, "the process that keeps the workers of %s %s, and they went with it; all start again"
                       % (os.uname().nodename.split(".")[0], "broke" if code > 0 else "was killed (signal %d)" % -code))
            self._pause(delay)
            if self._goes_on():
                self._empty_scratch()
                code = self._run_once()
        return code if code >= 0 else 128 - code

    def _goes_on(self):
        """Without the session's directory, where the note would be, the session has ended."""
        return not self.ending and os.path.isdir(os.path.dirname(self.note))

    def _run_once(self):
        self.backoff.begin()
        self.child = subprocess.Popen(self.argv, env=self.env, stdin=subprocess.DEVNULL, start_new_session=True,
                                      preexec_fn=die_with_parent)
        if self.ending:  # since before it was there to be told
            self.child.terminate()
        code = self.child.wait()
        self._kill_group()
        return code

    def _end(self, number, frame):
        """Told to end, maybe with everything else of the job. Workers may hang then, so the alarm kills them."""
        self.ending = True
        if self.child:
            self.child.terminate()
        signal.alarm(GRACE)

    def _kill_group(self):
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def _pause(self, seconds):
        """A signal does not wake from a sleep, so they are short."""
        until = time.monotonic() + seconds
        while not self.ending and time.monotonic() < until:
            time.sleep(0.1)

    def _empty_scratch(self):
        for entry in os.scandir(self.scratch):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                os.remove(entry.path)
