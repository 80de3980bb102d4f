"""One command on all nodes of a job, through starters that hand on nothing, lose output and ignore their own end."""
import asyncio
import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jupyterhub_hpc_spawner
import pytest
from jupyterhub_hpc_spawner.node import everywhere
from jupyterhub_hpc_spawner.node.everywhere import Everywhere

NODE_CODE = Path(jupyterhub_hpc_spawner.__file__).parent / "node"
# As pbs_tmrsh does it: no environment, home as directory, no output; and deaf, so that its end ends nothing.
LIKE_PBS = """#!/bin/sh
trap '' TERM
shift
cd / && env -i PATH=/usr/bin:/bin HOME=/ TMPDIR=/of/that/node "$@" </dev/null >/dev/null 2>&1
"""
# As qrsh and ssh do it: one line for a shell.
LIKE_SSH = """#!/bin/sh
shift
cd / && exec env -i PATH=/usr/bin:/bin HOME=/ sh -c "$*" </dev/null
"""


@pytest.fixture
def launcher(tmp_path):
    """What the launcher is to ``Everywhere``: a session directory with an awkward name, two nodes that are this one."""
    directory = tmp_path / "a 'session' $x"
    directory.mkdir()
    (directory / "node").symlink_to(NODE_CODE)
    (directory / "run.py").write_bytes((NODE_CODE / "run.py").read_bytes())
    for name, text in (("like-pbs", LIKE_PBS), ("like-ssh", LIKE_SSH)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return SimpleNamespace(
        directory=directory, address="127.0.0.1", nodes=["here", "there"],
        path=lambda *names: str(directory.joinpath(*names)),
        node_command=lambda verb, *rest: [sys.executable, str(directory / "run.py"), verb, *rest],
        pbs=[str(tmp_path / "like-pbs"), "{node}"], ssh=[str(tmp_path / "like-ssh"), "{node}", "{command}"])


async def start(launcher, remote_run, code, env=None, grace=5):
    return await Everywhere.start(launcher, "work", remote_run, [sys.executable, "-c", code], env,
                                  launcher.path("work.log"), grace)


def logs(launcher):
    return sorted(path.read_text() for path in launcher.directory.glob("work.log*"))


async def until(condition):
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not happen within ten seconds")


@pytest.mark.parametrize("way", ["pbs", "ssh"])
async def test_every_node_gets_environment_directory_and_log(launcher, way, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    env = {**os.environ, "WHO": "l'été\n\"$x\"", "TMPDIR": "/of/the/first/node", "HOSTNAME": "first"}
    code = "import os; print(repr(os.environ['WHO']), os.getcwd(), os.environ.get('TMPDIR'))"
    group = await start(launcher, getattr(launcher, way), code, env)
    assert await group.wait() == 0
    there = {"pbs": "/of/that/node", "ssh": "None"}[way]
    said = repr(env["WHO"])
    assert logs(launcher) == sorted([f"{said} {tmp_path} /of/the/first/node\n", f"{said} {tmp_path} {there}\n"])
    assert said in group.tail() and there in group.tail()


async def test_orders_are_for_the_owners_eyes(launcher):
    group = await start(launcher, launcher.pbs, "pass")
    orders = next(launcher.directory.glob("work-*.json"))
    assert orders.stat().st_mode & 0o777 == 0o600
    assert await group.wait() == 0


@pytest.mark.parametrize(("code", "status"), [("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 9)", 137)])
async def test_a_status_comes_back_and_never_as_a_signal(launcher, code, status):
    """On Grid Engine a task that a signal ended takes the whole job with it."""
    launcher.nodes = ["here", "there"]
    code = f"import os, sys\nif os.environ['HOME'] == '/elsewhere':\n    {code}"
    group = await start(launcher, launcher.ssh, code, {**os.environ, "HOME": "/elsewhere"})
    await group.wait()
    assert [child.returncode for child in group.children][1] == status
    assert group.returncode in (status, -9)


WAITS = """
import os, signal, subprocess, sys, time
child = subprocess.Popen(["sleep", "60"])
print("pids", os.getpid(), child.pid, flush=True)
time.sleep(60)
"""


def pids(launcher):
    return [int(pid) for log in logs(launcher) if log.startswith("pids") for pid in log.split()[1:]]


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("way", ["pbs", "ssh"])
@pytest.mark.parametrize("code", [WAITS, "import signal; signal.signal(15, signal.SIG_IGN)" + WAITS],
                         ids=["obedient", "deaf"])
async def test_the_end_is_the_end_everywhere(launcher, way, code):
    group = await start(launcher, getattr(launcher, way), code, grace=0.5)
    await until(lambda: len(pids(launcher)) == 4)
    assert group.returncode is None and all(map(alive, pids(launcher)))
    await asyncio.wait_for(group.end(0.5), 10)
    assert not any(map(alive, pids(launcher))) and group.returncode is not None


async def test_other_nodes_end_when_the_first_one_is_gone(launcher):
    """Whatever happens to the launcher: here it is killed."""
    code = f"""
import asyncio, os, sys
from types import SimpleNamespace
from jupyterhub_hpc_spawner.node.everywhere import Everywhere
d = {str(launcher.directory)!r}
launcher = SimpleNamespace(address="127.0.0.1", nodes=["here", "there"], path=lambda *n: os.path.join(d, *n),
                           node_command=lambda *n: [sys.executable, os.path.join(d, "run.py"), *n])
async def main():
    group = await Everywhere.start(launcher, "work", {launcher.pbs!r}, [sys.executable, "-c", {WAITS!r}], None,
                                   os.path.join(d, "work.log"), 1)
    await group.wait()
asyncio.run(main())
"""
    first = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    await until(lambda: len(pids(launcher)) == 4)
    first.send_signal(signal.SIGKILL)
    first.wait()
    leaders = [int(log.split()[1]) for log in logs(launcher) if log.startswith("pids")]
    await until(lambda: not any(map(alive, leaders)))
    for pid in pids(launcher):  # the first node's grandchild is the batch system's to end
        if alive(pid):
            os.kill(pid, signal.SIGKILL)


async def test_strangers_at_the_lifeline_change_nothing(launcher, monkeypatch):
    monkeypatch.setattr(everywhere, "GREETING_TIMEOUT", 0.2)
    group = await start(launcher, launcher.pbs, WAITS)
    await until(lambda: len(pids(launcher)) == 4 and group.lifelines)
    address = group.server.sockets[0].getsockname()
    for greeting in (b"", b"wrong\n", b"x" * 100000, None):
        reader, writer = await asyncio.open_connection(*address)
        if greeting is not None:
            writer.write(greeting)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
    assert len(group.lifelines) == 1 and group.returncode is None and all(map(alive, pids(launcher)))
    await group.end(1)


async def test_a_first_node_that_cannot_be_reached_is_said(launcher):
    orders = {"name": "work", "argv": ["true"], "env": {}, "cwd": "/nowhere", "log": launcher.path("work.log"),
              "lifeline": ["127.0.0.1", 1], "key": "k", "grace": 1}
    Path(launcher.path("orders.json")).write_text(json.dumps(orders))
    done = subprocess.run(launcher.node_command("agent", launcher.path("orders.json")), cwd="/")
    text = "".join(logs(launcher))
    assert done.returncode == 1 and "the session's first node cannot be reached" in text
    assert "/nowhere: No such file or directory; starting in /" in text


async def test_one_node_needs_no_starter(launcher):
    launcher.nodes = ["here"]
    group = await start(launcher, ["/nonexistent", "{node}"], "print('ran')")
    assert await group.wait() == 0 and logs(launcher) == ["ran\n"] and group.server is None
    await group.end(1)


async def test_a_starter_for_all_nodes_is_run_once(launcher):
    group = await start(launcher, ["env", "STARTER=srun"], "import os; print(os.environ['STARTER'])")
    assert await group.wait() == 0 and logs(launcher) == ["srun\n"]


def test_a_shell_line_reads_back_as_the_command():
    command = ["/a b/python", "/s'x/run.py", "$HOME", "*"]
    words = everywhere._words(["qrsh", "{node}", "{command}"], "n2", command)
    assert words[:2] == ["qrsh", "n2"] and shlex.split(words[2]) == command
    assert everywhere._words(["tmrsh", "-h", "{node}"], "n2", command) == ["tmrsh", "-h", "n2", *command]


async def test_a_start_that_is_cancelled_leaves_nothing_on_any_node(launcher, monkeypatch):
    """The session may end while its runtimes start."""
    begun = []
    begin = everywhere.Child.start

    async def cancelled_at_the_second(*arguments):
        if begun:
            raise asyncio.CancelledError
        begun.append(await begin(*arguments))
        return begun[0]
    monkeypatch.setattr(everywhere.Child, "start", cancelled_at_the_second)
    with pytest.raises(asyncio.CancelledError):
        await start(launcher, launcher.pbs, "import time; time.sleep(60)")
    assert begun[0].returncode is not None


def test_logs_of_a_directory_that_is_gone_are_empty(tmp_path):
    assert Everywhere(str(tmp_path / "gone" / "workers.log")).tail() == ""


# A rank of an MPI program: deaf to the signals of others, and where no thread of Python gets its turn.
RANK = """
import ctypes, signal, sys
from node.lifeline import guard
guard(sys.argv[1])
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
print("pids", __import__("os").getpid(), flush=True)
ctypes.PyDLL(None).sleep(60)
"""
# As hydra_pmi_proxy starts a rank: in a session of its own, so that signals for the starter's group miss it.
LIKE_HYDRA = "import subprocess, sys; subprocess.Popen(sys.argv[1:], start_new_session=True).wait()"


async def start_rank(launcher):
    command = ["env", f"PYTHONPATH={launcher.directory}", sys.executable, "-c", RANK, everywhere.LIFELINE]
    group = await Everywhere.start(launcher, "rank", [sys.executable, "-c", LIKE_HYDRA], command, None,
                                   launcher.path("work.log"), 0.5)
    await until(lambda: len(pids(launcher)) == 1)
    return group, pids(launcher)[0]


async def test_a_rank_whose_starter_was_killed_ends_with_the_launcher(launcher):
    group, rank = await start_rank(launcher)
    await until(lambda: group.lifelines)
    group.children[0].process.kill()
    await group.wait()
    assert alive(rank)
    await group.end(0)
    await until(lambda: not alive(rank))


async def test_a_rank_that_finds_no_launcher_ends(launcher, monkeypatch):
    """It began when the session had ended already."""
    monkeypatch.setattr(Everywhere, "_welcome", lambda self, reader, writer: writer.close())
    group, rank = await start_rank(launcher)
    await until(lambda: not alive(rank))
    await group.end(0)


async def test_a_rank_that_ends_leaves_nobody_who_looks_after_it(launcher):
    group, rank = await start_rank(launcher)
    guards = Path(f"/proc/{rank}/task/{rank}/children").read_text().split()
    os.kill(rank, signal.SIGKILL)
    await until(lambda: not any(map(alive, map(int, guards))))
    assert len(guards) == 1
    await group.end(0)
