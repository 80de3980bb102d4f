"""One node's Dask workers, in a process that outlives them: what they leave is killed and deleted."""
import json
import os
import shutil
import sys
import tempfile

from . import network, resources
from .supervisor import Supervisor

SILENCE = 300
# For workers' connections, also later; kernels do not wait so long.
PATIENCE = 120
NOTE = "dask-note-"
# As a nanny does it; every node must hash a text alike (https://github.com/dask/dask/issues/6640).
HASH_SEED = "6640"


def run_workers(scheduler, workers, threads, launcher, engines=0, extra="null"):
    """The exit status, when all of them have ended. ``launcher`` is fork or nanny, see ``runtimes/dask.py``.

    ``engines`` is how many of IPyParallel are on this node; ``extra`` is JSON, the name and the lifetime of workers
    that an extra job adds to a session.
    """
    scratch = tempfile.mkdtemp(prefix="dask-")
    try:
        spec = specification(os.environ, scheduler, int(workers), int(threads), scratch, int(engines),
                             json.loads(extra))
        run = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "run.py")
        verb = {"fork": "dask-keeper", "nanny": "dask-nannies"}[launcher]
        return Supervisor([sys.executable, run, verb, json.dumps(spec)], environment(os.environ, spec), scratch,
                          spec["note"]).run()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def specification(env, scheduler, workers, threads, scratch, engines=0, extra=None):
    """All that the workers of this node need to know; the same for every way to start them."""
    host = network.address_towards(scheduler)
    name = env.get("SLURMD_NODENAME") or os.uname().nodename.split(".")[0]
    count, threads = resources.share_node(env, workers, threads, engines)
    if extra:
        name = extra["name"] + ("-" + name if extra["nodes"] > 1 else "")
    beside_notebook = not extra and host == env["DASK_SCHEDULER_ADDRESS"].split("//")[1].rsplit(":", 1)[0].strip("[]")
    note = os.path.join(os.path.dirname(env.get("HPC_SESSION_FILE") or scratch), NOTE + name)
    return {"scheduler": scheduler, "host": network.bracketed(host), "name": name, "count": count, "threads": threads,
            "memory": resources.worker_memory(resources.memory(env), count, beside_notebook, threads, engines),
            "scratch": scratch, "pulse": os.path.join(scratch, "pulse"), "note": note, "silence": SILENCE,
            "lifetime": extra and extra["lifetime"], "stagger": extra and extra["stagger"],
            **resources.share_gpus(resources.gpus(env), count)}


def before_start(env, threads):
    """What must be set before an interpreter starts: Python, libraries and malloc read it once."""
    env = dict(env, MALLOC_TRIM_THRESHOLD_="65536", **dict.fromkeys(resources.BLAS_THREADS, str(threads)))
    if env.get("PYTHONHASHSEED", "") in ("", "random"):
        env["PYTHONHASHSEED"] = HASH_SEED
    return env


def environment(env, spec):
    """All that the workers' environment needs."""
    env = dict(before_start(env, spec["threads"]), DASK_TEMPORARY_DIRECTORY=spec["scratch"],
               DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT="%ds" % PATIENCE)
    # Or the workers' preload takes it for the scheduler's.
    env.pop("JUPYTERHUB_HPC_DASHBOARD", None)
    return env
