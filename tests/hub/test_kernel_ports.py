"""Kernels without ports, as ``docs/security.md`` recommends where nodes are shared, and the debugger it warns of."""
import shutil
import socket
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from support.kernel import Kernel, run_code
from support.running_hub import wait_for

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


def debuggers():
    """(port, arguments) of each debugpy adapter on this machine: its arguments anybody can read."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended
            words = path.read_text().split("\0")
            if any(word.endswith("debugpy/adapter") for word in words):
                found.append((int(words[words.index("--port") + 1]), words))
    return found


def test_jupyterlabs_debugger_answers_whoever_connects_and_shows_its_key_while_it_is_on(session):
    """Why users are told not to debug on shared nodes. Should it fail one day, they need not be told any more."""
    before = debuggers()
    with Kernel(session.server_url, session.user_token(session.user)) as kernel:
        kernel.run("1")
        assert debuggers() == before
        assert kernel.control("debug_request", {"seq": 1, "type": "request", "command": "initialize", "arguments": {
            "clientID": "test", "adapterID": ""}})["success"]
        wait_for(lambda: len(debuggers()) > len(before), 30, lambda: "there is no debugger")
        (port, words), = [each for each in debuggers() if each not in before]
        assert "access-token" in " ".join(words)
        with socket.create_connection(("127.0.0.1", port), timeout=30) as stranger:
            body = b'{"seq": 1, "type": "request", "command": "initialize", "arguments": {"adapterID": "x"}}'
            stranger.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
            assert stranger.recv(100).startswith(b"Content-Length: ")
    wait_for(lambda: debuggers() == before, 30, lambda: "the debugger outlives its kernel")
