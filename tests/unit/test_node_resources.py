"""What a job may use of its node: the smallest of what machine, batch system and cgroups say."""
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jupyterhub_hpc_spawner.node import resources
from jupyterhub_hpc_spawner.node.dask_standard import local_rank

GIB = 1024 ** 3
MACHINE = 64 * GIB
UNLIMITED_V1 = 9223372036854771712


def fake_machine(directory, membership, limits):
    """(proc, cgroup) directories: the process's groups and the limits by file."""
    proc, cgroup = directory / "proc", directory / "cgroup"
    (proc / "self").mkdir(parents=True)
    cgroup.mkdir()
    (proc / "meminfo").write_text(f"MemFree: 1 kB\nMemTotal:       {MACHINE // 1024} kB\n")
    if membership is not None:
        (proc / "self/cgroup").write_text(membership)
    for name, limit in limits.items():
        path = cgroup / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{limit}\n")
    return {"proc": proc, "cgroup": cgroup}


V1 = "12:cpu,cpuacct:/slurm\n4:memory:/slurm/uid_1/job_5/step_0\n0::/user.slice\n"


@pytest.mark.parametrize("membership, limits, expected", [
    (None, {}, MACHINE), ("", {}, MACHINE), ("0::/\n", {}, MACHINE),
    ("0::/\n", {"memory.max": 8 * GIB}, 8 * GIB),
    ("0::/slurm/job_5\n", {"slurm/job_5/memory.max": 4 * GIB}, 4 * GIB),
    ("0::/slurm/job_5\n", {"slurm/job_5/memory.max": "max"}, MACHINE),
    ("0::/slurm/job_5/step_0\n", {"slurm/job_5/step_0/memory.max": "max", "slurm/job_5/memory.max": 4 * GIB}, 4 * GIB),
    ("0::/a/b\n", {"a/b/memory.max": 8 * GIB, "a/memory.max": 2 * GIB, "memory.max": 16 * GIB}, 2 * GIB),
    ("0::/a/b\n", {"a/other/memory.max": GIB, "memory.max": "max"}, MACHINE),
    ("0::/a\n", {"a/memory.max": 128 * GIB}, MACHINE),
    (V1, {"memory/slurm/uid_1/job_5/memory.limit_in_bytes": 3 * GIB}, 3 * GIB),
    (V1, {"memory/slurm/uid_1/job_5/step_0/memory.limit_in_bytes": UNLIMITED_V1,
          "memory/memory.limit_in_bytes": UNLIMITED_V1}, MACHINE),
    (V1, {"memory/slurm/memory.limit_in_bytes": 5 * GIB, "memory/slurm/uid_1/memory.limit_in_bytes": 6 * GIB}, 5 * GIB),
    (V1, {"unified/user.slice/memory.max": 7 * GIB}, 7 * GIB),
    ("5:cpu,memory:/x\n", {"memory/x/memory.limit_in_bytes": GIB}, GIB),
    ("5:memoryless:/x\n", {"memory/x/memory.limit_in_bytes": GIB}, MACHINE),
    ("0::/a:b\n", {"a:b/memory.max": GIB}, GIB),
    ("0::/../..\n", {"memory.max": 0}, MACHINE),
])
def test_memory_is_the_smallest_limit_from_the_own_group_to_the_root(tmp_path, membership, limits, expected):
    assert resources.memory({}, **fake_machine(tmp_path, membership, limits)) == expected


