"""A real scheduler with TLS and one node's workers, staged and started as a session does it."""
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import jupyterhub_hpc_spawner
from distributed import Client, Security
from jupyterhub_hpc_spawner.hub.credentials import tls_pem
from jupyterhub_hpc_spawner.node import network
from jupyterhub_hpc_spawner.runtimes.dask import Dask

from .running_hub import wait_for

NODE = Path(jupyterhub_hpc_spawner.__file__).parent / "node"
LOOPBACK = "127.0.0.1"


class DaskNode:
    """``directory`` is the session's; ``start`` may be called again after ``stop``."""

    def __init__(self, directory):
        self.directory = directory
        (directory / "tls.pem").write_text(tls_pem())
        (directory / "node").symlink_to(NODE)
        shutil.copy(NODE / "run.py", directory)
        (directory / "tmp").mkdir()
        (directory / "private").mkdir()
        self.pem = str(directory / "tls.pem")
        self.env = {**os.environ, **Dask().environment(str(directory)), "TMPDIR": str(directory / "tmp"),
                    "HPC_SESSION_FILE": str(directory / "session.json"), "SLURMD_NODENAME": "n1",
                    "PYTHONPATH": str(Path(__file__).parent.parent)}
        self.scheduler = self.workers = self.client = None

    def start(self, count, launcher="fork", threads=1, **env):
        with network.hold_port(LOOPBACK) as held:
            port = str(held.getsockname()[1])
            self.address = f"tls://{LOOPBACK}:{port}"
            self.env.update(env, DASK_SCHEDULER_ADDRESS=self.address)
            private = dict(self.env, DASK_TEMPORARY_DIRECTORY=str(self.directory / "private"))
            self.scheduler = self._run(private, "dask-scheduler", LOOPBACK, port)
            self.workers = self._run(self.env, "dask-worker", self.address, str(count), str(threads), launcher)
            wait_for(lambda: network.listens_here(LOOPBACK, int(port)), 60, self.log)
        security = Security(tls_ca_file=self.pem, tls_client_cert=self.pem, tls_client_key=self.pem,
                            require_encryption=True)
        self.client = Client(self.address, security=security, timeout=60, set_as_default=False)
        wait_for(lambda: len(self.names()) == count, 90, self.log)
        return self.client

    def _run(self, env, *verb):
        with open(self.directory / f"{verb[0]}.log", "ab") as log:
            return subprocess.Popen([sys.executable, "run.py", *verb], cwd=self.directory, env=env, stdout=log,
                                    stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)

    def known(self):
        return self.client.scheduler_info(n_workers=-1)["workers"].values()

    def names(self):
        return sorted(worker["name"] for worker in self.known())

    def pids(self):
        """The workers' process ids by name, as the scheduler knows them."""
        names = {worker["name"]: address for address, worker in
                 self.client.scheduler_info(n_workers=-1)["workers"].items()}
        found = self.client.run(os.getpid, on_error="ignore")
        return {name: found[address] for name, address in names.items() if address in found}

    def log(self):
        return "\n".join(path.read_text()[-5000:] for path in self.directory.glob("dask-*.log"))

    def processes(self):
        """All that were started here and still run; this process is none of them."""
        return [int(path.name) for path in Path("/proc").glob("[0-9]*") if self._ours(path)]

    def keeper(self):
        """The process id of what keeps the workers."""
        pid, = Path(f"/proc/{self.workers.pid}/task/{self.workers.pid}/children").read_text().split()
        return int(pid)

    def _ours(self, path):
        try:
            state = (path / "stat").read_text().rpartition(")")[2].split()[0]
            return state != "Z" and os.fsencode(self.directory / "tls.pem") in (path / "environ").read_bytes()
        except OSError:
            return False

    def stop(self):
        """As the session's launcher does it: the scheduler first."""
        if self.client:
            self.client.close()
        self.scheduler.terminate()
        self.scheduler.wait(20)
        return self.workers.wait(20)

    def assert_nothing_left(self):
        wait_for(lambda: not self.processes(), 15, lambda: f"left: {self.processes()}\n{self.log()}")
        assert list((self.directory / "tmp").iterdir()) == []

    def close(self):
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)

    def note(self):
        return "".join(path.read_text() for path in self.directory.glob("dask-note-*"))
