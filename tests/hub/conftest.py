"""A real Hub on the ``local`` batch system, with the oldest and the newest supported JupyterHub."""
import os
import pwd
from pathlib import Path

import pytest
from fakes.toy import Toy
from support.hostile_hub import HostileHub
from support.running_hub import ENVIRONMENTS, RunningHub, server_path, wait_for

USER = pwd.getpwuid(os.getuid()).pw_name

CONFIG = """
import os
HOME = "{home}"
c.HPCSpawner.batch_system = "local"
c.HPCSpawner.status_interval = 1
c.HPCSpawner.environments = {{"test": {{"path": "{environment}", "description": "Test environment"}},
                             "gone": {{"path": "/nonexistent/environment", "description": "Removed"}}}}
# The helper as it is, but in a home directory of the test's own.
c.HPCSpawner.helper_prefix = ["env", "HOME=" + HOME, "HPC_LOCAL_JOBS=" + HOME + "/jobs"]
c.HPCSpawner.command_environment = {{"HPC_LOCAL_JOBS": HOME + "/jobs"}}
c.HPCSpawner.session_root = HOME + "/sessions"
c.HPCSpawner.args = ["--allow-root"]
"""


def pytest_generate_tests(metafunc):
    """Every test here runs with every environment, or with those that its module names in ``ONLY``: what the job does
    does not depend on the Hub's version."""
    if "environment" in metafunc.fixturenames:
        only = getattr(metafunc.module, "ONLY", None)
        chosen = [path for path in ENVIRONMENTS if only is None or path.name in only]
        metafunc.parametrize("environment", chosen or [None], indirect=True, scope="module",
                             ids=lambda path: path.name if path else "none")


@pytest.fixture(scope="module")
def environment(request):
    """An environment with a JupyterHub and this package."""
    if request.param is None:
        pytest.skip("HPC_TEST_ENVIRONMENTS names no environment; run the tests with make")
    return request.param


class LocalHub(RunningHub):
    """The Hub, its user, and the home directory where everything of its sessions is."""

    user = USER

    def __init__(self, directory, environment, extra=""):
        self.home = Path(directory) / "home"
        self.home.mkdir(mode=0o700)
        super().__init__(directory, environment / "bin", CONFIG.format(home=self.home, environment=environment) + extra)

    @property
    def server_url(self):
        return f"{self.url}/user/{self.user}/"

    def end_session(self):
        for server in self.servers(self.user):
            self.stop_server(self.user, server)

    def leftovers(self):
        """Processes whose environment or command line names this home."""
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if self._ours(pid)]

    def _ours(self, pid):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            return False
        return f"{self.home}/sessions".encode() in words

    def assert_nothing_left(self):
        wait_for(lambda: not self.leftovers(), 20, lambda: f"processes are left: {self.leftovers()}")
        sessions = self.home / "sessions"
        assert not sessions.exists() or not list(sessions.iterdir())


@pytest.fixture(scope="module")
def hub(environment, tmp_path_factory):
    hub = LocalHub(tmp_path_factory.mktemp("hub"), environment, 'c.JupyterHub.log_level = "DEBUG"\n').start()
    hub.add_user(hub.user)
    yield hub
    hub.end_session()
    hub.stop()


@pytest.fixture
def hub_with(environment, tmp_path):
    """A Hub of the test's own, with these lines more in its configuration."""
    hubs = []

    def start(extra):
        hubs.append(LocalHub(tmp_path, environment, extra + "\n").start())
        return hubs[0].add_user(USER)
    yield start
    for hub in hubs:
        hub.end_session()
        hub.stop()


@pytest.fixture
def session(hub):
    """A running session with Dask; the next test that wants one takes the same."""
    if not hub.servers(hub.user):
        events = hub.spawn(hub.user, {"dask": True, "dask_workers_per_node": 2, "dask_threads_per_worker": 1})
        assert events[-1].get("ready"), events
    return hub


@pytest.fixture
def idle(hub):
    """The Hub without a session, before and after."""
    hub.end_session()
    yield hub
    hub.end_session()
    (hub.home / ".jupyterhub.env").unlink(missing_ok=True)


@pytest.fixture
def starting(idle):
    """A session whose job runs and says nothing itself until there is a file."""
    (idle.home / ".jupyterhub.env").write_text('until [ -e "$HOME/go" ]; do sleep 0.05; done\n')
    (idle.home / "go").unlink(missing_ok=True)
    assert idle.api("POST", f"/users/{idle.user}/server", {"user_options": {}}).status < 300
    idle.progress(idle.user, until=lambda event: "is submitted" in event["message"])
    yield idle
    (idle.home / "go").touch()