# /proc/self/cgroup as it was on real machines or, Slurm's on version 1, as it is published; names changed.
# Slurm 23.02 on cgroup v2 limits the step's "user" group
# and not the task's (https://github.com/NVIDIA/enroot/issues/169); PBS Pro on a hybrid of both versions; Slurm on
# version 1; a container with a hybrid, and one that sees nothing but its own group.
SLURM_V2 = "0::/system.slice/n1_slurmstepd.scope/job_4749/step_0/user/task_0\n"
SLURM_V1 = """11:freezer:/slurm/uid_1000/job_5/step_batch
9:cpuset:/slurm/uid_1000/job_5/step_batch
8:cpu,cpuacct:/system.slice/slurmd.service
4:memory:/slurm/uid_1000/job_5/step_batch
1:name=systemd:/system.slice/slurmd.service
"""
PBS_HYBRID = """10:hugetlb:/
9:cpu,cpuacct:/pbspro.service/jobid/1748.server
8:devices:/pbspro.service/jobid/1748.server
7:net_cls,net_prio:/pbspro.service/jobid/1748.server
6:perf_event:/
5:blkio:/system.slice/pbs.service
4:cpuset:/pbspro.service/jobid/1748.server
3:freezer:/
2:memory:/pbspro.service/jobid/1748.server
1:name=systemd:/pbspro.service/jobid/1748.server
0::/system.slice/pbs.service
"""
CONTAINER_HYBRID = """9:name=systemd:/
8:pids:/
4:memory:/runner/4faac9f3bef135e690c49143a68f4b6e
3:cpuset:/
2:cpuacct:/
1:cpu:/
0::/
"""
TASK = "system.slice/n1_slurmstepd.scope/job_4749/step_0/user/task_0"
STEP = "system.slice/n1_slurmstepd.scope/job_4749/step_0"
PBS_JOB = "pbspro.service/jobid/1748.server"


@pytest.mark.parametrize("membership, limits, expected", [
    (SLURM_V2, {f"{TASK}/memory.max": "max", f"{STEP}/user/memory.max": 4194304000, f"{STEP}/memory.max": "max"},
     4194304000),
    (SLURM_V2, {f"{TASK}/memory.max": 3 * GIB, f"{STEP}/user/memory.max": 4 * GIB}, 3 * GIB),
    (SLURM_V2, {f"{TASK}/memory.max": "max", f"{STEP}/user/memory.max": "max"}, MACHINE),
    (SLURM_V1, {"memory/slurm/uid_1000/job_5/memory.limit_in_bytes": 2 * GIB,
                "memory/slurm/uid_1000/job_5/step_batch/memory.limit_in_bytes": UNLIMITED_V1,
                "memory/system.slice/slurmd.service/memory.limit_in_bytes": GIB}, 2 * GIB),
    (PBS_HYBRID, {f"memory/{PBS_JOB}/memory.limit_in_bytes": 8 * GIB, "memory/memory.limit_in_bytes": UNLIMITED_V1,
                  f"memory/{PBS_JOB}/memory.memsw.limit_in_bytes": GIB}, 8 * GIB),
    (PBS_HYBRID, {f"memory/{PBS_JOB}/memory.limit_in_bytes": 8 * GIB, "unified/system.slice/memory.max": 6 * GIB},
     6 * GIB),
    (CONTAINER_HYBRID, {"memory/memory.limit_in_bytes": 5 * GIB}, 5 * GIB),
    (CONTAINER_HYBRID, {"memory/runner/memory.limit_in_bytes": 5 * GIB, "unified/cgroup.procs": 1}, 5 * GIB),
])
def test_memory_in_the_groups_of_real_machines(tmp_path, membership, limits, expected):
    assert resources.memory({}, **fake_machine(tmp_path, membership, limits)) == expected


@pytest.mark.parametrize("membership, limits, expected", [
    (None, {}, 8), (SLURM_V2, {}, 8), ("0::/\n", {"cpu.max": "max 100000"}, 8),
    ("0::/\n", {"cpu.max": "200000 100000"}, 2),
    (SLURM_V2, {f"{TASK}/cpu.max": "max 100000", f"{STEP}/cpu.max": "300000 100000"}, 3),
    (SLURM_V2, {f"{TASK}/cpu.max": "250000 100000"}, 2), (SLURM_V2, {f"{TASK}/cpu.max": "50000 100000"}, 1),
    (SLURM_V2, {f"{TASK}/cpu.max": "1600000 100000"}, 8), (SLURM_V2, {f"{TASK}/cpu.max": "200000 0"}, 8),
    (SLURM_V2, {f"{TASK}/cpu.max": ""}, 8),
    (PBS_HYBRID, {f"cpu/{PBS_JOB}/cpu.cfs_quota_us": 400000, f"cpu/{PBS_JOB}/cpu.cfs_period_us": 100000}, 4),
    (PBS_HYBRID, {f"cpu/{PBS_JOB}/cpu.cfs_quota_us": -1, f"cpu/{PBS_JOB}/cpu.cfs_period_us": 100000,
                  "cpu/pbspro.service/cpu.cfs_quota_us": 100000, "cpu/pbspro.service/cpu.cfs_period_us": 50000}, 2),
    (CONTAINER_HYBRID, {"cpu/cpu.cfs_quota_us": -1, "cpu/cpu.cfs_period_us": 100000}, 8),
])
def test_cores_are_not_more_than_the_time_that_the_groups_give(tmp_path, membership, limits, expected):
    assert resources.cpus({}, 8, **fake_machine(tmp_path, membership, limits)) == expected


