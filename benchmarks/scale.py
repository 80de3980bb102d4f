"""One Hub with many sessions: what it asks of the batch system, what it costs, and whether its pages stay quick.

JupyterHub and its proxy are real; the batch system is a Slurm of shell scripts whose jobs do nothing but report, and
one web server stands for all sessions' servers. In the same run: a spawner that does nothing, for JupyterHub's own
share, and batchspawner with fewer sessions, as it asks for each. The Hub's database is in memory where there is
/dev/shm: JupyterHub writes it ten times a start, and waits for it. Prints one Markdown table.
"""
import argparse
import json
import math
import multiprocessing
import os
import pwd
import re
import shlex
import shutil
import statistics
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from http.server import ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from fakes.server import Handler  # noqa: E402
from jupyterhub import orm  # noqa: E402
from support import prometheus  # noqa: E402
from support.running_hub import RunningHub, request, wait_for  # noqa: E402

from jupyterhub_hpc_spawner.batch import slurm  # noqa: E402

BIN = Path(sys.executable).parent
COMMON = """
c.JupyterHub.concurrent_spawn_limit = 0
c.JupyterHub.active_server_limit = 0
c.JupyterHub.api_page_max_limit = 1000000
c.Spawner.http_timeout = 60
c.Spawner.start_timeout = 600
"""
OURS = COMMON + """
c.HPCSpawner.helper_prefix = ["env", "HOME={home}"]
c.HPCSpawner.command_environment = {{"PATH": "{bin}"}}
c.HPCSpawner.session_root = "{home}/sessions"
"""
PEER = COMMON + """
from batchspawner import SlurmSpawner
class Peer(SlurmSpawner):
    # Its users need not be in the system.
    def user_env(self, env):
        return env
    def _req_homedir_default(self):
        return "/tmp"
c.JupyterHub.spawner_class = Peer
c.SlurmSpawner.exec_prefix = "env PATH={bin}:/usr/bin:/bin"
"""
NOTHING = COMMON + """
from jupyterhub.spawner import Spawner
class Nothing(Spawner):
    async def start(self):
        return "http://127.0.0.1:{port}"
    async def stop(self, now=False):
        pass
    async def poll(self):
        return None
c.JupyterHub.spawner_class = Nothing
"""
SQUEUE = """#!/bin/sh
echo squeue >> {directory}/calls
case "$*" in *"-j "*) echo "RUNNING 127.0.0.1";; *) cat {directory}/jobs;; esac
"""
SBATCH = """#!/bin/sh
echo sbatch >> {directory}/calls
sleep {delay}
id=$(date +%s%N)
{{ echo "token=$JUPYTERHUB_API_TOKEN"; cat; }} > {directory}/new/$id.part
mv {directory}/new/$id.part {directory}/new/$id
echo $id
"""
OTHER = """#!/bin/sh
echo {name} >> {directory}/calls
"""


class Server(ThreadingHTTPServer):
    """That of every session."""

    request_queue_size = 4096  # a Hub that starts knocks at all doors at once