TOY_CONFIG = """
c.HPCSpawner.batch_system = "{system}"
c.HPCSpawner.batch_settings = {settings}
c.HPCSpawner.command_environment = {{"PATH": "{toy.bin}"}}
c.HPCSpawner.environments = {{"test": {{"path": "{environment}"}}, "light": {{"path": "{toy.light}"}}}}
c.HPCSpawner.status_interval = 0.5
c.HPCSpawner.command_timeout = 2
c.HPCSpawner.start_timeout = 60
c.HPCSpawner.poll_interval = 1
"""


class ToyHub(LocalHub):
    """A Hub on a toy scheduler, see ``tests/fakes``. The software environment ``light`` has a server that is there at
    once and does nothing."""

    def __init__(self, directory, environment, system, settings, more=""):
        self.toy = Toy(Path(directory) / "toy", system)
        extra = TOY_CONFIG.format(system=system, settings=settings, toy=self.toy, environment=environment)
        super().__init__(directory, environment, extra + more)
        (self.home / ".bash_profile").write_text(self.toy.profile)

    def clean(self):
        """No session, no job, no trouble, and nothing logged."""
        self.toy.faults()
        self.toy.control()
        (self.home / ".jupyterhub.env").unlink(missing_ok=True)
        self.end_session()
        self.toy.end()
        self.forget_log()

    def begin(self, server="", **options):
        """Ask for a session; its progress is not waited for."""
        answer = self.api("POST", f"/users/{self.user}/{server_path(server)}", {"user_options": options})
        assert answer.status < 300, answer

    def stop_server(self, user, server=""):
        """Stop the session and wait for its end, at leisure: there are several such Hubs, and each question costs."""
        answer = self.api("DELETE", f"/users/{user}/{server_path(server)}")
        assert answer.status in (202, 204), answer
        wait_for(lambda: server not in self.servers(user), 60, lambda: "the session does not stop", pause=0.3)

    def assert_nothing_left(self):
        wait_for(lambda: not self.toy.jobs(), 20, lambda: f"the system still has jobs: {self.toy.jobs()}")
        super().assert_nothing_left()


# What the pages are looked at with: presets, and a policy that lets the browser run nothing but the Hub's own files.
# JupyterHub's data: images are its style sheet's.
PAGES_CONFIG = """
POLICY = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 0, "headers": {"Content-Security-Policy": POLICY}}
c.HPCSpawner.environment = {"NBGITPULLER_DEPTH": "0"}  # the tests' git server is files, which cannot do less than all
c.HPCSpawner.profiles = {
    "small": {"display_name": "Small", "description": "One core, to look around and for courses",
              "options": {"queue": "debug", "cores": 1, "walltime": "30m"}, "lock": ["cores"]},
    "dask": {"display_name": "Dask on two nodes", "description": "A Dask cluster with all cores of two nodes",
             "options": {"queue": "normal", "nodes": 2, "walltime": "4h", "dask": True}},
    "gpu": {"display_name": "One GPU", "description": "An A100 for training and inference",
            "options": {"queue": "normal", "gpus": 1, "memory": "16G", "walltime": "2h"}},
}
"""


@pytest.fixture(scope="session")
def shown(tmp_path_factory):
    """A Hub with presets on the toy Slurm, for everything that is looked at in a browser."""
    if not ENVIRONMENTS:
        pytest.skip("HPC_TEST_ENVIRONMENTS names no environment; run the tests with make")
    hub = ToyHub(tmp_path_factory.mktemp("shown"), ENVIRONMENTS[0], "slurm", {}, PAGES_CONFIG)
    hub.start().add_user(hub.user)
    yield hub
    hub.clean()
    hub.stop()


@pytest.fixture(scope="module")
def hostile_hub(environment, tmp_path_factory):
    hub = HostileHub(tmp_path_factory.mktemp("hub"), environment).start()
    yield hub.add_user(hub.user)
    hub.stop()


@pytest.fixture(scope="session")
def make_local_hub():
    """LocalHub, for test modules, as below."""
    return LocalHub


@pytest.fixture(scope="session")
def make_toy_hub():
    """ToyHub, for test modules: several directories have a module of the name conftest."""
    return ToyHub


@pytest.fixture
def impatient(environment, make_toy_hub, tmp_path):
    """A Hub that gives up soon."""
    hub = make_toy_hub(tmp_path, environment, "slurm", {})
    with open(hub.directory / "jupyterhub_config.py", "a") as config:
        config.write("c.HPCSpawner.start_timeout = 10\nc.HPCSpawner.http_timeout = 3\n"
                     "c.HPCSpawner.command_timeout = 20\n"
                     f'c.HPCSpawner.environments["deaf"] = {{"path": "{hub.toy.make_deaf_environment()}"}}\n')
    hub.start()
    hub.add_user(hub.user)
    yield hub
    hub.clean()
    hub.stop()
