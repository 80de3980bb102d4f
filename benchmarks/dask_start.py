"""What it costs until N Dask workers are there: this project, ``dask worker`` and dask-mpi, in one run.

The same for all: TLS, one thread a worker and in BLAS, an own scheduler every time, on this machine alone. Ours is the
command that a session starts on each of its nodes, with what watches the workers. Seconds until all have registered;
CPU-seconds of the whole tree of processes a second later, without the scheduler; memory as PSS, where a page that
several processes share counts once. Prints one Markdown table. Needs dask-mpi, mpiexec; use ``make bench``.
"""
import argparse
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jupyterhub_hpc_spawner
from distributed import Client, Security
from jupyterhub_hpc_spawner.hub.credentials import tls_pem
from jupyterhub_hpc_spawner.node.network import hold_port
from jupyterhub_hpc_spawner.node.resources import BLAS_THREADS
from jupyterhub_hpc_spawner.runtimes.dask import Dask

NODE = Path(jupyterhub_hpc_spawner.__file__).parent / "node"
BIN = Path(sys.executable).parent
WORKER = [sys.executable, "-m", "distributed.cli.dask_worker"]
OURS = "this project"
TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE = 300


def ours(address, count):
    return [[sys.executable, "run.py", "dask-worker", address, str(count), "1", "fork"]], {}


def default_workers(address, count):
    return [[*WORKER, address, "--nthreads", "1"]] * count, {}


def tuned_workers(address, count):
    return [[*WORKER, address, "--nworkers", str(count), "--nthreads", "1", "--no-dashboard"]], \
        {"DASK_DISTRIBUTED__WORKER__MULTIPROCESSING_METHOD": "forkserver"}


def mpi_workers(address, count, *more):
    return [[str(BIN / "mpiexec"), "-n", str(count), str(BIN / "dask-mpi"), address, "--no-scheduler",
             "--nthreads", "1", *more]], {}


def mpi_without_nannies(address, count):
    return mpi_workers(address, count, "--worker-class", "distributed.Worker")


DEFAULT = "`dask worker`, one command each, defaults"
MPI = "dask-mpi, defaults"
PEERS = {OURS: ours, DEFAULT: default_workers, "`dask worker --nworkers N`, forkserver, no dashboard": tuned_workers,
         MPI: mpi_workers, "dask-mpi, `--worker-class distributed.Worker`": mpi_without_nannies}
# How many times ours the others should at least take at this N: (wall, CPU).
GOALS_AT = 32
GOALS = {DEFAULT: (10, 20), MPI: (10, 8)}


class Scheduler:
    """A scheduler with TLS as a session has it, and the environment that its workers need."""

    def __init__(self, directory):
        (directory / "tls.pem").write_text(tls_pem())
        (directory / "node").symlink_to(NODE)
        shutil.copy(NODE / "run.py", directory)
        with hold_port("127.0.0.1") as held:
            port = str(held.getsockname()[1])
            self.address = f"tls://127.0.0.1:{port}"
            self.env = {**os.environ, **Dask().environment(str(directory)), **dict.fromkeys(BLAS_THREADS, "1"),
                        "DASK_SCHEDULER_ADDRESS": self.address, "TMPDIR": str(directory)}
            argv = [sys.executable, "run.py", "dask-scheduler", "127.0.0.1", port]
            self.process = subprocess.Popen(argv, env=self.env, cwd=directory, stderr=subprocess.DEVNULL)
            pem = str(directory / "tls.pem")
            security = Security(tls_ca_file=pem, tls_client_cert=pem, tls_client_key=pem, require_encryption=True)
            self.client = Client(self.address, security=security, timeout=60)

    def stop(self):
        self.client.close()
        self.process.terminate()
        self.process.wait()


def measure(commands, count):
    """(wall seconds, CPU seconds, PSS in MiB) until ``count`` workers are there."""
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as directory:
        scheduler = Scheduler(Path(directory))
        argvs, extra = commands(scheduler.address, count)
        begin = time.perf_counter()
        started = [subprocess.Popen(argv, env={**scheduler.env, **extra}, cwd=directory, stdout=subprocess.DEVNULL,
                                    stderr=subprocess.DEVNULL, start_new_session=True) for argv in argvs]
        try:
            scheduler.client.wait_for_workers(count, timeout=PATIENCE)
            wall = time.perf_counter() - begin
            time.sleep(1)
            pids = [pid for process in started for pid in family(process.pid)]
            return wall, sum(map(cpu_seconds, pids)), sum(map(pss, pids)) / 1024
        finally:
            scheduler.stop()
            end(started)


def end(processes):
    for process in processes:
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def family(pid):
    lists = [(task / "children").read_text().split() for task in Path(f"/proc/{pid}/task").iterdir()]
    return [pid, *(found for children in lists for child in children for found in family(int(child)))]


def cpu_seconds(pid):
    """Of the process, and of its children that have ended.

    By the process's own clock (clock_getcpuclockid(3)): the hundredths of proc(5) are cut off in every process, which
    is a quarter of what a forked worker takes. The children's are in there once, with their parent.
    """
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return time.clock_gettime(~pid << 3 | 2) + sum(map(int, fields[13:15])) / TICKS


def pss(pid):
    """KiB."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))


def table(results):
    """Markdown; in brackets how many times ours that is."""
    yield "| N | workers by | wall s | CPU s | PSS MiB |"
    yield "|---|---|---|---|---|"
    for (count, name), row in results.items():
        base = results[count, OURS]
        cells = [f"{value:.{digits}f}" + ("" if name == OURS else f" ({value / mine:.1f}x)")
                 for value, mine, digits in zip(row, base, (2, 2, 0))]
        yield f"| {count} | {name} | {' | '.join(cells)} |"


def goals(results):
    """What was wanted and what it is, in words."""
    for name, wanted in GOALS.items():
        if (GOALS_AT, name) in results:
            peer, mine = results[GOALS_AT, name], results[GOALS_AT, OURS]
            parts = [f"{label} 1/{theirs / own:.1f} (goal 1/{goal})"
                     for label, theirs, own, goal in zip(("wall", "CPU"), peer, mine, wanted)]
            yield f"{GOALS_AT} workers, against {name}: {', '.join(parts)}."


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 8, 32, 64])
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    if not shutil.which("mpiexec", path=str(BIN)) or not (BIN / "dask-mpi").exists():
        sys.exit(f"dask-mpi and mpiexec are not in {BIN}")
    results = {}
    for commands in PEERS.values():
        measure(commands, 1)  # the files are in memory then
    for count in arguments.workers:
        # In turn, so that whatever else the machine does meets all of them.
        rounds = [{name: measure(commands, count) for name, commands in PEERS.items()}
                  for _ in range(arguments.repeat)]
        for name in PEERS:
            results[count, name] = [statistics.median(values) for values in zip(*(turn[name] for turn in rounds))]
    print("\n".join([*table(results), "", *goals(results)]))


if __name__ == "__main__":
    main()
