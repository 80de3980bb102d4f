"""One Hub with many sessions on a real Slurm: each is a job, submitted through sudo and the helper, with its launcher,
and a tiny server in JupyterLab's place. The three nodes claim more CPUs than the machine has.

Needs root and what ``make packages`` installs. Prints two Markdown tables: the starts, so many at once, and the Hub
with all sessions.
"""
import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from scale import COMMON, Bench, p99  # noqa: E402
from support import prometheus, system_hub  # noqa: E402
from support.clusters import SlurmCluster  # noqa: E402
from support.running_hub import wait_for  # noqa: E402
from support.system_hub import SystemHub  # noqa: E402

OWNER = "alice"
ROOT = Path(f"/home/{OWNER}/scale-sessions")
OPTIONS = {"account": "geo", "cores": 1, "memory": "10M", "walltime": "4h"}
# All of the Hub's users are one of the system's: there is one home directory less to look into for each.
CONFIG = COMMON + """
c.HPCSpawner.status_interval = 5
c.HPCSpawner.cmd = ["/usr/bin/python3", "-IS", "{server}"]
c.HPCSpawner.helper_prefix = ["sudo", "-n", "-H", "-u", "{owner}", "--"]
c.HPCSpawner.session_root = "{root}"
"""
# Without a library that need not be: a thousand of them have to fit into the machine.
SERVER = r"""
import _socket, os
host, _, port = os.environ["JUPYTERHUB_SERVICE_URL"].split("/")[2].rpartition(":")
listener = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
listener.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
listener.bind((host, int(port)))
listener.listen(16)
while True:
    descriptor, _ = listener._accept()
    client = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM, 0, fileno=descriptor)
    client.settimeout(5)
    try:
        client.recv(65536)
        client.send(b"HTTP/1.1 200 OK\r\nX-JupyterHub-Version: 0\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    except OSError:
        pass
    client.close()
"""


class SlurmBench(Bench):
    """Of Bench all that asks the Hub; ``known`` are the sessions that it has started."""

    def __init__(self, directory, cluster, server):
        self.cluster, self.known = cluster, 0
        server.write_text(SERVER)
        self.hub = SystemHub(directory, cluster, CONFIG.format(server=server, owner=OWNER, root=ROOT))
        self.hub.start()

    def commands(self):
        """Commands of the batch system that this life of the Hub has run, by kind."""
        count = prometheus.PREFIX + "command_duration_seconds_count"
        return {labels[0]: int(value) for (name, *labels), value in prometheus.samples(self.hub).items()
                if name == count}

    def calls(self):
        return sum(self.commands().values())

    def restart(self):
        """Kill the Hub: seconds from the start of the next until all sessions are ready, and its commands."""
        self.hub.stop(signal.SIGKILL)
        self.hub.stop()
        begin = time.monotonic()
        self.hub.start()
        wait_for(lambda: self.ready() == self.known, 600, lambda: f"{self.ready()} of {self.known} are ready", 0.2)
        return time.monotonic() - begin, self.calls()

    def end(self):
        """Stop all sessions at once: seconds until Slurm has none of their jobs and none has a directory."""
        begin = time.monotonic()
        self.all_at_once("DELETE", [f"burst{number:05}" for number in range(self.known)])
        wait_for(lambda: not self.cluster.jobs(OWNER), 600, lambda: f"jobs are left: {self.cluster.jobs(OWNER)}", 1)
        wait_for(lambda: not list(ROOT.iterdir()), 600, lambda: f"directories are left: {list(ROOT.iterdir())}", 1)
        return time.monotonic() - begin


@contextmanager
def machines_of_their_own():
    """As far as one machine can pretend it: what the cluster's daemons and jobs do yields to the Hub's host."""
    # Or each session of processes has the same share, whatever its priority, see sched(7).
    switch = Path("/proc/sys/kernel/sched_autogroup_enabled")
    before = switch.read_text() if switch.exists() else None
    if before:
        switch.write_text("0")
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "comm").read_text().startswith(("slurm", "munged")):
                os.setpriority(os.PRIO_PROCESS, int(process.name), 10)
        except (FileNotFoundError, ProcessLookupError):
            pass
    try:
        yield
    finally:
        if before:
            switch.write_text(before)


def measure(bench, arguments):
    starts = []
    while bench.known < arguments.sessions:
        before = bench.commands()
        count, seconds, times = bench.burst(min(arguments.burst, arguments.sessions - bench.known), OPTIONS)
        after = bench.commands()
        starts.append((bench.known, count, seconds, p99(times), sorted(times)[len(times) // 2],
                       60 * sum(after[kind] - before[kind] for kind in ("status", "owner_status", "info")) / seconds))
        bench.known += count
        print(starts[-1], file=sys.stderr)
    rest = bench.rest(arguments.rest)
    print(rest, file=sys.stderr)
    restart = bench.restart()
    print(restart, file=sys.stderr)
    return starts, rest, restart, bench.end()


def tables(starts, rest, restart, end):
    lines = ["| sessions before | started at once | all ready, s | API: half, ms | API: 99 %, ms "
             "| questions to Slurm a minute |", "|---:" * 6 + "|"]
    lines += [f"| {known} | {count} | {seconds:.1f} | {half:.0f} | {most:.0f} | {rate:.1f} |"
              for known, count, seconds, most, half, rate in starts]
    lines += ["", f"| {sum(count for _, count, *_ in starts)} sessions | |", "|---|---:|",
              f"| at rest: % of a core | {rest[0]:.1f} |", f"| at rest: commands of Slurm a minute | {rest[1]:.1f} |",
              f"| the Hub is killed: all ready again, s after the start of the next | {restart[0]:.1f} |",
              f"| commands of Slurm for that | {restart[1]} |",
              f"| all stopped at once: no job and no directory left, s | {end:.1f} |"]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--burst", type=int, default=200, help="sessions that are started at once")
    parser.add_argument("--rest", type=float, default=120, help="seconds")
    arguments = parser.parse_args()
    os.environ["HPC_SPAWNER_SLURM_CPUS"] = str(arguments.sessions // len(SlurmCluster.nodes) + 1)
    if reason := system_hub.missing(SlurmCluster):
        sys.exit(f"no Slurm cluster can be made here: {reason}")
    cluster = SlurmCluster()
    directory = Path(tempfile.mkdtemp(dir="/dev/shm"))  # the Hub's, as in scale.py; each node has a /dev/shm of its own
    directory.chmod(0o755)
    system_hub.allow_helper()
    try:
        with system_hub.hub_directory() as shared:
            bench = SlurmBench(directory, cluster, shared / "server.py")
            try:
                with machines_of_their_own():
                    print(tables(*measure(bench, arguments)))
            finally:
                bench.hub.stop()
    finally:
        system_hub.SUDOERS.unlink()
        cluster.stop()
        shutil.rmtree(directory, ignore_errors=True)
        shutil.rmtree(ROOT, ignore_errors=True)


if __name__ == "__main__":
    main()