class Cluster:
    """The programs in ``bin``, their calls, and jobs that report as soon as they are submitted."""

    def __init__(self, directory, port, delay=0):
        self.directory, self.port = directory, port
        self.bin = directory / "bin"
        self.bin.mkdir()
        (directory / "new").mkdir()
        (directory / "jobs").touch()
        (directory / "calls").touch()
        for name in ("sinfo", "scontrol", "sacctmgr", "scancel", "sshare"):
            self._program(name, OTHER.format(name=name, directory=directory))
        self._program("squeue", SQUEUE.format(directory=directory))
        self._program("sbatch", SBATCH.format(directory=directory, delay=delay))
        self.lines = []
        self.hub = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _program(self, name, text):
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def calls(self):
        return (self.directory / "calls").read_text().split()

    def close(self):
        self._end.set()
        self._thread.join()

    def put(self, ids):
        """Jobs that run."""
        values = {"%i": "", "%T": "RUNNING", "%r": "None", "%B": "127.0.0.1", "%N": "n1", "%S": "2026-01-01T00:00:00",
                  "%L": "3:00:00"}
        for job in ids:
            words = [{**values, "%i": str(job)}.get(field, "1") for field in slurm._STATUS_FIELDS]
            self.lines.append(slurm.SEP.join(words) + "\n")
        new = self.directory / "jobs.new"
        new.write_text("".join(self.lines))
        new.replace(self.directory / "jobs")

    def _run(self):
        with ThreadPoolExecutor(8) as pool:
            while not self._end.wait(0.01):
                found = [path for path in (self.directory / "new").iterdir() if path.suffix != ".part"]
                if found:
                    self.put(path.name for path in found)
                    for path in found:
                        pool.submit(self._report, path.rename(self.directory / f"taken-{path.name}"))

    def _report(self, path):
        token, script = path.read_text().split("\n", 1)
        session_dir = re.search(r"^session_dir=(.*)$", script, re.MULTILINE)
        if not session_dir:  # batchspawner's
            request("POST", f"{self.hub.url}/hub/api/batchspawner", {"port": self.port}, token.partition("=")[2])
            return
        directory = Path(shlex.split(session_dir[1])[0])
        plan = json.loads((directory / "plan.json").read_text())
        token = re.search(r"JUPYTERHUB_API_TOKEN=(\S+)", (directory / "environment.sh").read_text())[1]
        for phase, port in (("started", 1), ("listening", self.port)):
            body = {"session": plan["session"], "secret": plan["secret"], "phase": phase, "address": "127.0.0.1",
                    "port": port}
            answer = request("POST", f"{self.hub.url}/hub/api/hpc-spawner/report", body, shlex.split(token)[0])
            assert answer.status == 204, answer


