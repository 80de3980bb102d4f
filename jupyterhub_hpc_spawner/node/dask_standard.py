"""Workers as Dask's own commands start them: ``dask worker`` with nannies, and dask-mpi as the ranks of one program."""
import json
import os
import shutil
import sys
import tempfile

from .dask_workers import environment, specification

PRELOAD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "dask_preload.py")


def run_nannies(text):
    """Become ``dask worker`` for this node; ``text`` is what ``dask_workers.specification`` gave, as JSON."""
    spec = json.loads(text)
    from distributed.cli.dask_worker import main
    sys.argv = ["dask-worker", spec["scheduler"], "--nworkers", str(spec["count"]), "--nthreads", str(spec["threads"]),
                "--memory-limit", str(spec["memory"]), "--host", spec["host"], "--nanny", "--no-dashboard",
                "--dashboard-address", "127.0.0.1:0", "--local-directory", spec["scratch"], "--death-timeout", "120",
                "--name", spec["name"] + ("-0" if spec["count"] == 1 else "")]
    for word in ("lifetime", "stagger"):
        if spec[word]:
            sys.argv += ["--lifetime" if word == "lifetime" else "--lifetime-stagger", "%f s" % spec[word]]
    sys.path.insert(0, os.getcwd())
    return main(sys.argv[1:] + [word for path in _preloads() for word in ("--preload", path)])


def run_rank(scheduler, threads, per_node, total, sign, engines):
    """Become one rank of dask-mpi, a worker; the file ``sign`` tells that MPI sees all of them."""
    from mpi4py.MPI import COMM_WORLD as world
    if world.size != int(total):
        raise SystemExit("MPI sees %d of %s workers: started in a way that is not this MPI's" % (world.size, total))
    scratch = tempfile.mkdtemp(prefix="dask-")
    spec = specification(os.environ, scheduler, int(per_node), int(threads), scratch, int(engines))
    os.environ.update(environment(os.environ, spec))
    options = {"host": spec["host"], "death_timeout": 120, "dashboard_address": "127.0.0.1:0", "preload": _preloads()}
    from dask_mpi.cli import main
    if world.rank == 0:
        open(sign, "x").close()
    sys.path.insert(0, os.getcwd())
    try:
        return main([scheduler, "--no-scheduler", "--worker-class", "distributed.Worker", "--nthreads",
                     str(spec["threads"]), "--memory-limit", str(spec["memory"]), "--local-directory", scratch,
                     "--name", spec["name"], "--worker-options", json.dumps(options)])
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _preloads():
    """The site's and the user's, after ours, which closes the workers' HTTP servers."""
    import dask
    import distributed  # noqa: F401, it brings the defaults of its settings
    os.environ.pop("JUPYTERHUB_HPC_DASHBOARD", None)
    return [PRELOAD, *dask.config.get("distributed.worker.preload")]