@pytest.mark.parametrize("env, expected", [
    ({"SLURM_MEM_PER_NODE": "6000"}, 6000 * 1024 ** 2), ({"SLURM_MEM_PER_NODE": "0"}, MACHINE),
    ({"SLURM_MEM_PER_CPU": "500", "SLURM_CPUS_PER_TASK": "4"}, 2000 * 1024 ** 2),
    ({"SLURM_MEM_PER_CPU": "500", "SLURM_CPUS_ON_NODE": "8"}, 4000 * 1024 ** 2),
    ({"SLURM_MEM_PER_CPU": "500"}, 500 * 1024 ** 2), ({"SLURM_MEM_PER_NODE": "999999"}, MACHINE),
    ({"SLURM_MEM_PER_NODE": "6000", "SLURM_MEM_PER_CPU": "1"}, 6000 * 1024 ** 2),
    ({"SLURM_MEM_PER_NODE": "6G"}, MACHINE),
])
def test_memory_is_not_more_than_slurm_gave(tmp_path, env, expected):
    assert resources.memory(env, **fake_machine(tmp_path, "0::/\n", {})) == expected


@pytest.mark.parametrize("env, expected", [
    ({"HPC_JOB_MEMORY": str(3 * GIB)}, 3 * GIB), ({"HPC_JOB_MEMORY": "0"}, MACHINE), ({"HPC_JOB_MEMORY": ""}, MACHINE),
    ({"HPC_JOB_MEMORY": str(3 * GIB), "SLURM_MEM_PER_NODE": "1024"}, GIB),
    ({"SLURM_MEM_PER_CPU": "512", "HPC_JOB_CORES": "4"}, 2 * GIB),
])
def test_memory_is_not_more_than_the_job_script_says(tmp_path, env, expected):
    assert resources.memory(env, **fake_machine(tmp_path, "0::/\n", {})) == expected


def test_the_smallest_of_job_batch_system_and_cgroup_counts(tmp_path):
    machine = fake_machine(tmp_path, "0::/job\n", {"job/memory.max": 2 * GIB})
    assert resources.memory({"HPC_JOB_MEMORY": str(3 * GIB)}, **machine) == 2 * GIB
    assert resources.memory({"SLURM_MEM_PER_NODE": "1000"}, **machine) == 1000 * 1024 ** 2


@pytest.mark.parametrize("env, expected", [
    ({}, []), ({"CUDA_VISIBLE_DEVICES": "0,1"}, ["0", "1"]), ({"CUDA_VISIBLE_DEVICES": ""}, []),
    ({"CUDA_VISIBLE_DEVICES": "GPU-8f3,MIG-2"}, ["GPU-8f3", "MIG-2"]), ({"CUDA_VISIBLE_DEVICES": "2,-1,3"}, ["2"]),
    ({"CUDA_VISIBLE_DEVICES": "NoDevFiles"}, []), ({"CUDA_VISIBLE_DEVICES": " 1, 3 "}, ["1", "3"]),
    ({"SLURM_STEP_GPUS": "4,5"}, ["4", "5"]), ({"SLURM_JOB_GPUS": "6"}, ["6"]),
    ({"CUDA_VISIBLE_DEVICES": "0", "SLURM_JOB_GPUS": "6"}, ["0"]),
    ({"CUDA_VISIBLE_DEVICES": "", "SLURM_JOB_GPUS": "6"}, []),
])
def test_the_gpus_of_the_job(env, expected):
    assert resources.gpus(env) == expected