class Bench:
    """A Hub of one kind in a directory of its own, with ``known`` sessions in its database."""

    def __init__(self, directory, port, config, known=0, delay=0):
        directory.mkdir()
        self.home = directory / "home"
        self.home.mkdir()
        self.cluster = Cluster(directory, port, delay)
        text = config.format(bin=self.cluster.bin, home=self.home, user=pwd.getpwuid(os.getuid()).pw_name, port=port)
        self.hub = self.cluster.hub = RunningHub(directory, BIN, text)
        self.hub.patience = 60 + known / 20  # JupyterHub gives every user a role first
        self.known = known
        if known:
            fill(directory / "hub.sqlite", known, port, self.home)
            self.cluster.put(range(1, known + 1))

    def start(self):
        """Seconds from the Hub's first answer until all known sessions are ready, and the commands that it took."""
        self.hub.start()
        begin = time.monotonic()
        wait_for(lambda: self.ready() == self.known, 600, lambda: f"{self.ready()} of {self.known} are ready",
                 self.pause)
        return time.monotonic() - begin, self.calls()

    def calls(self):
        return len(self.cluster.calls())

    @property
    def pause(self):
        """Seconds between two looks: a list of ten thousand users is work for the Hub."""
        return 0.2 + self.known / 2000

    def started(self):
        """How many the Hub has started so far. Not a list of users: JupyterHub answers nobody while it makes one."""
        return sum(value for (name, *labels), value in prometheus.samples(self.hub).items()
                   if name == "jupyterhub_server_spawn_duration_seconds_count" and "success" in labels)

    def ready(self):
        """How many sessions are."""
        answer = self.hub.api("GET", "/users?state=ready&limit=100000", timeout=300)
        if answer.status != 200:  # the proxy gave up
            return -1
        return sum(server["ready"] for user in answer.json for server in user["servers"].values())

    def rest(self, seconds):
        """(per cent of a core, commands a minute, kB of the Hub's memory that are its own)."""
        before, calls, begin = self.cpu(), self.calls(), time.monotonic()
        time.sleep(seconds)
        passed = time.monotonic() - begin
        memory = re.search(r"^Pss_Anon:\s+(\d+)|^VmRSS:\s+(\d+)", self._proc("smaps_rollup") or self._proc("status"),
                           re.MULTILINE)
        return (100 * (self.cpu() - before) / passed, 60 * (self.calls() - calls) / passed,
                int(memory[1] or memory[2]))

    def cpu(self):
        fields = self._proc("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _proc(self, name):
        try:
            return Path(f"/proc/{self.hub.process.pid}/{name}").read_text()
        except OSError:
            return ""

    def burst(self, count, options=None):
        """(``count``, seconds until so many sessions that are asked for at once are ready, ms of answers meanwhile)."""
        names = [f"burst{self.known + number:05}" for number in range(count)]
        self.hub.api("POST", "/users", {"usernames": names})
        before = self.started()
        # A process of its own: the threads that ask for all of them would make it wait.
        end, results = multiprocessing.Event(), multiprocessing.SimpleQueue()
        prober = multiprocessing.Process(target=self._probe, args=(end, results, names[0]))
        prober.start()
        begin = time.monotonic()
        self.all_at_once("POST", names, {"user_options": options or {}})
        wait_for(lambda: self.started() == before + count, 600, lambda: f"{self.started()} have started", 0.5)
        seconds = time.monotonic() - begin
        end.set()
        return count, seconds, results.get()

    def all_at_once(self, method, names, body=None):
        """Ask for the server of each, or for its end."""
        with ThreadPoolExecutor(len(names)) as pool:
            answers = list(pool.map(
                lambda name: self.hub.api(method, f"/users/{name}/server", body, timeout=600), names))
        assert all(answer.status in (201, 202, 204) for answer in answers), answers

    def _probe(self, end, results, name):
        times = []
        while not end.wait(0.02):
            begin = time.perf_counter()
            if self.hub.api("GET", f"/users/{name}").status == 200:
                times.append(1000 * (time.perf_counter() - begin))
            else:
                times.append(math.inf)
        results.put(times)

    def close(self):
        self.hub.stop()
        self.cluster.close()


def fill(path, count, port, home):
    """The database of a Hub that ended while so many sessions ran."""
    session = orm.new_session_factory(f"sqlite:///{path}")()
    now = datetime.now(timezone.utc).replace(tzinfo=None)
    for number in range(1, count + 1):
        name, own = f"user{number:05}", f"jupyter-{number:012x}"
        state = {"session": {"name": own, "directory": f"{home}/sessions/{own}", "digest": "0" * 64,
                             "job_id": str(number), "phases": ["started", "listening"], "address": "127.0.0.1",
                             "port": port}}
        server = orm.Server(proto="http", ip="127.0.0.1", port=port, base_url=f"/user/{name}/", cookie_name=name)
        user = orm.User(name=name, created=now)
        session.add(user)
        session.add(orm.Spawner(user=user, name="", server=server, state=state, user_options={}, started=now,
                                last_activity=now))
    session.commit()
    session.close()


def p99(values):
    return statistics.quantiles(values, n=100)[98] if len(values) > 1 else max(values, default=0)


def measure(directory, port, arguments):
    """A row for each kind of Hub: (name, sessions, restart, rest, burst)."""
    kinds = {"this spawner": (OURS, arguments.sessions), "a spawner that does nothing": (NOTHING, arguments.sessions)}
    rows = []
    for number, (name, (config, known)) in enumerate(list(kinds.items())[:1 if arguments.alone else None]):
        bench = Bench(directory / f"known{number}", port, config, known)
        try:
            rows.append([name, known, bench.start(), bench.rest(arguments.rest), bench.burst(arguments.burst)])
        finally:
            bench.close()
        print(rows[-1][:4], file=sys.stderr)
    if arguments.alone:
        return rows
    bench = Bench(directory / "peer", port, PEER)
    try:
        restart = bench.start()
        burst = bench.burst(arguments.peer)
        bench.known = arguments.peer
        rows.append(["batchspawner", arguments.peer, restart, bench.rest(arguments.rest), burst])
    finally:
        bench.close()
    return rows


def table(rows):
    nothing = next((row for row in rows if "nothing" in row[0]), None)
    lines = ["| | sessions | all ready after a restart, s | commands for it | at rest: % of a core | commands a minute "
             "| kB a session | started at once | all ready, s | API p99, ms |", "|---|" + "---:|" * 9]
    for name, known, (seconds, calls), (cpu, rate, memory), (started, burst, times) in rows:
        beyond = f"{(memory - nothing[3][2]) / known:.0f} beyond" if nothing and name == "this spawner" else ""
        lines.append(f"| {name} | {known} | {seconds:.1f} | {calls} | {cpu:.1f} | {rate:.1f} | {beyond} | {started} "
                     f"| {burst:.1f} | {p99(times):.0f} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--burst", type=int, default=200, help="sessions that are started at once")
    parser.add_argument("--peer", type=int, default=100, help="batchspawner's sessions")
    parser.add_argument("--alone", action="store_true", help="only this spawner")
    parser.add_argument("--rest", type=float, default=60, help="seconds")
    arguments = parser.parse_args()
    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    directory = Path(tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
    try:
        print(table(measure(directory, server.server_address[1], arguments)))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
