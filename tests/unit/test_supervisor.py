"""The process that keeps a node's workers, and its successors: real small programs, and no waiting between them."""
import os
import signal
import sys
import threading
import time

import pytest
from jupyterhub_hpc_spawner.node import backoff, supervisor

# Leaves a file for each time that it was started, and what it sees of the one before.
PROGRAM = """
import os, signal, sys
scratch, log, end = sys.argv[1:]
with open(log, "a") as out:
    out.write("%d files\\n" % len(os.listdir(scratch)))
os.mkdir(scratch + "/0")
open(scratch + "/pulse", "x").close()
exec(end)
"""


@pytest.fixture
def supervise(tmp_path, monkeypatch):
    """Of a program that ends in that way: (exit status, its starts, the note)."""
    def run(end):
        (tmp_path / "scratch").mkdir()
        argv = [sys.executable, "-c", PROGRAM, tmp_path / "scratch", tmp_path / "log", end]
        status = supervisor.Supervisor(argv, None, str(tmp_path / "scratch"), str(tmp_path / "note")).run()
        note = tmp_path / "note"
        return status, (tmp_path / "log").read_text().splitlines(), note.read_text() if note.exists() else ""
    monkeypatch.setattr(backoff, "DELAYS", (0,) * len(backoff.DELAYS))
    before = {number: signal.getsignal(number) for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT,
                                                              signal.SIGHUP)}
    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("status", [0, 1])
def test_an_end_of_its_own_is_the_end(supervise, status):
    assert supervise(f"sys.exit({status})") == (status, ["0 files"], "")


@pytest.mark.parametrize(("end", "status", "words"), [
    ("os.kill(os.getpid(), signal.SIGKILL)", 137, "was killed (signal 9), and they went with it"),
    (f"sys.exit({supervisor.BROKEN})", supervisor.BROKEN, "broke, and they went with it")])
def test_one_that_is_killed_or_breaks_right_after_every_start_is_given_up_in_the_end(supervise, end, status, words):
    done, starts, note = supervise(end)
    assert done == status and starts == ["0 files"] * len(backoff.DELAYS)
    assert words in note and len(note.splitlines()) == 1


def test_told_to_end_while_it_waits_it_starts_none(supervise, monkeypatch):
    monkeypatch.setattr(backoff, "DELAYS", (60,) * len(backoff.DELAYS))
    threading.Timer(1, os.kill, (os.getpid(), signal.SIGTERM)).start()
    begin = time.monotonic()
    status, starts, _ = supervise("os.kill(os.getpid(), signal.SIGSEGV)")
    signal.alarm(0)
    assert time.monotonic() - begin < 10 and (status, starts) == (139, ["0 files"])