@pytest.mark.parametrize("names, workers, devices, owned", [
    (["a", "b"], 2, ["a", "b"], [1, 1]), (["a", "b"], 1, ["a,b"], [2]), (["a"], 3, ["a", "a", "a"], [1, 0, 0]),
    (["a", "b"], 3, ["a", "b", "a"], [1, 1, 0]), (["a", "b", "c", "d"], 2, ["a,b", "c,d"], [2, 2]),
    (["a", "b", "c"], 2, ["a", "b"], [1, 1]),
])
def test_every_worker_sees_a_gpu_and_every_gpu_is_owned_once(names, workers, devices, owned):
    share = resources.share_gpus(names, workers)
    assert [env["CUDA_VISIBLE_DEVICES"] for env in share["environments"]] == devices
    assert [resource.get("GPU", 0) for resource in share["resources"]] == owned


@pytest.mark.parametrize(("env", "expected"), [
    ({"MPI_LOCALRANKID": "1", "PMI_RANK": "5", "SLURM_LOCALID": "0"}, 1), ({"OMPI_COMM_WORLD_LOCAL_RANK": "2"}, 2),
    ({"SLURM_LOCALID": "3", "SLURM_PROCID": "7"}, 3), ({"SLURM_LOCALID": ""}, 0), ({}, 0)])
def test_the_number_of_a_rank_on_its_node_is_known_before_mpi_starts(env, expected):
    assert local_rank(env) == expected


def test_without_gpus_nothing_is_set():
    assert resources.share_gpus([], 2) == {"resources": [{}, {}], "environments": [{}, {}]}


@pytest.mark.parametrize("env, affinity, expected", [
    ({"HPC_JOB_CORES": "3"}, 8, 3), ({"HPC_JOB_CORES": "3", "SLURM_CPUS_PER_TASK": "4"}, 8, 3),
    ({}, 8, 8), ({"SLURM_CPUS_PER_TASK": "4"}, 8, 4), ({"SLURM_CPUS_PER_TASK": "16"}, 8, 8),
    ({"SLURM_CPUS_ON_NODE": "2"}, 8, 2),
    ({"SLURM_CPUS_PER_TASK": "4", "SLURM_CPUS_ON_NODE": "64"}, 128, 4), ({"SLURM_CPUS_PER_TASK": "x"}, 8, 8),
    ({"SLURM_CPUS_PER_TASK": "0"}, 8, 1),
])
def test_cores_are_the_smaller_of_affinity_and_the_batch_systems_word(tmp_path, env, affinity, expected):
    assert resources.cpus(env, affinity, **fake_machine(tmp_path, "0::/\n", {})) == expected


def test_cores_without_any_word_are_those_of_this_process():
    assert resources.cpus({}) >= 1


@pytest.mark.parametrize("cores, workers, threads, expected", [
    (1, None, None, (1, 1)), (2, None, None, (2, 1)), (4, None, None, (4, 1)), (5, None, None, (5, 1)),
    (6, None, None, (3, 2)),
    (8, None, None, (4, 2)), (12, None, None, (4, 3)), (16, None, None, (4, 4)), (36, None, None, (6, 6)),
    (64, 0, 0, (8, 8)),
    (8, 2, None, (2, 4)), (8, 3, None, (3, 2)), (8, 16, None, (16, 1)), (8, None, 2, (4, 2)), (8, None, 16, (1, 16)),
    (8, None, 3, (2, 3)), (8, 2, 1, (2, 1)),
])
def test_workers_and_threads_on_a_node(cores, workers, threads, expected):
    assert resources.divide(cores, workers, threads) == expected


@given(st.integers(1, 512))
def test_left_open_every_core_has_one_thread(cores):
    workers, threads = resources.divide(cores)
    assert workers * threads == cores and workers >= threads


