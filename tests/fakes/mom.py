"""The process above a toy job: starts it, signals it, starts its tasks on other nodes, and ends all of it.

As the subreaper (prctl(2)) it stays the ancestor of every process of the job. Which of these a system reaches is its
``SCOPE``: ``all``, or only those in the ``session`` of the script or of a task.
"""
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from .store import NODES

LIBC = ctypes.CDLL(None, use_errno=True)
NEW_UTS, NEW_USER, SUBREAPER = 0x04000000, 0x10000000, 36
PAUSE = 0.05


def start(store, record, system):
    """Leave a mom behind for the job; like a daemon's answer, this returns at once."""
    if os.fork():
        return
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    log = os.open(store.directory / "mom.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for number, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(number, target)
    os.closerange(3, 256)
    LIBC.prctl(SUBREAPER, 1, 0, 0, 0)
    try:
        Mom(store, record, system).run()
    finally:
        sys.stderr.flush()
        os._exit(0)


def be_node(name):
    """Take the host's name in this process. As an ordinary user in a user namespace, where the kernel lets it."""
    uid, gid = os.getuid(), os.getgid()
    if LIBC.unshare(NEW_UTS if uid == 0 else NEW_UTS | NEW_USER):
        raise OSError(ctypes.get_errno(), "no name space of its own for a node")
    if uid:
        for path, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            Path(f"/proc/self/{path}").write_text(text)
    socket.sethostname(name)


class Mom:
    def __init__(self, store, record, system):
        self.store, self.record, self.system = store, record, system
        self.number = record["number"]
        self.main = None
        self.tasks = {}
        self.sessions = set()
        self.steps = []
        self.warned = self.stopped = False

    def run(self):
        self.update(mom=os.getpid())
        if self.wait_for_nodes() and self.start():
            while self.reap():
                self.serve_tasks()
                self.watch()
                time.sleep(PAUSE)
        self.finish()

    def update(self, **fields):
        if any(self.record[name] != value for name, value in fields.items()):
            self.record.update(fields)
            self.store.write(self.record)

    def ordered(self, name):
        return self.store.ordered(self.number, name)

    def wait_for_nodes(self):
        while True:
            control = self.store.read("control")
            if self.ordered("cancel") or self.ordered("kill") or control.get("die"):
                self.update(how="cancelled" if self.ordered("cancel") else control.get("die", "failed"))
                return False
            why = self.record.get("never") or control.get("hold", "")
            self.update(why=why)
            if not why:
                return True
            time.sleep(PAUSE)

    def start(self):
        """Whether it could: a script whose directory or output cannot be opened is not started, and the job is over."""
        hosts = list(NODES[:self.record["nodes"]])
        self.update(state="running", hosts=hosts, started=time.time())
        launch = self.system.launch(self.store, self.record)
        try:
            self.main = self.spawn(hosts[0], **launch)
        except OSError as error:
            print(f"job {self.number}: {error}", file=sys.stderr, flush=True)
        return self.main is not None

    def spawn(self, node, argv, env, cwd, stdin="", stdout=os.devnull, stderr=None, executable=None):
        """A process in a session of its own on the node; ``stdin`` is text."""
        source = self.store.path(self.number, "stdin")
        source.write_text(stdin)
        with open(source) as given, open(stdout, "ab") as out, open(stderr or stdout, "ab") as err:
            process = subprocess.Popen(argv, executable=executable, env=env, cwd=cwd, stdin=given, stdout=out,
                                       stderr=err, start_new_session=True, preexec_fn=lambda: be_node(node))
        self.sessions.add(process.pid)
        return process

    def serve_tasks(self):
        """What ``remote.py`` asked for: ``task-NAME.json`` to start, ``task-NAME.signal`` to signal."""
        for path in sorted(self.store.path(self.number).glob("task-*.json")):
            if path.stem not in self.tasks and not self.steps:
                try:
                    self.tasks[path.stem] = self.spawn(**json.loads(path.read_text()))
                except OSError as error:
                    self.store.order(self.number, f"{path.stem}.done", "254")
                    self.tasks[path.stem] = None
                    print(f"{path.stem}: {error}", file=sys.stderr, flush=True)
        for path in self.store.path(self.number).glob("task-*.signal"):
            task = self.tasks.get(path.stem)
            if task and task.returncode is None:
                self.send([task.pid], int(path.read_text()))
            path.unlink()

    def reap(self):
        """Whether the script still runs."""
        for name, task in self.tasks.items():
            if task and not self.ordered(f"{name}.done") and task.poll() is not None:
                self.store.order(self.number, f"{name}.done", str(task.returncode))
                if task.returncode < 0 and self.system.TASK_SIGNAL_ENDS_JOB and not self.steps:
                    self.begin_end("failed", "task")
        return self.main.poll() is None

    def watch(self):
        control = self.store.read("control")
        age = time.time() - self.record["started"]
        limit = control.get("walltime", self.record["walltime"])
        if self.ordered("kill"):
            self.send(self.processes("all"), signal.SIGKILL)
        if not self.steps and self.ordered("cancel"):
            self.begin_end("cancelled", "cancel")
        if not self.steps and limit is not None and age > limit:
            self.begin_end("walltime", "walltime")
        self.warn(limit, age)
        self.suspend(control.get("suspend", False))
        while self.steps and self.steps[0][0] <= time.time():
            self.send(self.processes(self.system.SCOPE), self.steps.pop(0)[1])
            self.steps = self.steps or [(float("inf"), 0)]

    def begin_end(self, how, cause):
        """From now on the signals that this system sends; times in seconds after now."""
        patience = self.store.read("control").get("patience", 1)
        self.steps = [(time.time() + delay * patience, number)
                      for delay, number in self.system.signals(self.record, cause)]
        self.update(how=how, state="ending")

    def warn(self, limit, age):
        """The signal that a job asked for some time before its end: (signal, seconds before, only the script)."""
        warning = self.record.get("warning")
        if warning and limit is not None and not self.warned and age > limit - warning[1]:
            self.warned = True
            self.send([self.main.pid] if warning[2] else self.processes(self.system.SCOPE), warning[0])

    def suspend(self, wanted):
        if wanted != self.stopped and not self.steps:
            self.stopped = wanted
            self.send(self.processes("all"), signal.SIGSTOP if wanted else signal.SIGCONT)
            self.update(state="suspended" if wanted else "running")

    def processes(self, scope):
        """The job's processes that the system knows."""
        table = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] != "Z":
                table[int(pid)] = (int(fields[1]), int(fields[3]))
        if scope == "session":
            return [pid for pid, (_, session) in table.items() if session in self.sessions]
        family = {os.getpid()}
        while more := {pid for pid, (parent, _) in table.items() if parent in family} - family:
            family |= more
        return sorted(family - {os.getpid()})

    def send(self, pids, number):
        self.store.log(job=self.number, signal=int(number), pids=len(pids))
        for pid in pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def finish(self):
        """Kill what is left of the job; then it has ended."""
        while left := self.processes(self.system.SCOPE) if self.main else []:
            self.send(left, signal.SIGKILL)
            self.collect()
            time.sleep(PAUSE)
        code = self.main.returncode if self.main else None
        how = self.record["how"] or ("ok" if code == 0 else "failed")
        self.update(state="ended", how=how, exit=code, ended=time.time())

    def collect(self):
        """The dead are reaped by whoever started them, or else here."""
        for process in filter(None, [self.main, *self.tasks.values()]):
            process.poll()
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass
