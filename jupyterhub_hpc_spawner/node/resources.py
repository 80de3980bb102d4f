"""What this job may use of the node it runs on.

Dask's own guess is wrong under a batch system: it reads the limits at the root of the cgroup tree, so every worker
believes that it owns the node (distributed/system.py).
"""
import os

GIB = 1024 ** 3
BLAS_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def memory(env, proc="/proc", cgroup="/sys/fs/cgroup"):
    """Bytes: the smallest of the machine's memory, the batch system's word and the process's cgroups up to the root."""
    limits = [_machine(proc), *_cgroup_limits(proc, cgroup)]
    if env.get("HPC_JOB_MEMORY", "").isdigit():
        limits.append(int(env["HPC_JOB_MEMORY"]))
    if env.get("SLURM_MEM_PER_NODE", "").isdigit():
        limits.append(int(env["SLURM_MEM_PER_NODE"]) * 1024 ** 2)
    elif env.get("SLURM_MEM_PER_CPU", "").isdigit():
        limits.append(int(env["SLURM_MEM_PER_CPU"]) * 1024 ** 2 * _job_cpus(env, 1))
    # Slurm writes --mem=0 ("all of the node") as 0.
    return min(limit for limit in limits if limit > 0)


def cpus(env, affinity=None):
    """The smaller of the processor affinity and the batch system's word."""
    mine = affinity or len(os.sched_getaffinity(0))
    return max(1, min(mine, _job_cpus(env, mine)))


def divide(cores, workers=None, threads=None):
    """(workers, threads per worker) on one node; left open as LocalCluster does: some threads each, but not many."""
    if not workers and threads:
        workers = max(1, cores // threads)
    if not workers:
        workers = cores if cores <= 4 else min(n for n in range(1, cores + 1) if cores % n == 0 and n * n >= cores)
    return workers, threads or max(1, cores // workers)


def share_node(env, workers=None, threads=None):
    """(Dask workers, threads per worker) on this node; one worker per GPU where that was left open."""
    return divide(cpus(env), workers or len(gpus(env)), threads)


def worker_memory(total, workers, with_notebook):
    """Bytes for each worker: 95 % of the allocation, less the notebook's share on the notebook's own node."""
    notebook = min(2 * GIB, total // 8) if with_notebook else 0
    return int((total * 0.95 - notebook) / workers)


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


def _cgroup_limits(proc, root):
    """Limits of this process's groups, version 1 and 2, from its own group up to the root (cgroups(7))."""
    try:
        with open(os.path.join(proc, "self/cgroup")) as table:
            groups = [line.rstrip("\n").split(":", 2) for line in table]
    except OSError:
        return
    for _, controllers, path in groups:
        if controllers == "":
            places = [("", "memory.max"), ("unified", "memory.max")]
        elif "memory" in controllers.split(","):
            places = [("memory", "memory.limit_in_bytes")]
        else:
            continue
        for mount, name in places:
            yield from _up(os.path.join(root, mount), path, name)


def _up(mount, path, name):
    while True:
        try:
            with open(os.path.join(mount, path.strip("/"), name)) as limit:
                text = limit.read().strip()
            if text.isdigit():
                yield int(text)
        except OSError:
            pass
        if path in ("/", ""):
            return
        path = os.path.dirname(path)
