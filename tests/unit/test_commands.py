"""Programs run with what they were given and nothing more, and never for longer."""
import asyncio
import gc
import json
import os
import pwd
import select
import sys
from types import SimpleNamespace

import pytest
from jupyterhub_hpc_spawner.errors import HelperError, NoAnswer, QueryError
from jupyterhub_hpc_spawner.hub import commands
from jupyterhub_hpc_spawner.hub.commands import Account, Helper, base_environment, run, within

ENV = {"PATH": "/usr/bin:/bin"}


@pytest.fixture
def witness(tmp_path):
    """A named pipe whose reader sees the end when the last process that opened it has ended."""
    path = tmp_path / "witness"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    yield SimpleNamespace(path=path, read=lambda: read_to_end(reader), wait=lambda: select.select([reader], [], [], 5))
    os.close(reader)
    gc.collect(1)  # what is left of programs that were killed belongs to this test, and to no later one


def read_to_end(reader):
    """What was written before every writer ended; fails after five seconds."""
    text = b""
    while select.select([reader], [], [], 5)[0]:
        chunk = os.read(reader, 100)
        if not chunk:
            return text
        text += chunk
    raise AssertionError("a process that was to end is still there")


async def test_a_program_gets_its_arguments_and_input_and_its_output_comes_back():
    done = await run(["sh", "-c", 'cat; echo "$@" >&2; exit 3', "sh", "a b", "$HOME;'"], env=ENV, timeout=10,
                     stdin="é\n")
    assert (done.argv[0], done.returncode, done.stdout, done.stderr) == ("sh", 3, "é\n", "a b $HOME;'\n")


async def test_the_environment_is_exactly_what_is_given(monkeypatch):
    monkeypatch.setenv("CONFIGPROXY_AUTH_TOKEN", "secret")
    done = await run(["/usr/bin/env", "-0"], env={"A": "b\nc", "PATH": "/bin"}, timeout=10)
    assert set(done.stdout.split("\0")) == {"A=b\nc", "PATH=/bin", ""}


def test_commands_get_nothing_of_the_hubs_own_environment(monkeypatch):
    monkeypatch.setenv("CONFIGPROXY_AUTH_TOKEN", "secret")
    env = base_environment({"SLURM_CONF": "/etc/slurm/slurm.conf"})
    assert set(env) == {"PATH", "LANG", "SLURM_CONF"}
    assert os.path.dirname(sys.executable) in env["PATH"].split(":")


def test_a_sites_path_comes_before_the_usual_one():
    assert base_environment({"PATH": "/opt/slurm/bin"})["PATH"] == "/opt/slurm/bin:" + base_environment({})["PATH"]


async def test_programs_run_in_the_root_directory():
    assert (await run(["pwd"], env=ENV, timeout=10)).stdout == "/\n"


@pytest.mark.parametrize("program", ["/nonexistent/squeue", "no-such-program", "/etc/passwd", "/"])
async def test_a_program_that_cannot_start_is_a_query_error(program):
    with pytest.raises(QueryError, match=f"{program} cannot be run"):
        await run([program], env=ENV, timeout=10)


@pytest.mark.parametrize("script", [
    "sleep 20 & {open}; wait", "trap '' TERM; {open}; sleep 20", "sh -c '{open}; sleep 20' & wait",
    # The program itself ends, and what it left behind keeps its output open.
    "sleep 20 & {open}; exit 0",
], ids=["child", "deaf", "grandchild", "left behind"])
async def test_a_timeout_kills_the_program_and_everything_that_it_started(witness, script):
    script = script.format(open=f"exec 9>{witness.path}; echo up >&9")
    # Opened first, so that whatever the script starts has it too.
    with pytest.raises(QueryError, match="did not answer within 0.5 s"):
        await run(["sh", "-c", f"exec 8>{witness.path}; {script}"], env=ENV, timeout=0.5)
    assert witness.read() == b"up\n"


