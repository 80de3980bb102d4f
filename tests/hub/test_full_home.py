"""A home directory without room: the user reads so, and what to do."""
import subprocess

import pytest

ONLY = ("newest",)
# The helper in a mount namespace of its own, where the sessions are on a file system with room for less than a session.
SMALL = """
c.HPCSpawner.helper_prefix = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
    "mount -t tmpfs -o size=64k small " + HOME + "/sessions && exec \\"$@\\"", "sh",
    *c.HPCSpawner.helper_prefix]
"""


def test_a_full_home_is_named(hub_with):
    if subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("this account may not make a mount namespace")
    hub = hub_with(SMALL + 'os.makedirs(HOME + "/sessions", mode=0o700)')
    event = hub.spawn(hub.user, {})[-1]
    assert event.get("failed") and "Your home directory is full: make room there" in event["message"], event
    assert "No space left on device" in event["message"]
    assert not hub.servers(hub.user)
