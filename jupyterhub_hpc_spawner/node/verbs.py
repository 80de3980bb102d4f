"""The verbs of ``run.py``; each imports only what it needs, because every import costs on a shared file system."""
import json
import os
from importlib import import_module

# By verb: the module and its function.
VERBS = {"server": ("server", "serve"), "agent": ("agent", "run_agent"), "address": ("network", "print_own_address"),
         "dask-scheduler": ("dask", "run_scheduler"), "dask-worker": ("dask_workers", "run_workers"),
         "dask-keeper": ("dask_keeper", "run_keeper"), "dask-nannies": ("dask_standard", "run_nannies"),
         "dask-rank": ("dask_standard", "run_rank"), "ipcontroller": ("ipcontroller", "run_controller"),
         "ipengines-mpi": ("ipyparallel", "run_rank"), "ipengines": ("ipyparallel", "run_engines"),
         "versions": ("check", "print_versions"), "add-with-dask": ("check", "add_with_dask")}
# The first process of a job by a word of its plan; of a plan without any, the session's own.
FIRST = {"joins": ("joiner", "join"), "check": ("check", "check")}


def main(arguments):
    verb, rest = arguments[0], arguments[1:]
    if verb == "launch":
        return _launch(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    if verb not in VERBS:
        raise SystemExit("unknown verb %r" % verb)
    module, function = VERBS[verb]
    return getattr(import_module("." + module, __package__), function)(*rest)


def _launch(directory):
    """The first process of a session, of an extra job that joins one, or of a check of the site."""
    with open(os.path.join(directory, "plan.json")) as file:
        plan = json.load(file)
    module, function = next((FIRST[word] for word in FIRST if word in plan), ("launcher", "launch"))
    return getattr(import_module("." + module, __package__), function)(directory, plan)
