"""The inside of a toy job's starters (srun, pbs_tmrsh, qrsh, blaunch): they ask the job's mom for a task on a node."""
import json
import os
import signal
import time

PAUSE = 0.02


class Task:
    """A task on a node of the job. ``output`` is a file, or None for this program's own output."""

    def __init__(self, store, number, node, argv, env, cwd, output=os.devnull):
        self.store, self.number = store, number
        self.name = f"task-{os.getpid()}-{time.monotonic_ns()}"
        here = f"/proc/{os.getpid()}/fd/"
        store.order(number, f"{self.name}.json", json.dumps({
            "node": node, "argv": argv, "env": env, "cwd": cwd, "stdout": output or here + "1",
            "stderr": output or here + "2"}))

    @property
    def returncode(self):
        """None while it runs; minus the signal that ended it."""
        done = self.store.path(self.number, f"{self.name}.done")
        if done.exists():
            return int(done.read_text())
        job = self.store.job(self.number)
        return -signal.SIGKILL if job is None or job["state"] == "ended" else None

    def signal(self, number):
        self.store.order(self.number, f"{self.name}.signal", str(int(number)))


def wait(*tasks):
    """Their statuses, when all have ended."""
    while None in [task.returncode for task in tasks]:
        time.sleep(PAUSE)
    return [task.returncode for task in tasks]


def on_end(action):
    """Call ``action(signal number)`` when this program is told to end."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda got, frame: action(got))
