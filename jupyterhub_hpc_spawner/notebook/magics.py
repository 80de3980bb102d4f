"""``%ipcluster``: a further IPyParallel cluster in a batch job of its own, sized on the magic's line.

Known to IPython in every session and loaded at its first use, see ``startup.py``; elsewhere by ``%load_ext``.
"""
import argparse
import json
import os
import shlex
import time

from . import jobs

NAME = "ipcluster"
PAUSE = 1
ENGINES_TIMEOUT = 120
HELP = """\
%ipcluster start [-n ENGINES] [-N NODES] [-q QUEUE] [-t TIME] [more] [--no-wait]
                          an IPyParallel cluster in a job of its own; waits for it and connects rc to it
%ipcluster status         the clusters of this session
%ipcluster connect [JOB]  rc, for one that was not waited for
%ipcluster stop [JOB]     end it; needed is the job only where there are several, or "all"

-n, --engines    engines in all, the same number on each node; if not said, one for each core
-N, --nodes      nodes, 1 if not said
-q, --queue      -t, --time       -A, --account    -C, --node-type  -c, --cores (per node)
-G, --gpus (per node)  --gpu-type  --memory (per node)  --qos  --reservation
What is not said is as in this session. The clusters end with the session."""
# The magic's words and the option vocabulary's.
_OPTIONS = {"queue": ("-q", "--queue"), "walltime": ("-t", "--time"), "account": ("-A", "--account"),
            "node_type": ("-C", "--node-type"), "cores": ("-c", "--cores"), "memory": ("--memory",),
            "gpus": ("-G", "--gpus"), "gpu_type": ("--gpu-type",), "qos": ("--qos",),
            "reservation": ("--reservation",)}


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        raise _usage("%s\n%s" % (message, HELP))


def load_ipython_extension(shell):
    """``%load_ext jupyterhub_hpc_spawner.notebook.magics``. A magic of this name that is somebody else's is kept."""
    found = shell.magics_manager.magics["line"].get(NAME)
    if found is None or type(found).__name__ == "LazyMagic" or found.__module__ == __name__:
        def ipcluster(line):
            return run(line, shell.user_ns)
        ipcluster.__doc__ = HELP
        ipcluster.__module__ = __name__
        shell.register_magic_function(ipcluster, "line", NAME)
    else:
        print("There is a %%%s already, of %s: it is kept." % (NAME, found.__module__))


def run(line, namespace):
    """What the line says. Mistakes and refusals are short messages that end the cell, without a traceback."""
    arguments = parse(line)
    try:
        if arguments.verb == "start":
            _start(arguments, namespace)
        elif arguments.verb == "status":
            print("\n".join(map(_described, _clusters())) or "No cluster was started with %ipcluster.")
        elif arguments.verb == "connect":
            _connect(_wait(_chosen(arguments.job)["job_id"]), namespace)
        elif arguments.verb == "stop":
            _stop(arguments.job)
        else:
            print(HELP)
    except jobs.JobError as error:
        raise _usage(str(error)) from None


def parse(line):
    """The line as it is meant. Raises IPython's UsageError with the help."""
    parser = _Parser(prog="%" + NAME, add_help=False)
    verbs = parser.add_subparsers(dest="verb", parser_class=_Parser)
    start = verbs.add_parser("start", add_help=False)
    start.add_argument("-n", "--engines", type=int)
    start.add_argument("-N", "--nodes", type=int, default=1)
    start.add_argument("--no-wait", action="store_true")
    for name, flags in _OPTIONS.items():
        start.add_argument(*flags, dest=name)
    for verb in ("stop", "connect"):
        verbs.add_parser(verb, add_help=False).add_argument("job", nargs="?")
    for verb in ("status", "help", "-h", "--help"):
        verbs.add_parser(verb, add_help=False)
    try:
        words = shlex.split(line, comments=True)
    except ValueError as error:
        raise _usage("%s\n%s" % (error, HELP)) from None
    arguments = parser.parse_args(["help"] if set(words) & {"-h", "--help"} else words)
    if arguments.verb == "start":
        _check(arguments)
    return arguments


