"""One node's Dask workers on a real scheduler with TLS: what nannies gave is there without nannies."""
import os
import signal
import socket
import subprocess
import time

import pytest
from support.dask_node import DaskNode
from support.dask_tasks import MIB, hog, slow_square, variables
from support.running_hub import wait_for


@pytest.fixture
def fresh(tmp_path):
    node = DaskNode(tmp_path)
    yield node
    if node.client:
        node.client.close()
    node.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Two workers that tests leave as they found them."""
    node = DaskNode(tmp_path_factory.mktemp("node"))
    node.start(2, CUDA_VISIBLE_DEVICES="GPU-a,3", HPC_JOB_MEMORY=str(2048 * MIB))
    yield node
    try:
        node.stop()
        node.assert_nothing_left()
    finally:
        node.close()


def test_a_killed_worker_is_back_in_five_seconds_and_the_result_is_right(shared):
    before = shared.pids()
    futures = shared.client.map(slow_square, range(60), pure=False)
    time.sleep(0.5)
    os.kill(before["n1-0"], signal.SIGKILL)
    begin = time.monotonic()
    wait_for(lambda: len(shared.names()) == 2 and shared.pids().get("n1-0") not in (before["n1-0"], None), 20,
             shared.log)
    assert time.monotonic() - begin < 5
    assert shared.client.gather(futures) == [x * x for x in range(60)]
    assert shared.pids()["n1-1"] == before["n1-1"]


def test_names_are_unique_and_tell_the_node(shared):
    assert shared.names() == ["n1-0", "n1-1"]


def test_restart_gives_new_workers(shared):
    before = shared.pids()
    kept = shared.client.submit(slow_square, 3)
    shared.client.submit(time.sleep, 600)  # restart is how users end a task that does not
    assert kept.result() == 9
    shared.client.restart(timeout=30)
    after = shared.pids()
    assert sorted(after) == sorted(before) and not set(after.values()) & set(before.values())
    assert kept.status == "cancelled" and shared.client.submit(slow_square, 4).result() == 16


def test_one_worker_can_be_restarted(shared):
    before = shared.pids()
    shared.client.restart_workers(["n1-1"], timeout=30)
    wait_for(lambda: len(shared.names()) == 2, 20, shared.log)
    after = shared.pids()
    assert after["n1-0"] == before["n1-0"] and after["n1-1"] != before["n1-1"]


def test_a_worker_with_too_much_memory_is_replaced_and_the_others_live(shared):
    before = shared.pids()
    limits = {worker["memory_limit"] for worker in shared.known()}
    assert len(limits) == 1 and limits.pop() < 1024 * MIB
    future = shared.client.submit(hog, 1000 * MIB, workers=["n1-0"], retries=0)
    wait_for(lambda: shared.pids().get("n1-0", before["n1-0"]) != before["n1-0"], 30, shared.log)
    future.cancel()
    assert "worker n1-0 is killed" in shared.log() and "MiB is too much" in shared.log()
    assert shared.pids()["n1-1"] == before["n1-1"]


def test_environment_resources_and_threads(shared):
    names = ("CUDA_VISIBLE_DEVICES", "MALLOC_TRIM_THRESHOLD_", "OMP_NUM_THREADS", "PYTHONHASHSEED")
    seen = shared.client.run(variables, *names)
    assert sorted(seen.values()) == [["3", "65536", "1", "6640"], ["GPU-a", "65536", "1", "6640"]]
    assert [worker["resources"] for worker in shared.known()] == [{"GPU": 1}] * 2


def test_forked_workers_do_not_draw_the_same_random_numbers(shared):
    pytest.importorskip("numpy")

    def draw():
        import random
        import numpy
        return random.random(), float(numpy.random.rand())

    ours, numpys = zip(*shared.client.run(draw).values())
    assert len(set(ours)) == len(set(numpys)) == 2


def test_workers_listen_for_dask_only(shared):
    """No port with /metrics or /health, which answer everybody on the node."""
    pids = shared.pids().values()
    sockets = {os.readlink(f"/proc/{pid}/fd/{fd}") for pid in pids for fd in os.listdir(f"/proc/{pid}/fd")
               if os.path.islink(f"/proc/{pid}/fd/{fd}")}
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table][1:]
    listening = {int(row[1].rpartition(":")[2], 16) for row in rows
                 if row[3] == "0A" and f"socket:[{row[9]}]" in sockets}
    assert listening == {int(worker["nanny"].rpartition(":")[2]) for worker in shared.known()}
    assert all(worker["services"] == {} for worker in shared.known())
    for port in listening:
        with socket.create_connection(("127.0.0.1", port), 5) as plain:
            plain.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            plain.settimeout(5)
            try:
                assert b"HTTP" not in plain.recv(1000)
            except ConnectionError:
                pass


def test_a_retired_worker_stays_away(fresh):
    fresh.start(2)
    fresh.client.retire_workers(names=["n1-1"])
    time.sleep(2)
    assert fresh.names() == ["n1-0"]
    assert fresh.stop() == 0
    fresh.assert_nothing_left()


def test_32_workers_join_and_leave(fresh):
    fresh.start(32)
    assert fresh.names() == sorted(f"n1-{index}" for index in range(32))
    assert fresh.stop() == 0
    fresh.assert_nothing_left()


def test_the_death_of_the_scheduler_ends_the_workers(fresh):
    fresh.start(2)
    fresh.scheduler.kill()
    fresh.scheduler.wait()
    assert fresh.workers.wait(15) == 0
    fresh.assert_nothing_left()


@pytest.mark.parametrize("launcher", ["fork", "nanny"])
def test_when_what_keeps_the_workers_is_killed_all_are_back_and_it_is_told(fresh, launcher):
    fresh.start(2, launcher)
    before = fresh.pids()
    os.kill(fresh.keeper(), signal.SIGKILL)
    wait_for(lambda: all(fresh.pids().get(name) not in (pid, None) for name, pid in before.items()), 30, fresh.log)
    assert fresh.client.submit(slow_square, 5).result(10) == 25
    node = os.uname().nodename.split(".")[0]
    assert f"the process that keeps the workers of {node} was killed (signal 9), and they went" in fresh.note()
    os.kill(fresh.keeper(), signal.SIGKILL)
    fresh.workers.terminate()  # meanwhile nothing is there that could be told
    assert fresh.workers.wait(15) is not None
    fresh.stop()
    fresh.assert_nothing_left()


@pytest.mark.parametrize("launcher", ["fork", "nanny"])
def test_a_signal_to_the_launcher_ends_all(fresh, launcher):
    fresh.start(2, launcher)
    fresh.workers.terminate()
    fresh.workers.wait(15)
    fresh.client.close()
    fresh.scheduler.terminate()
    fresh.scheduler.wait(20)
    fresh.assert_nothing_left()


def test_many_starts_and_ends_leave_nothing(fresh):
    """``HPC_TEST_ROUNDS=50`` looks longer. A hang at the end, as Dask's own workers have, is a timeout here."""
    for _ in range(int(os.environ.get("HPC_TEST_ROUNDS", "4"))):
        fresh.start(3)
        assert fresh.client.submit(slow_square, 5).result() == 25
        assert fresh.stop() == 0
        fresh.assert_nothing_left()


