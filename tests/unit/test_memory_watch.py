"""Which process of a node's workers has to go for its memory: made-up tables of processes."""
import pytest
from jupyterhub_hpc_spawner.node.memory_watch import PAGE, SLOWLY, MemoryWatch

MIB = 1024 ** 2


@pytest.fixture
def proc(tmp_path):
    """Add a process: resident and proportional MiB, and its children by thread."""
    def add(pid, resident, proportional=None, **children):
        directory = tmp_path / str(pid)
        for thread in {str(pid), *children}:
            (directory / "task" / thread).mkdir(parents=True, exist_ok=True)
            (directory / "task" / thread / "children").write_text(children.get(thread, ""))
        (directory / "statm").write_text(f"9999999 {resident * MIB // PAGE} 5 5 0 5 0\n")
        rollup = f"00400000-7fff rollup\nRss: 7 kB\nPss:   {(proportional or resident) * 1024} kB\nPss_Anon: 3 kB\n"
        (directory / "smaps_rollup").write_text(rollup)
    add.root = tmp_path
    return add


def excess(proc, pids, limit=100, total=300, fraction=0.95, times=SLOWLY):
    watch = MemoryWatch(limit * MIB, total * MIB, fraction, str(proc.root))
    for _ in range(times - 1):
        assert watch.excess(pids) == []
    return watch.excess(pids)


def test_a_worker_over_its_limit_goes_and_the_others_stay(proc):
    proc(1, 95)
    proc(2, 96)
    assert excess(proc, [1, 2], times=1) == [(2, "96 MiB is too much of its 95 MiB")]


def test_all_together_within_their_limits_stay(proc):
    for pid in (1, 2, 3):
        proc(pid, 94)
    assert excess(proc, [1, 2, 3]) == []


def test_programs_that_a_thread_of_a_worker_started_count_for_the_sum(proc):
    proc(1, 80, **{"1": "", "11": "5 "})
    proc(5, 150, **{"5": "6 7"})
    proc(6, 40)
    proc(7, 20)
    proc(2, 90)
    (pid, why), = excess(proc, [1, 2])
    assert pid == 1 and "380 MiB, too much of their 285 MiB" in why
    assert sorted(MemoryWatch(1, 1, 1, str(proc.root)).descendants(1)) == [5, 6, 7]


def test_pages_that_forked_workers_share_count_once(proc):
    proc(1, 90, 60, **{"1": "5"})
    proc(2, 90, 60)
    proc(3, 90, 60)
    proc(5, 60)
    assert excess(proc, [1, 2, 3]) == []


def test_a_process_that_is_gone_is_none(proc):
    proc(1, 10)
    assert excess(proc, [1, 99]) == []


def test_without_a_fraction_nobody_goes(proc):
    proc(1, 1000)
    assert excess(proc, [1], fraction=0) == []
