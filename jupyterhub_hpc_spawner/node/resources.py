"""What this job may use of the node it runs on.

Dask's own guess is wrong under a batch system: it reads the limits at the root of the cgroup tree, so every worker
believes that it owns the node (distributed/system.py).
"""
import os

GIB = 1024 ** 3
BLAS_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def memory(env, proc="/proc", cgroup="/sys/fs/cgroup"):
    """Bytes: the smallest of the machine's memory, the batch system's word and the process's cgroups up to the root."""
    limits = [_machine(proc), *_memory_limits(proc, cgroup)]
    if env.get("HPC_JOB_MEMORY", "").isdigit():
        limits.append(int(env["HPC_JOB_MEMORY"]))
    if env.get("SLURM_MEM_PER_NODE", "").isdigit():
        limits.append(int(env["SLURM_MEM_PER_NODE"]) * 1024 ** 2)
    elif env.get("SLURM_MEM_PER_CPU", "").isdigit():
        limits.append(int(env["SLURM_MEM_PER_CPU"]) * 1024 ** 2 * _job_cpus(env, 1))
    # Slurm writes --mem=0 ("all of the node") as 0.
    return min(limit for limit in limits if limit > 0)


def cpus(env, affinity=None, proc="/proc", cgroup="/sys/fs/cgroup"):
    """The smallest of the processor affinity, the batch system's word and the time that the cgroups give, in cores."""
    mine = affinity or len(os.sched_getaffinity(0))
    return max(1, min(mine, _job_cpus(env, mine), *_cpu_limits(proc, cgroup)))


def divide(cores, workers=None, threads=None):
    """(workers, threads per worker) on one node; left open as LocalCluster does: some threads each, but not many."""
    if not workers and threads:
        workers = max(1, cores // threads)
    if not workers:
        workers = cores if cores <= 4 else min(n for n in range(1, cores + 1) if cores % n == 0 and n * n >= cores)
    return workers, threads or max(1, cores // workers)


def share_node(env, workers=None, threads=None, engines=0):
    """(Dask workers, threads per worker) on this node; one worker per GPU where that was left open.

    ``engines`` of IPyParallel have a core each, but Dask has one at least.
    """
    return divide(max(1, cpus(env) - engines), workers or len(gpus(env)), threads)


def engines(env, number, dask=None):
    """IPyParallel's engines on a node: one for each core where ``number`` is open; ``dask`` is (workers, threads) of a
    Dask beside them, either may be open: it has the larger half of the cores, or what was given."""
    if number:
        return number
    if dask is None:
        return cpus(env)
    return max(1, cpus(env) - _dask_cores(env, dask))


def engine_threads(env, number, dask=None):
    """Threads of each of the engines, of what Dask beside them leaves."""
    left = cpus(env)
    if dask is not None:
        workers, threads = share_node(env, *dask, engines=number)
        left -= workers * threads
    return max(1, left // number)


def worker_memory(total, workers, with_notebook, threads=1, engines=0):
    """Bytes for each worker: 95 % of the allocation, less the notebook's share on the notebook's own node, and less
    what ``engines`` beside them have: a part for each, as for each thread of a worker."""
    notebook = min(2 * GIB, total // 8) if with_notebook else 0
    share = workers * threads / (workers * threads + engines)
    return int((total * 0.95 - notebook) * share / workers)


def gpus(env):
    """The job's GPUs on this node as CUDA names them, [] for none."""
    for name in ("CUDA_VISIBLE_DEVICES", "SLURM_STEP_GPUS", "SLURM_JOB_GPUS", "GPU_DEVICE_ORDINAL"):
        if name in env:
            names = [word.strip() for word in env[name].split(",")]
            # CUDA itself stops at the first that is none: "-1", and Slurm's and Grid Engine's words for none.
            end = next((n for n, word in enumerate(names) if word in ("", "-1") or word.lower().startswith("no")), None)
            return names[:end]
    return []


def share_gpus(names, workers):
    """Per worker what Dask's resources and the environment say: ``GPU=1`` for the first worker of each GPU.

    More workers than GPUs share them: they can use one, but tasks that ask for ``GPU=1`` have it for themselves.
    """
    if not names:
        return {"resources": [{}] * workers, "environments": [{}] * workers}
    each = max(1, len(names) // workers)
    shares = [[names[(index * each + more) % len(names)] for more in range(each)] for index in range(workers)]
    return {"resources": [{"GPU": each} if index < len(names) else {} for index in range(workers)],
            "environments": [{"CUDA_VISIBLE_DEVICES": ",".join(share)} for share in shares]}


def _dask_cores(env, dask):
    """Cores that Dask has where everything else was left open."""
    cores = cpus(env)
    workers, threads = divide(cores - cores // 2, dask[0] or len(gpus(env)), dask[1])
    return workers * threads


def _job_cpus(env, default):
    for name in ("HPC_JOB_CORES", "SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"):
        if env.get(name, "").isdigit():
            return int(env[name])
    return default


def _machine(proc):
    with open(os.path.join(proc, "meminfo")) as table:
        for line in table:
            if line.startswith("MemTotal:"):
                return int(line.split()[1]) * 1024
    return 0


def _memory_limits(proc, root):
    for group in _groups(proc, root, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            if _read(group, name).isdigit():
                yield int(_read(group, name))


def _cpu_limits(proc, root):
    """Whole cores: of a period in microseconds, in how many the group may compute."""
    for group in _groups(proc, root, "cpu"):
        words = _read(group, "cpu.max").split() or [_read(group, "cpu.cfs_quota_us"), _read(group, "cpu.cfs_period_us")]
        if len(words) == 2 and all(map(str.isdigit, words)) and int(words[1]):
            yield int(words[0]) // int(words[1])


def _groups(proc, root, controller):
    """Directories of this process's groups, version 1 and 2, from its own group up to the root (cgroups(7))."""
    for line in _read(proc, "self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            mounts = ["", "unified"]
        elif controller in controllers.split(","):
            mounts = [controller]
        else:
            continue
        for mount in mounts:
            yield from _up(os.path.join(root, mount), path)


def _up(mount, path):
    while True:
        yield os.path.join(mount, path.strip("/"))
        if path in ("/", ""):
            return
        path = os.path.dirname(path)


def _read(directory, name):
    try:
        with open(os.path.join(directory, name)) as text:
            return text.read().strip()
    except OSError:
        return ""