THREAD = "import threading, time\nthreading.Thread(target=time.sleep, args=(3600,), name='site', daemon=True).start()\n"


@pytest.mark.parametrize(("file", "method"), [("site_preload.py", "forkserver"), ("sitecustomize.py", "spawn")])
def test_a_thread_before_the_fork_is_said_and_gone_round(fresh, file, method):
    (fresh.directory / "site").mkdir()
    (fresh.directory / "site" / file).write_text(THREAD)
    fresh.start(2, PYTHONPATH=f"{fresh.directory}/site:{fresh.env['PYTHONPATH']}", DASK_DISTRIBUTED__WORKER__PRELOAD=(
        '["site_preload"]' if file == "site_preload.py" else "[]"))
    words = f"n1 cannot be forked safely: there are the threads site; workers start with {method}"
    assert words in fresh.note().replace(os.uname().nodename.split(".")[0], "n1")
    assert "cannot be forked safely" in fresh.log()
    before = fresh.pids()
    os.kill(before["n1-0"], signal.SIGKILL)
    wait_for(lambda: fresh.pids().get("n1-0") not in (before["n1-0"], None), 30, fresh.log)
    assert fresh.client.submit(slow_square, 5).result() == 25
    assert fresh.stop() == 0
    fresh.assert_nothing_left()


def test_threads_of_blas_are_no_reason(fresh):
    """OpenBLAS ends its threads before a fork."""
    pytest.importorskip("numpy")
    fresh.start(1, threads=2)
    assert fresh.note() == ""


def test_workers_that_cannot_start_are_given_up(fresh):
    fresh.start(1)
    broken = dict(fresh.env, DASK_DISTRIBUTED__WORKER__PRELOAD='["no_such_module_anywhere"]')
    done = subprocess.run(fresh.workers.args, cwd=fresh.directory, env=broken, capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 1 and "no worker could be started" in done.stderr
