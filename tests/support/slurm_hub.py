"""The real Slurm cluster, and a real Hub on it that is run by an unprivileged account and goes through sudo."""
import os
import re
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

from .running_hub import ENVIRONMENTS, RunningHub, wait_for

CLUSTERS = Path(__file__).parent.parent / "clusters"
ENVIRONMENT = ENVIRONMENTS[0] if ENVIRONMENTS else Path()
HUB_ACCOUNT = "hubuser"
SUDOERS = Path("/etc/sudoers.d/jupyterhub-hpc-spawner-test")

CONFIG = """
c.HPCSpawner.batch_system = "{system}"
c.HPCSpawner.command_environment = {environment!r}
c.HPCSpawner.environments = {{"jupyter": {{"path": "{path}"}},
                             "gone": {{"path": "/nonexistent/environment"}},
                             "locked": {{"path": "{locked}"}}}}
c.HPCSpawner.status_interval = 1
"""


class SlurmCluster:
    """The Slurm cluster of tests/clusters: three nodes n1 n2 n3, users alice and bob."""

    system = "slurm"

    def __init__(self):
        self.script = CLUSTERS / "slurm"
        subprocess.run([self.script, "start"], check=True)
        status = subprocess.run([self.script, "status"], check=True, capture_output=True, text=True).stdout
        self.address, configuration = re.search(r"hub is (\S+), configuration (\S+)", status).groups()
        self.environment = {"SLURM_CONF": configuration}

    def stop(self):
        subprocess.run([self.script, "stop"], check=True)

    def run(self, user, *argv, node=None, **options):
        """A command as an ordinary user, on the hub or on a node."""
        where = ["--node", node] if node else []
        return subprocess.run([self.script, "as", user, *where, "--", *map(str, argv)], capture_output=True, text=True,
                              timeout=120, **options)

    def admin(self, *argv):
        """A command of the cluster's administrator."""
        subprocess.run(argv, check=True, env={**os.environ, **self.environment})

    def jobs(self, user):
        return self.run(user, "squeue", "-h", "-u", user, "-o", "%i").stdout.split()

    def processes(self, user):
        """The user's processes on all nodes: one machine, so one process table."""
        ps = subprocess.run(["ps", "-u", user, "-o", "pid=,args="], capture_output=True, text=True)
        return ps.stdout.splitlines()


class SystemHub(RunningHub):
    """The Hub on the cluster's head node, and what a session may leave behind."""

    def __init__(self, directory, cluster, extra="", account=HUB_ACCOUNT):
        self.cluster = cluster
        locked = directory / "locked"
        (locked / "bin").mkdir(parents=True)
        locked.chmod(0o700)
        config = CONFIG.format(system=cluster.system, environment=cluster.environment, path=ENVIRONMENT, locked=locked)
        become = ["setpriv", f"--reuid={account}", f"--regid={account}", "--init-groups"]
        super().__init__(directory, ENVIRONMENT / "bin", config + extra, cluster.address, become)
        for path in (directory, *directory.iterdir()):
            shutil.chown(path, account)
        locked.chmod(0o700)

    def server_url(self, user, server=""):
        return f"{self.url}/user/{user}/{server + '/' if server else ''}"

    def assert_nothing_left(self, user):
        wait_for(lambda: not self.cluster.jobs(user), 30, lambda: f"jobs are left: {self.cluster.jobs(user)}")
        wait_for(lambda: not self.cluster.processes(user), 30, lambda: "processes are left: " + "\n".join(
            self.cluster.processes(user)))
        root = Path(f"~{user}").expanduser() / ".local/share/jupyterhub-hpc-spawner"
        assert not root.exists() or not list(root.iterdir())

    def end_sessions(self):
        for user in ("alice", "bob"):
            for server in self.servers(user):
                self.stop_server(user, server)


def missing():
    """Why the cluster cannot be made here; "" where it can."""
    check = subprocess.run([CLUSTERS / "slurm", "check"], capture_output=True, text=True)
    if check.returncode:
        return (check.stdout + check.stderr).strip()
    return "" if ENVIRONMENT.name else "HPC_TEST_ENVIRONMENTS names no environment; use make"


def allow_helper():
    """The one sudoers line that the documentation gives."""
    helper = ENVIRONMENT / "bin" / "jupyterhub-hpc-spawner-helper"
    SUDOERS.write_text(f'{HUB_ACCOUNT} ALL=(alice,bob) NOPASSWD: {helper} ""\n')
    SUDOERS.chmod(0o440)


@contextmanager
def hub_directory():
    """A directory that the Hub's account and the users can reach; pytest's own are private."""
    directory = Path(tempfile.mkdtemp(prefix="jupyterhub-", dir="/var/tmp"))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)
