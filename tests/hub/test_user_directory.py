"""The directory of users hangs: a real one, where to open /etc/passwd waits for ever; the Hub does not."""
import os
import pwd
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from support.running_hub import wait_for

ONLY = ("newest",)
USER = pwd.getpwuid(os.getuid()).pw_name
LIGHT = {"environment": "light"}
OWN_MOUNTS = ["unshare", "--mount", "--propagation", "private"]


class Directory:
    """What the Hub and its programs see as /etc/passwd, in a mount namespace of the Hub's own."""

    def __init__(self, hub):
        self.hub = hub
        self.fifo = hub.directory / "passwd"
        os.mkfifo(self.fifo)

    def hang(self):
        self._do("mount", "--bind", str(self.fifo), "/etc/passwd")

    def answer(self):
        """Those who wait for it, too."""
        self._do("umount", "--lazy", "/etc/passwd")
        with suppress(OSError):  # nobody waits
            os.close(os.open(self.fifo, os.O_WRONLY | os.O_NONBLOCK))

    def _do(self, *argv):
        subprocess.run(["nsenter", "--mount", f"--target={self.hub.process.pid}", *argv], check=True)


@pytest.fixture
def hub(environment, make_toy_hub, tmp_path):
    if subprocess.run([*OWN_MOUNTS, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this account may not mount")
    hub = make_toy_hub(tmp_path, environment, "slurm", {}, f"c.HPCSpawner.helper_prefix += ['USER={USER}']\n")
    hub.become = OWN_MOUNTS
    hub.start().add_user(hub.user).add_user("grace")
    yield hub
    hub.clean()
    hub.stop()


def test_a_start_is_told_so_everybody_else_is_answered_and_nothing_is_lost(hub):
    """Grace is no system user, so the Hub must ask who she is: it does not know her from before."""
    directory = Directory(hub)
    assert hub.spawn(hub.user, LIGHT)[-1].get("ready")
    directory.hang()
    try:
        with ThreadPoolExecutor() as pool:
            start = pool.submit(hub.spawn, "grace", LIGHT)
            while not start.done():
                begin = time.monotonic()
                assert hub.api("GET", "/info").status == 200
                assert time.monotonic() - begin < 2
        event = start.result()[-1]
        assert event.get("failed") and "directory of users does not say who grace is" in event["message"], event
        assert "no system user" not in event["message"] and "is left over" not in hub.logged()
        assert hub.servers(hub.user)[""]["ready"]
    finally:
        directory.answer()
    wait_for(lambda: hub.spawn("grace", LIGHT)[-1].get("ready"), 60, lambda: "she cannot start any more", pause=1)
    hub.stop_server("grace")
    hub.end_session()
    hub.assert_nothing_left()