async def test_a_question_that_nobody_waits_for_any_more_is_ended_too(witness):
    script = f"exec 9>{witness.path}; echo up >&9; exec sleep 60"
    task = asyncio.ensure_future(run(["sh", "-c", script], env=ENV, timeout=100))
    await asyncio.get_running_loop().run_in_executor(None, witness.wait)
    task.cancel()
    await asyncio.wait([task], timeout=5)
    assert task.cancelled() and witness.read() == b"up\n"


@pytest.mark.parametrize("stream", ["", " >&2"])
async def test_output_is_bounded_and_a_program_that_prints_too_much_is_ended(witness, stream):
    with pytest.raises(QueryError, match="more than 1000 bytes"):
        await run(["sh", "-c", f"exec 9>{witness.path}; while :; do echo xxxxxxxxx{stream}; done"], env=ENV, timeout=20,
                  limit=1000)
    assert witness.read() == b""


async def test_output_up_to_the_limit_is_whole():
    assert len((await run(["head", "-c", "1000", "/dev/zero"], env=ENV, timeout=10, limit=1000)).stdout) == 1000


async def test_a_program_that_does_not_read_its_input_is_no_error():
    assert (await run(["true"], env=ENV, timeout=10, stdin="x" * 10 ** 6)).returncode == 0


async def test_output_that_is_no_utf8_is_still_an_answer():
    assert (await run(["printf", "a\\377b"], env=ENV, timeout=10)).stdout == "a\ufffdb"


USER = Account(1234, 1235, "/home/alice", "/bin/zsh", [1235, 77])
SUDO = ["sudo", "-n", "-H", "-u", "alice", "--", "/opt/helper"]
AS_ALICE = {"user": 1234, "group": 1235, "extra_groups": [1235, 77]}


@pytest.mark.parametrize("euid, prefix, argv, identity", [
    (1000, (), SUDO, {}), (0, (), ["/opt/helper"], AS_ALICE), (1234, (), ["/opt/helper"], {}),
    (0, ("ssh", "-l", "{username}", "n{username}"), ["ssh", "-l", "alice", "n{username}", "/opt/helper"], {}),
], ids=["sudo", "root", "the user", "prefix"])
async def test_the_helper_acts_as_the_user(monkeypatch, euid, prefix, argv, identity):
    calls = []

    async def find(accounts, username):
        return USER

    async def fake_run(argv, *, env, stdin, timeout, **identity):
        calls.append((argv, identity, env))
        return SimpleNamespace(stdout='{"ok": true, "log": "x"}', stderr="", returncode=0)

    monkeypatch.setattr(commands, "run", fake_run)
    monkeypatch.setattr(commands.Accounts, "find", find)
    monkeypatch.setattr(commands.os, "geteuid", lambda: euid)
    assert (await Helper("/opt/helper", prefix).ask("alice", "end", 5))["log"] == "x"
    (called, given, env), = calls
    assert (called, given) == (argv, identity)
    assert (env["HOME"], env["USER"]) == ("/home/alice", "alice")


@pytest.mark.parametrize("username", ["", "-x", "a b", "a;b", "a\n", "../a", "é", "a" * 200, "$USER"])
async def test_a_name_that_is_no_users_goes_nowhere(username):
    with pytest.raises(HelperError, match="cannot be the name of a system user"):
        await Helper("/nonexistent").ask(username, "end", 5)


ME = pwd.getpwuid(os.geteuid()).pw_name


@pytest.mark.parametrize("program, words", [
    ("#!/bin/sh\necho 'sudo: a password is required' >&2; exit 1\n", "a password is required"),
    ("#!/bin/sh\nexit 4\n", "exit status 4"), ("#!/bin/sh\necho '[1]'\n", "the helper"),
    ("#!/bin/sh\necho '{}'\n", "the helper"),
    ('#!/bin/sh\necho \'{"ok": false, "error": "Refused: no"}\'\n', "refused to end: Refused: no"),
    (None, "cannot be run"),
])
async def test_a_helper_that_does_not_answer_is_the_administrators_error(tmp_path, program, words):
    path = tmp_path / "helper"
    if program:
        path.write_text(program)
        path.chmod(0o755)
    with pytest.raises(HelperError, match=words) as caught:
        await Helper(str(path)).ask(ME, "end", 5)
    assert not isinstance(caught.value, NoAnswer)


