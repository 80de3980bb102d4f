"""A home directory without room: the user reads so, and what to do."""
import subprocess

import pytest
from support.running_hub import TOKEN, request

ONLY = ("newest",)
# The helper and the jobs in a mount namespace of their own, where the sessions are on a file system of this size.
SMALL = """
os.makedirs(HOME + "/sessions", mode=0o700)
c.HPCSpawner.helper_prefix = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
    "mount -t tmpfs -o size={size} small " + HOME + "/sessions && exec \\"$@\\"", "sh",
    *c.HPCSpawner.helper_prefix]
"""
FILL = "cat /dev/zero >{home}/sessions/filler 2>/dev/null || [ -s {home}/sessions/filler ]\n"


@pytest.fixture
def small(hub_with):
    """A Hub whose users have so much room."""
    if subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("this account may not make a mount namespace")
    return lambda size: hub_with(SMALL.format(size=size))


@pytest.fixture
def filling(small):
    """A home directory that fills when the job has begun."""
    hub = small("2m")
    (hub.home / ".jupyterhub.env").write_text(FILL.format(home=hub.home))
    return hub


def test_a_full_home_is_named(small):
    hub = small("64k")
    event = hub.spawn(hub.user, {})[-1]
    assert event.get("failed") and "Your home directory is full: make room there" in event["message"], event
    assert "No space left on device" in event["message"]
    assert not hub.servers(hub.user)


def test_a_home_that_fills_later_does_not_keep_the_server_from_starting(filling):
    """There the user can make room."""
    assert filling.spawn(filling.user, {})[-1].get("ready")
    assert request("GET", f"{filling.server_url}api/status", token=TOKEN).status == 200
    filling.stop_server(filling.user)
    filling.assert_nothing_left()


def test_a_home_that_fills_before_what_dask_needs_is_written_is_named(filling):
    event = filling.spawn(filling.user, {"dask": True})[-1]
    assert event.get("failed") and "No space left on device" in event["message"], event
    assert not filling.servers(filling.user)
    filling.assert_nothing_left()
