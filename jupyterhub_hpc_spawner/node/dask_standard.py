"""Workers as Dask's own commands start them: ``dask worker`` with nannies, and dask-mpi as the ranks of one program."""
import json
import os
import shutil
import sys
import tempfile

from .dask_workers import environment, specification
from .lifeline import guard

PRELOAD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "dask_preload.py")
# A rank's number among those of its node, as MPICH and its kin, Open MPI and srun say it.
LOCAL_RANKS = ("MPI_LOCALRANKID", "OMPI_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID")
# Of each of the nannies' workers: (environment, Dask's resources).
shares = []


def run_nannies(text):
    """Become ``dask worker`` for this node; ``text`` is what ``dask_workers.specification`` gave, as JSON."""
    spec = json.loads(text)
    shares[:] = zip(spec["environments"], spec["resources"])
    from distributed.cli.dask_worker import main
    sys.argv = ["dask-worker", spec["scheduler"], "--nworkers", str(spec["count"]), "--nthreads", str(spec["threads"]),
                "--memory-limit", str(spec["memory"]), "--host", spec["host"], "--nanny", "--no-dashboard",
                "--dashboard-address", "127.0.0.1:0", "--local-directory", spec["scratch"], "--death-timeout", "120",
                "--name", spec["name"] + ("-0" if spec["count"] == 1 else "")]
    for word in ("lifetime", "stagger"):
        if spec[word]:
            sys.argv += ["--lifetime" if word == "lifetime" else "--lifetime-stagger", "%f s" % spec[word]]
    sys.path.insert(0, os.getcwd())
    preloads = [word for path in _preloads() for word in ("--preload", path)]
    return main(sys.argv[1:] + preloads + [word for name in _nanny_preloads() for word in ("--preload-nanny", name)])


async def dask_setup(nanny):
    """Called by each nanny before its first worker: GPUs of its own, which ``dask worker`` has no option for."""
    environment_of_its_own, owned = shares[int(nanny.name.rpartition("-")[2])]
    nanny.env.update(environment_of_its_own)
    nanny.resources = owned or None


def run_rank(scheduler, threads, per_node, total, sign, engines, lifeline):
    """Become one rank of dask-mpi, a worker; the file ``sign`` tells that MPI sees all of them."""
    guard(lifeline)
    scratch = tempfile.mkdtemp(prefix="dask-")
    try:
        spec = specification(os.environ, scheduler, int(per_node), int(threads), scratch, int(engines))
        index = local_rank(os.environ) % spec["count"]
        # Before MPI starts, which may use GPUs itself and looks then at what there are.
        os.environ.update(environment(os.environ, spec), **spec["environments"][index])
        rank = _join_world(int(total), spec, index)
        from dask_mpi.cli import main
        if rank == 0:
            open(sign, "x").close()
        sys.path.insert(0, os.getcwd())
        return main(_options(spec, spec["resources"][index]))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def local_rank(env):
    """This rank's number on its node, before MPI has started."""
    return next((int(env[name]) for name in LOCAL_RANKS if env.get(name, "").isdigit()), 0)


def _join_world(total, spec, index):
    """The rank. SystemExit where MPI sees not all, or where two ranks would take the same GPU for their own."""
    from mpi4py.MPI import COMM_WORLD as world
    if world.size != total:
        raise SystemExit("MPI sees %d of %s workers: started in a way that is not this MPI's" % (world.size, total))
    places = world.allgather((spec["name"], index))
    if any(spec["resources"]) and places.count((spec["name"], index)) > 1:
        raise SystemExit("this MPI does not number the ranks of a node, so each cannot have its own GPU")
    return world.rank


def _options(spec, owned):
    """dask-mpi's, on its command line; ``owned`` are Dask's resources."""
    more = {"host": spec["host"], "death_timeout": 120, "dashboard_address": "127.0.0.1:0", "preload": _preloads(),
            "resources": owned or None}
    return [spec["scheduler"], "--no-scheduler", "--worker-class", "distributed.Worker", "--nthreads",
            str(spec["threads"]), "--memory-limit", str(spec["memory"]), "--local-directory", spec["scratch"],
            "--name", spec["name"], "--worker-options", json.dumps(more)]


def _preloads():
    """The site's and the user's, after ours, which closes the workers' HTTP servers."""
    import dask
    import distributed  # noqa: F401, it brings the defaults of its settings
    os.environ.pop("JUPYTERHUB_HPC_DASHBOARD", None)
    return [PRELOAD, *dask.config.get("distributed.worker.preload")]


def _nanny_preloads():
    """This module for ``dask_setup``, then those that the option would replace."""
    import dask
    return [__name__, *dask.config.get("distributed.nanny.preload")]