@pytest.mark.parametrize("script", [
    "echo; kill -9 $$", "echo; echo oops >&2; exit 1", "echo; printf '{\"ok\": tr'", "echo",
])
async def test_of_a_helper_that_began_and_gave_no_whole_answer_nobody_knows_what_it_did(tmp_path, script):
    path = tmp_path / "helper"
    path.write_text(f"#!/bin/sh\ncat >/dev/null\n{script}\n")
    path.chmod(0o755)
    with pytest.raises(NoAnswer, match="began to act as"):
        await Helper(str(path)).ask(ME, "submit", 5)


RAN = {"ok": True, "returncode": 0, "stdout": "", "stderr": "", "timeout": False}


@pytest.mark.parametrize(("verb", "answer"), [
    ("run", {"ok": True}), ("submit", {"ok": True}), ("end", {"ok": True}), ("end", {"ok": True, "log": None}),
    ("end", {"ok": False}), *(("run", {**RAN, name: None}) for name in RAN if name != "ok"),
    *(("submit", {key: RAN[key] for key in RAN if key != name}) for name in RAN if name != "ok"),
])
async def test_an_answer_that_lacks_what_it_should_have_is_the_administrators_error(tmp_path, verb, answer):
    path = tmp_path / "helper"
    path.write_text(f"#!/bin/sh\ncat >/dev/null\necho '{json.dumps(answer)}'\n")
    path.chmod(0o755)
    with pytest.raises(HelperError, match="refused to end|something else"):
        await (Helper(str(path)).ask(ME, verb, 5) if verb == "end" else
               Helper(str(path)).run(ME, ["sbatch"], 5, verb=verb))


@pytest.mark.parametrize("answer, error", [
    ('{"ok": true, "returncode": 3, "stdout": "a", "stderr": "b", "timeout": false}', None),
    ('{"ok": true, "returncode": -1, "stdout": "", "stderr": "sbatch did not answer in 5 s", "timeout": true}',
     "did not answer"),
])
async def test_a_command_as_the_user_comes_back_as_it_ended(tmp_path, answer, error):
    path = tmp_path / "helper"
    path.write_text(f"#!/bin/sh\ncat >/dev/null\necho '{answer}'\n")
    path.chmod(0o755)
    asked = Helper(str(path)).run(ME, ["sbatch"], 5)
    if error:
        with pytest.raises(QueryError, match=error):
            await asked
    else:
        done = await asked
        assert (done.argv, done.returncode, done.stdout, done.stderr) == (("sbatch",), 3, "a", "b")


async def test_a_cancellation_is_not_lost_in_the_moment_of_the_answer():
    """Or whoever asks again and again never ends, and the Hub with it: wait_for of Python 3.11 loses it."""
    async def answer():
        asyncio.get_running_loop().call_soon(asking.cancel)

    asking = asyncio.ensure_future(within(5, answer()))
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_what_takes_too_long_is_ended_and_its_error_comes_through():
    ended = asyncio.ensure_future(asyncio.sleep(60))
    with pytest.raises(asyncio.TimeoutError):
        await within(0.01, ended)
    assert ended.cancelled()

    async def fail():
        raise QueryError("no")

    with pytest.raises(QueryError, match="no"):
        await within(5, fail())


@pytest.mark.parametrize("turns", range(8))
async def test_a_hub_that_ends_waits_for_no_program_that_it_is_just_starting(turns):
    """JupyterHub cancels every task there is, also those that asyncio itself made in between."""
    asked = asyncio.ensure_future(run(["sleep", "20"], env=ENV, timeout=60))
    for _ in range(turns):
        await asyncio.sleep(0)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    done, _ = await asyncio.wait([asked], timeout=2)
    assert done and asked.cancelled()
