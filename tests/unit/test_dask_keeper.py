"""What keeps Dask's workers decides by clock, exit status and pulse: here all are made up, and so are the processes."""
import itertools
import sys
from types import SimpleNamespace

import pytest
from jupyterhub_hpc_spawner.node import backoff, dask_keeper

FAILED, AS_TOLD, STAY_AWAY = 1, 75, 0
SILENCE = 300


class FakeProcess:
    """Runs until the clock says so, or until it is killed."""

    pids = itertools.count(1)

    def __init__(self, node, index):
        self.node = node
        self.index = index
        self.pid = self.sentinel = next(self.pids)
        self.exitcode = None

    def start(self):
        life, self.code = self.node.lives[self.index]
        self.until = self.node.now + life
        self.node.started[self.index].append(self.node.now)

    def kill(self):
        self.until, self.code = self.node.now, -9
        self.node.killed.append(self.index)

    def join(self):
        self.exitcode = self.code

    def close(self):
        self.node.ended[self.index].append(self.node.now)


class Node:
    """A keeper, and turns of its loop on a clock of its own. ``lives`` are each worker's seconds until its end and the
    status then; those in ``beating`` show that their event loop turns."""

    def __init__(self, directory, lives, programs=()):
        self.lives = lives
        self.started, self.ended = ([[] for _ in lives] for _ in range(2))
        self.killed = []
        self.beating = set(range(len(lives)))
        self.now = 1000.0
        self.keeper = dask_keeper.Keeper({"name": "n1", "count": len(lives), "scratch": str(directory),
                                          "pulse": str(directory / "pulse"), "silence": SILENCE})
        self.keeper.ever_worked = True
        self.keeper.context = SimpleNamespace(Process=lambda target, args: FakeProcess(self, args[1]))
        self.watch = SimpleNamespace(excess=lambda pids: [], descendants=lambda pid: list(programs))

    def wait(self, sentinels, timeout):
        """As ``multiprocessing.connection.wait``, for the keeper's workers."""
        ended = [process.sentinel for process in self.processes() if process.until <= self.now + timeout]
        self.now += timeout if sentinels else 0
        return ended

    def sleep(self, seconds):
        self.now += seconds

    def processes(self):
        return [slot.process for slot in self.keeper.slots if slot.process]

    def turn(self, seconds):
        until = self.now + seconds
        while self.now < until:
            self.keeper._start_due()
            for index in self.beating:
                self.keeper.pulse[index] = self.keeper.pulse[index] % 255 + 1
            self.keeper._reap()
            self.keeper._check(self.watch)


@pytest.fixture
def node_of(tmp_path, monkeypatch):
    def make(*lives, **more):
        node = Node(tmp_path, list(lives), **more)
        clock = SimpleNamespace(monotonic=lambda: node.now, sleep=node.sleep)
        monkeypatch.setattr(dask_keeper, "time", clock)
        monkeypatch.setattr(backoff, "time", clock)
        monkeypatch.setattr(dask_keeper, "wait", node.wait)
        monkeypatch.setattr(node.keeper, "_scheduler_answers", lambda: True)
        return node
    # No Dask here: the processes are none.
    monkeypatch.setitem(sys.modules, "jupyterhub_hpc_spawner.node.dask_worker",
                        SimpleNamespace(work=None, AS_TOLD=AS_TOLD))
    return make


def pauses(node, worker=0):
    """Seconds from each end to the next start, without the turn of the loop that it takes to see them."""
    return [max(0, round(start - end, 1)) for end, start in zip(node.ended[worker], node.started[worker][1:])]


def test_a_worker_that_ends_right_after_each_start_is_back_later_each_time(node_of):
    node = node_of((1, FAILED))
    node.turn(150)
    expected = [0, 0.5, 1, 2, 5, 10, 30, 30]
    assert pauses(node)[:8] == pytest.approx(expected, abs=2 * dask_keeper.TICK)
    assert pauses(node)[0] == 0


def test_one_that_lasted_is_back_at_once_and_what_was_before_is_forgiven(node_of):
    node = node_of((1, FAILED))
    node.turn(15)
    assert pauses(node)[-1] > 1
    node.lives[0] = (11, FAILED)
    node.turn(60)
    assert pauses(node)[-2:] == [0, 0]
    before = len(pauses(node))
    node.lives[0] = (1, FAILED)
    node.turn(20)
    assert pauses(node)[before:][:3] == pytest.approx([0, 0, 0.5], abs=2 * dask_keeper.TICK)


def test_one_that_ended_as_it_was_told_is_back_at_once_however_often(node_of):
    node = node_of((1, AS_TOLD))
    node.turn(30)
    assert len(node.started[0]) > 20 and set(pauses(node)) == {0}


def test_one_that_was_to_stay_away_does(node_of):
    node = node_of((1, STAY_AWAY), (1000, FAILED))
    node.turn(100)
    assert list(map(len, node.started)) == [1, 1]


def test_one_whose_event_loop_stands_still_is_killed_with_its_programs_and_replaced(node_of, monkeypatch):
    programs = []
    monkeypatch.setattr(dask_keeper.os, "kill", lambda pid, number: programs.append((pid, int(number))))
    node = node_of((10000, FAILED), (10000, FAILED), programs=[4711])
    node.turn(10)
    node.beating = {1}
    node.turn(SILENCE - 1)
    assert node.killed == []
    node.turn(3)
    assert node.killed == [0] and programs == [(4711, 9)]
    assert list(map(len, node.started)) == [2, 1] and pauses(node) == [0]
    node.beating = {0, 1}
    node.turn(2 * SILENCE)
    assert node.killed == [0]


def test_one_that_has_not_begun_to_beat_is_left_to_start(node_of):
    node = node_of((10000, FAILED))
    node.beating = set()
    node.turn(2 * SILENCE)
    assert node.killed == [] and len(node.started[0]) == 1


def test_a_job_that_was_suspended_for_an_hour_costs_no_worker(node_of):
    node = node_of((10000, FAILED))
    node.turn(10)
    node.beating = set()
    node.turn(SILENCE / 2)
    node.now += 3600
    node.turn(1)
    assert node.killed == []
