"""Inside the job: ports that stay ours, interpreters, the session file, and children that end."""
import asyncio
import errno
import json
import os
import select
import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

import jupyterhub_hpc_spawner
import pytest
from jupyterhub_hpc_spawner.node import network, processes, server
from jupyterhub_hpc_spawner.node.report import say
from jupyterhub_hpc_spawner.node.session_file import SessionFile
from tornado.netutil import bind_sockets

LOOPBACK = "127.0.0.1"


@contextmanager
def listener(address=LOOPBACK, port=0):
    with socket.create_server((address, port)) as opened:
        yield opened.getsockname()[1]


def free_range(count):
    """The first of some ports in a row that nobody has."""
    for first in range(20000, 60000, 97):
        with ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    stack.enter_context(listener(port=port))
                return first
            except OSError:
                continue
    raise AssertionError("no free ports")


def test_a_held_port_is_refused_to_others_and_given_to_the_server():
    with network.hold_port(LOOPBACK) as held:
        port = held.getsockname()[1]
        with socket.socket() as other, pytest.raises(OSError) as refused:
            other.bind((LOOPBACK, port))
        assert refused.value.errno == errno.EADDRINUSE
        assert not network.listens_here(LOOPBACK, port)
        bound, = bind_sockets(port, LOOPBACK)
        with bound, socket.create_connection((LOOPBACK, port), timeout=5):
            assert network.listens_here(LOOPBACK, port)


def test_two_sessions_on_one_node_hold_different_ports_of_the_range():
    first = free_range(3)
    with ExitStack() as stack:
        ports = [stack.enter_context(network.hold_port(LOOPBACK, first, first + 2)).getsockname()[1] for _ in range(3)]
        assert sorted(ports) == [first, first + 1, first + 2]
        with pytest.raises(OSError, match=f"no free port on {LOOPBACK} between {first} and {first + 2}"):
            network.hold_port(LOOPBACK, first, first + 2)


def test_a_port_that_somebody_listens_on_is_left_out():
    first = free_range(2)
    with listener(port=first), network.hold_port(LOOPBACK, first, first + 1) as held:
        assert held.getsockname()[1] == first + 1


@pytest.mark.parametrize("address", [LOOPBACK, "::1"])
def test_a_range_where_everything_is_taken_is_an_error(address):
    try:
        opened = socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with opened:
        port = opened.getsockname()[1]
        assert network.listens_here(address, port)
        with pytest.raises(OSError, match="no free port"):
            network.hold_port(address, port, port)


def test_only_a_server_of_this_very_user_is_ours(monkeypatch):
    with listener() as port, listener("0.0.0.0") as everywhere:
        assert network.listens_here(LOOPBACK, port) and network.listens_here(LOOPBACK, everywhere)
        stranger = os.getuid() + 1
        monkeypatch.setattr(os, "getuid", lambda: stranger)
        assert not network.listens_here(LOOPBACK, port)
    assert not network.listens_here(LOOPBACK, port)


@pytest.mark.parametrize("url, address", [("http://127.0.0.1:8081/hub/api", LOOPBACK), ("https://127.0.0.1", LOOPBACK)])
def test_the_address_towards_the_hub_is_this_nodes_own(url, address):
    assert network.address_towards(url) == address


@pytest.mark.parametrize("address, text", [(LOOPBACK, LOOPBACK), ("::1", "[::1]")])
def test_an_address_in_a_url(address, text):
    assert network.bracketed(address) == text


def script(directory, text):
    path = directory / "jupyterhub-singleuser"
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


LONG = "'''exec' {python} \"$0\" \"$@\"\n' '''\n"


@pytest.mark.parametrize("text, found", [
    ("#!{python}\n", True), ("#! {python}\nimport x\n", True), ("#!{python} -E\n", False),
    ("#!/usr/bin/env python3\n", False),
    ("#!/bin/sh\n" + LONG, True), ("#!/bin/sh\n" + LONG.replace("{python}", '"{python}"'), True),
    ("#!/bin/sh\nexec {python} x\n", False), ("#!/bin/sh\n", False), ("#!/nonexistent/python3\n", False),
    ("#!/bin/cat\n", False),
    ("", False), ("\x7fELF", False), ("#!\n", False),
])
def test_the_interpreter_of_a_python_script_is_found_and_anything_else_runs_as_it_is(tmp_path, text, found):
    (tmp_path / "bin dir").mkdir()
    python = tmp_path / ("bin dir" if '"{python}"' in text else "bin") / "python3.11"
    python.parent.mkdir(exist_ok=True)
    python.symlink_to(sys.executable)
    command = script(tmp_path, text.format(python=python))
    argv = server.server_argv([command, "--x"], "/s/run.py", quick=True)
    assert argv == ([str(python), "/s/run.py", "server", "quick"] if found else []) + [command, "--x"]


@pytest.mark.parametrize("quick, mode", [(True, "quick"), (False, "plain")])
def test_a_quick_start_is_a_choice(tmp_path, quick, mode):
    python = tmp_path / "python3"
    python.symlink_to(sys.executable)
    command = script(tmp_path, f"#!{python}\n")
    assert server.server_argv([command], "/s/run.py", quick)[3] == mode


def test_a_command_that_is_not_there_says_its_name():
    with pytest.raises(FileNotFoundError, match="no-such-server"):
        server.server_argv(["no-such-server"], "/s/run.py", quick=True)