def _check(arguments):
    for name in ("engines", "nodes"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise _usage("--%s must be at least 1" % name)
    if arguments.engines and arguments.engines % arguments.nodes:
        raise _usage("%d engines are not the same number on each of %d nodes" % (arguments.engines, arguments.nodes))


def _start(arguments, namespace):
    options = {name: getattr(arguments, name) for name in _OPTIONS if getattr(arguments, name) is not None}
    options["nodes"] = arguments.nodes
    engines = arguments.engines and arguments.engines // arguments.nodes
    job_id = jobs.submit("ipyparallel", options, engines=engines)
    print("Job %s is submitted." % job_id)
    if arguments.no_wait:
        print("%%ipcluster connect %s waits for it and gives a client." % job_id)
        return
    try:
        _connect(_wait(job_id), namespace)
    except KeyboardInterrupt:
        print("Not waiting any more; the job stays. %%ipcluster connect %s waits again, %%ipcluster stop %s ends it."
              % (job_id, job_id))


def _wait(job_id):
    """What the running cluster says of itself; until then a line for each news."""
    told = ""
    while True:
        try:
            job = next((job for job in _clusters() if job["job_id"] == job_id), {"state": "finished", "reason": ""})
            news = _news(job)
        except jobs.HubUnreachable as error:
            job, news = {"state": "unknown"}, str(error)
        found = _facts(job) if job["state"] == "running" else {}
        if found.get("state") == "running":
            return found
        if found.get("state") == "failed" or job["state"] == "finished":
            raise _usage("job %s gives no cluster. %s" % (job_id, found.get("error") or job["reason"]))
        if news != told:
            print("Job %s: %s" % (job_id, news))
            told = news
        time.sleep(PAUSE)


def _connect(found, namespace):
    """``rc``, a client of the cluster, or how to get one."""
    how = "ipp.Client(%r)" % found["client_file"]
    if found.get("mpi") is False:
        print("The engines run without MPI: %s" % found.get("mpi_error", ""))
    try:
        import ipyparallel
    except ImportError:
        print("This kernel's environment has no ipyparallel; where there is one, connect with %s" % how)
        return
    client = ipyparallel.Client(found["client_file"])
    client.wait_for_engines(found["engines"], timeout=ENGINES_TIMEOUT, interactive=False)
    namespace["rc"] = client
    print("rc has %d engines: rc = %s" % (found["engines"], how))


def _stop(which):
    chosen = _live() if which == "all" else [_chosen(which)]
    for job in chosen:
        jobs.cancel(job["job_id"])
        print("Job %s is ended." % job["job_id"])


def _chosen(which):
    live = [job for job in _live() if which in (None, job["job_id"])]
    if len(live) == 1:
        return live[0]
    if live:
        raise _usage("say which one: %s" % ", ".join(job["job_id"] for job in live))
    raise _usage("there is no cluster %s; %%ipcluster status shows what there is" % (which or ""))


def _clusters():
    return [job for job in jobs.jobs() if job["runtime"] == "ipyparallel"]


def _live():
    return [job for job in _clusters() if job["state"] != "finished"]


def _facts(job):
    """What the job wrote of its IPyParallel; {} where that is not there yet."""
    try:
        with open(os.path.join(job["directory"], "session.json")) as file:
            return json.load(file)["runtimes"]["ipyparallel"]
    except (OSError, ValueError, LookupError):
        return {}


def _news(job):
    state = {"pending": "waits in the queue", "running": "runs, the engines start", "unknown": "is submitted",
             "suspended": "is suspended by the batch system"}.get(job["state"], job["state"])
    return state + (": " + job["reason"] if job["reason"] else "")


def _described(job):
    found = _facts(job) if job["state"] == "running" else {}
    if found.get("state") == "running":
        text = "%d engines on %d nodes, ipp.Client(%r)" % (found["engines"], job["nodes"], found["client_file"])
    else:
        text = found.get("error") or job["reason"]
    return ("%-10s %-9s %s" % (job["job_id"], job["state"], text)).rstrip()


def _usage(message):
    from IPython.core.error import UsageError
    return UsageError(message)
