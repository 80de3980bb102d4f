"""A real Hub on a real cluster, run by an unprivileged account that goes through sudo."""
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

from .running_hub import ENVIRONMENTS, RunningHub, wait_for

ENVIRONMENT = ENVIRONMENTS[0] if ENVIRONMENTS else Path()
HUB_ACCOUNT = "hubuser"
SUDOERS = Path("/etc/sudoers.d/jupyterhub-hpc-spawner-test")

CONFIG = """
c.HPCSpawner.batch_system = "{system}"
c.HPCSpawner.batch_settings = {settings!r}
c.HPCSpawner.command_environment = {environment!r}
c.HPCSpawner.environments = {{"jupyter": {{"path": "{path}"}},
                             "gone": {{"path": "/nonexistent/environment"}},
                             "locked": {{"path": "{locked}"}}}}
c.HPCSpawner.status_interval = 1
"""


class SystemHub(RunningHub):
    """The Hub on the cluster's head node, and what a session may leave behind."""

    def __init__(self, directory, cluster, extra="", account=HUB_ACCOUNT):
        self.cluster = cluster
        locked = directory / "locked"
        (locked / "bin").mkdir(parents=True)
        locked.chmod(0o700)
        config = CONFIG.format(system=cluster.system, settings=cluster.settings, environment=cluster.environment,
                               path=ENVIRONMENT, locked=locked)
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


def missing(cluster):
    """Why tests on this kind of cluster cannot be made here; "" where they can."""
    return cluster.missing() or ("" if ENVIRONMENT.name else "HPC_TEST_ENVIRONMENTS names no environment; use make")


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