@pytest.mark.parametrize("mode", ["plain", "quick"])
def test_the_served_script_finds_itself_as_if_it_were_run_alone(tmp_path, mode):
    command = script(tmp_path, "import sys, json\nprint(json.dumps([__name__, sys.argv, sys.path[0], __file__]))\n")
    code = "import sys; from jupyterhub_hpc_spawner.node.server import serve; serve(*sys.argv[1:])"
    done = subprocess.run([sys.executable, "-c", code, mode, command, "a b"], capture_output=True, text=True)
    assert json.loads(done.stdout) == ["__main__", [command, "a b"], str(tmp_path), command], done.stderr


def test_the_session_file_is_whole_at_every_moment(tmp_path):
    path = tmp_path / "session.json"
    session = SessionFile(str(path), job_id="35", nodes=["n1"])
    session.update(account="geo")
    first = json.loads(path.read_text())
    assert {name: first[name] for name in ("job_id", "nodes", "account", "end", "runtimes")} == {
        "job_id": "35", "nodes": ["n1"], "account": "geo", "end": None, "runtimes": {}}
    with pytest.raises(TypeError):
        session.update(broken=object())
    assert json.loads(path.read_text()) == first


def test_a_session_file_that_cannot_be_written_is_said_once_and_hinders_nothing(tmp_path, capsys):
    home = tmp_path / "home"
    session = SessionFile(str(home / "session.json"))
    session.begin("dask", {})
    session.update(end=1)
    assert capsys.readouterr().err.count("cannot read what changes in this session: [Errno 2]") == 1
    assert session.data["end"] == 1 and session.is_starting("dask")
    home.mkdir()
    session.runtime("dask", state="running")
    assert json.loads((home / "session.json").read_text()) == session.data


def test_a_log_on_a_full_file_system_hinders_nothing(monkeypatch):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stderr", full)
        say("lost")
        monkeypatch.undo()
        with pytest.raises(OSError, match="No space left"):
            full.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())


def test_what_is_known_of_a_runtime_grows(tmp_path):
    session = SessionFile(str(tmp_path / "session.json"))
    session.runtime("dask", state="starting", address="tls://1.2.3.4:5")
    session.runtime("dask", state="failed", error="it fell")
    assert json.loads((tmp_path / "session.json").read_text())["runtimes"] == {
        "dask": {"state": "failed", "address": "tls://1.2.3.4:5", "error": "it fell"}}
    assert [path.name for path in tmp_path.iterdir()] == ["session.json"]


@pytest.fixture
def witness(tmp_path):
    """A named pipe and its reader, who sees the end when the last process that opened it has ended."""
    path = tmp_path / "witness"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    yield path, reader
    os.close(reader)


async def text_of(reader):
    await asyncio.get_running_loop().run_in_executor(None, select.select, [reader], [], [], 5)
    return os.read(reader, 100)


@pytest.mark.parametrize("body, grace", [
    ("trap '' TERM; sh -c 'sleep 20; sleep 20' & echo up >&9; while :; do sleep 20; done", 0.2),
    ("(trap '' TERM; sleep 20) & echo up >&9; wait", 5),
    ("trap 'exit 3' TERM; echo up >&9; while :; do sleep 0.01; done", 5),
    ("sleep 20 & echo up >&9", 5),
], ids=["deaf with grandchildren", "deaf child", "obedient", "ended and left a child"])
async def test_the_end_of_a_child_is_the_end_of_all_its_processes(witness, body, grace):
    path, reader = witness
    child = await processes.Child.start("test", ["bash", "-c", f"exec 9>{path}; {body}"])
    assert await text_of(reader) == b"up\n"
    await asyncio.wait_for(child.end(grace), 5)
    assert await text_of(reader) == b"" and child.process.returncode is not None


async def test_an_obedient_child_keeps_its_own_status_and_its_output_is_in_the_log(tmp_path, witness):
    path, reader = witness
    body = f"trap 'echo bye; exit 3' TERM; echo up >{path}; while :; do sleep 0.01; done"
    child = await processes.Child.start("test", ["bash", "-c", body], log=str(tmp_path / "log"))
    assert await text_of(reader) == b"up\n"
    await child.end(5)
    assert child.process.returncode == 3 and processes.tail(str(tmp_path / "log"), 1) == "bye"


@pytest.mark.parametrize("text, lines, expected", [
    ("one\ntwo\nthree\n", 2, "two\nthree"), ("", 2, ""), ("x" * 9000 + "\nlast\n", 1, "last"),
    ("a\n" * 100, 15, "\n".join("a" * 15))])
def test_the_tail_of_a_log(tmp_path, text, lines, expected):
    (tmp_path / "log").write_text(text)
    assert processes.tail(str(tmp_path / "log"), lines) == expected
    assert processes.tail(str(tmp_path / "none")) == ""


def test_the_staged_code_refuses_an_unknown_verb(tmp_path):
    node = Path(jupyterhub_hpc_spawner.__file__).parent / "node"
    (tmp_path / "node").symlink_to(node)
    (tmp_path / "run.py").write_bytes((node / "run.py").read_bytes())
    done = subprocess.run([sys.executable, "-I", tmp_path / "run.py", "fly"], capture_output=True, text=True)
    assert done.returncode != 0
