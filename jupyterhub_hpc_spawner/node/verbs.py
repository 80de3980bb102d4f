"""The verbs of ``run.py``; each imports only what it needs, because every import costs on a shared file system."""
import os


def main(arguments):
    verb, rest = arguments[0], arguments[1:]
    if verb == "launch":
        from .launcher import launch
        return launch(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    if verb == "server":
        from .server import serve
        return serve(rest)
    if verb == "dask-scheduler":
        from .dask import run_scheduler
        return run_scheduler(*rest)
    if verb == "dask-worker":
        from .dask import run_workers
        return run_workers(*rest)
    raise SystemExit("unknown verb %r" % verb)
