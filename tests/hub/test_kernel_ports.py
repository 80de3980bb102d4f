"""Kernels without ports, as ``docs/security.md`` recommends where nodes are shared."""
import shutil
import tempfile

import pytest
from support.kernel import run_code

ONLY = ("newest",)
# "{short}" because a socket's path has 107 bytes (unix(7)), and those of tests are long.
IPC = """
c.HPCSpawner.args = [*c.HPCSpawner.args, "--KernelManager.transport=ipc"]
c.HPCSpawner.environment = {{"JUPYTER_RUNTIME_DIR": "{short}"}}
"""
# State 0A is LISTEN (proc(5)). ipykernel's own port for the output of forked processes takes only what begins with 16
# random bytes of the kernel, and sends nothing: it is not counted.
LISTENING = """
import os, sys
links = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
sockets = {os.readlink(link)[8:-1] for link in links if os.path.islink(link)}
lines = [line.split() for name in ("tcp", "tcp6") for line in open("/proc/self/net/" + name)]
ports = {int(words[1].split(":")[1], 16) for words in lines if words[3] == "0A" and words[9] in sockets}
print("ports", len(ports - {sys.stdout.pub_thread._pipe_port}))
"""


@pytest.fixture
def short():
    directory = tempfile.mkdtemp(prefix="run-")
    yield directory
    shutil.rmtree(directory)


def ports(hub):
    assert hub.spawn(hub.user, {})[-1].get("ready")
    return int(run_code(hub.server_url, hub.user_token(hub.user), LISTENING).split()[1])


def test_nothing_of_a_kernel_can_be_read_at_a_port_where_it_has_sockets(hub_with, short):
    assert ports(hub_with(IPC.format(short=short))) == 0


def test_a_kernel_without_that_setting_has_five_ports(idle):
    """So that the test above cannot be right by mistake."""
    assert ports(idle) == 5