@pytest.mark.parametrize("total, workers, with_notebook, expected", [
    (16 * GIB, 4, False, int(16 * GIB * 0.95 / 4)), (16 * GIB, 1, True, int(16 * GIB * 0.95 - 2 * GIB)),
    (64 * GIB, 1, True, int(64 * GIB * 0.95 - 2 * GIB)), (4 * GIB, 2, True, int((4 * GIB * 0.95 - GIB // 2) / 2)),
])
def test_memory_of_a_worker_leaves_the_notebook_its_share_on_its_own_node(total, workers, with_notebook, expected):
    assert resources.worker_memory(total, workers, with_notebook) == expected


@given(st.integers(1 << 20, 1 << 42), st.integers(1, 256), st.booleans())
def test_workers_never_get_more_than_there_is(total, workers, with_notebook):
    share = resources.worker_memory(total, workers, with_notebook)
    assert 0 < share * workers <= total * 0.95


# What was asked for (None is open): Dask's workers and threads, engines; and what comes of it.
@pytest.mark.parametrize("cores, workers, threads, engines, expected", [
    (1, None, None, None, (1, 1, 1)), (2, None, None, None, (1, 1, 1)), (3, None, None, None, (2, 1, 1)),
    (4, None, None, None, (2, 1, 2)), (5, None, None, None, (3, 1, 2)), (8, None, None, None, (4, 1, 4)),
    (16, None, None, None, (4, 2, 8)), (64, 0, 0, 0, (8, 4, 32)), (128, None, None, None, (8, 8, 64)),
    (8, 2, None, None, (2, 2, 4)), (8, 3, None, None, (3, 1, 5)), (8, 2, 3, None, (2, 3, 2)),
    (8, 8, 1, None, (8, 1, 1)), (8, 8, None, None, (8, 1, 1)), (8, 16, 2, None, (16, 2, 1)),
    (8, None, 2, None, (2, 2, 4)), (8, None, 3, None, (1, 3, 5)), (8, None, 8, None, (1, 8, 1)),
    (8, None, None, 2, (3, 2, 2)), (8, None, None, 1, (7, 1, 1)), (8, None, None, 8, (1, 1, 8)),
    (8, None, None, 20, (1, 1, 20)), (8, 2, None, 2, (2, 3, 2)), (8, None, 2, 4, (2, 2, 4)), (8, 4, 2, 4, (4, 2, 4)),
])
def test_dask_and_ipyparallel_divide_the_cores_and_numbers_that_were_given_are_kept(
        cores, workers, threads, engines, expected):
    env = {"HPC_JOB_CORES": str(cores)}
    assert both(env, cores, workers, threads, engines) == expected


def both(env, cores, workers, threads, engines):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resources.os, "sched_getaffinity", lambda pid: range(cores))
        patch.setattr(resources, "_cpu_limits", lambda proc, cgroup: [])
        found = resources.engines(env, engines, (workers, threads))
        return (*resources.share_node(env, workers, threads, found), found)


@given(st.integers(2, 512))
def test_of_what_was_left_open_no_core_is_used_twice_and_none_is_lost(cores):
    workers, threads, engines = both({}, cores, None, None, None)
    assert workers * threads + engines == cores and workers * threads - engines in (0, 1)


def test_gpus_go_to_dask_and_half_of_the_cores(monkeypatch):
    assert both({"CUDA_VISIBLE_DEVICES": "0,1"}, 16, None, None, None) == (2, 4, 8)


def test_alone_each_has_all_cores():
    env = {"HPC_JOB_CORES": "1"}
    assert resources.engines(env, None) == 1 and resources.engines(env, 7) == 7
    assert resources.share_node(env) == (1, 1)


@pytest.mark.parametrize("cores, engines, dask, expected", [
    (8, 8, None, 1), (8, 2, None, 4), (8, 16, None, 1), (8, 4, (None, None), 1), (8, 2, (2, 1), 3), (8, 2, (8, 1), 1),
    (16, 8, (None, None), 1), (16, 1, (1, 8), 8),
])
def test_threads_of_engines_are_of_the_cores_that_dask_leaves(monkeypatch, cores, engines, dask, expected):
    monkeypatch.setattr(resources, "cpus", lambda env: cores)
    assert resources.engine_threads({}, engines, dask) == expected


@pytest.mark.parametrize("workers, threads, engines, share", [
    (4, 1, 0, 1), (4, 1, 4, 1 / 2), (3, 1, 2, 3 / 5), (2, 2, 4, 1 / 2), (1, 7, 1, 7 / 8), (1, 1, 8, 1 / 9),
])
def test_engines_have_the_memory_that_belongs_to_their_cores(workers, threads, engines, share):
    each = resources.worker_memory(16 * GIB, workers, True, threads, engines)
    assert each == int((16 * GIB * 0.95 - 2 * GIB) * share / workers)
