"""Many sessions one after the other: what each of them leaves would add up. ``HPC_TEST_ROUNDS=50`` looks longer."""
import os
import time
from pathlib import Path

from test_session_runtimes import DASK, ENGINES, options, own_files, run, stop

ONLY = ("slurm",)
WORK = DASK + ENGINES + "print(client.submit(lambda: 41).result(), rc[:].apply_sync(lambda: 1))\n"


def open_files(hub):
    return len(list(Path(f"/proc/{hub.process.pid}/fd").iterdir()))


def test_many_sessions_with_both_runtimes_on_two_nodes_leave_nothing(idle):
    """No job, process, directory or file of theirs on any node, and no open file in the Hub."""
    before, opened = own_files(idle.cluster), []
    for number in range(int(os.environ.get("HPC_TEST_ROUNDS", "2"))):
        begin = time.monotonic()
        assert idle.spawn("alice", options(idle.cluster, 2, "dask", "ipyparallel"))[-1].get("ready")
        ready = time.monotonic()
        assert run(idle, WORK) == "41 [1, 1]\n"
        end = time.monotonic()
        stop(idle, before)
        opened.append(open_files(idle))
        print(f"round {number}: {ready - begin:.1f} s to the session, {time.monotonic() - end:.1f} s until nothing is "
              f"left; the Hub has {opened[-1]} open files")
    assert opened[-1] <= opened[0] + 3, opened
