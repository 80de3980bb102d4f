"""The verbs of ``run.py``; each imports only what it needs, because every import costs on a shared file system."""
import json
import os


def main(arguments):
    verb, rest = arguments[0], arguments[1:]
    if verb == "launch":
        directory = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        with open(os.path.join(directory, "plan.json")) as file:
            plan = json.load(file)
        if "joins" in plan:
            from .joiner import join
            return join(directory, plan)
        from .launcher import launch
        return launch(directory, plan)
    if verb == "server":
        from .server import serve
        return serve(rest)
    if verb == "agent":
        from .agent import run_agent
        return run_agent(*rest)
    if verb == "address":
        from .network import address_towards, bracketed
        return print(bracketed(address_towards(*rest)))
    if verb == "dask-scheduler":
        from .dask import run_scheduler
        return run_scheduler(*rest)
    if verb == "dask-worker":
        from .dask_workers import run_workers
        return run_workers(*rest)
    if verb == "dask-keeper":
        from .dask_keeper import run_keeper
        return run_keeper(*rest)
    if verb == "dask-nannies":
        from .dask_standard import run_nannies
        return run_nannies(*rest)
    if verb == "dask-rank":
        from .dask_standard import run_rank
        return run_rank(*rest)
    if verb == "ipcontroller":
        from .ipyparallel import run_controller
        return run_controller(*rest)
    if verb == "ipengines-mpi":
        from .ipyparallel import run_rank
        return run_rank(*rest)
    if verb == "ipengines":
        from .ipyparallel import run_engines
        return run_engines(*rest)
    raise SystemExit("unknown verb %r" % verb)
