"""What an extra job asks for: the user's keyword arguments, else what is preset for this session."""
import json
import os
import shlex

import dask
from dask.utils import parse_bytes
from distributed.deploy.utils import nprocesses_nthreads

from .elastic import ClusterError, clipped, lifetime, seconds

# Of its job's memory; the rest is for the processes beside the workers.
USABLE = 0.95
OF_THE_HUB = ("queue", "account", "qos", "reservation", "node_type", "cores", "memory", "gpus", "gpu_type", "walltime")


def direct(facts, left, given):
    """Keyword arguments for a class of dask-jobqueue."""
    system, runtime = facts["extra_jobs"]["system"], facts["runtimes"]["dask"]
    section = runtime["jobqueue"]["section"]

    def preset(name, default=None):
        return dask.config.get("jobqueue.%s.%s" % (section, name), default)

    cores, memory, processes = size(given, preset)
    if not cores or not memory:
        raise ClusterError("How large is an extra job? Give cores= and memory=.")
    walltime = given.get("walltime") or clipped(preset("walltime"), left, system)
    sized = _sized(runtime["jobqueue"], cores, memory) if {"cores", "memory"} & set(given) else {}
    found = {"job_name": "dask-extra", "python": runtime["python"], "interface": "", **sized, **given,
             "cores": cores, "memory": memory, "processes": processes}
    if system == "sge" and "job_extra_directives" in given:  # see ``runtimes/jobqueue.py``
        found["job_extra_directives"] = ["-o /dev/null", *given["job_extra_directives"]]
    if walltime and section != "htcondor":
        found["walltime"] = walltime
    host = [] if found["interface"] else ["--host", "$HPC_WORKER_HOST"]
    limit = ["--memory-limit", str(int(parse_bytes(memory) * USABLE / processes))]

    def joined(name, *more):
        """What every extra job needs, then what is configured instead of it, then the user's arguments."""
        own, configured = runtime["jobqueue"]["own"][name], preset(name, [])
        return [*own, *more, *(configured if configured != own else []), *given.get(name.replace("-", "_"), [])]

    found["worker_extra_args"] = joined("worker-extra-args", *host, *limit, *_leave(walltime, system))
    found["job_script_prologue"] = joined("job-script-prologue", "cd %s || exit 1" % shlex.quote(os.getcwd()))
    return found


def through_hub(facts, left, given):
    """Keyword arguments for ``attached.HubCluster``; the Hub checks the options."""
    wrong = sorted(set(given) - {*OF_THE_HUB, "processes"})
    if wrong:
        raise ClusterError("Extra jobs go through the Hub here, which takes no %s; it takes %s and processes."
                           % (", ".join(wrong), ", ".join(OF_THE_HUB)))
    own, system = facts.get("options") or {}, facts["extra_jobs"]["system"]
    section = (facts["runtimes"]["dask"].get("jobqueue") or {}).get("section")
    preset = dask.config.get("jobqueue.%s" % section, {}) if section else {}
    # What the session did not choose is the site's to say.
    options = {name: preset[name] for name in ("cores", "memory") if name in own and preset.get(name)}
    if "walltime" in own:
        options["walltime"] = clipped(own["walltime"], left, system)
    options.update((name, value) for name, value in given.items() if name != "processes")
    leave = lifetime(seconds(options["walltime"], "slurm")) if options.get("walltime") else (None, None)
    return {"limit": facts["extra_jobs"]["max_nodes"], "options": options, "lifetime": leave[0], "stagger": leave[1],
            "cores": options.get("cores", 1), "memory": options.get("memory", "1GiB"),
            "processes": given.get("processes", 1)}


def size(given, preset):
    """(cores, memory, processes) of a job: as one of the session's workers, where nothing is said."""
    cores = given.get("cores") or preset("cores")
    processes = given.get("processes") or preset("processes")
    return cores, given.get("memory") or preset("memory"), processes or (
        nprocesses_nthreads(cores)[0] if "cores" in given else 1)


def _sized(jobqueue, cores, memory):
    """What a system wants said in its own words of the job's size: see ``runtimes/jobqueue.py``."""
    text = json.dumps(jobqueue["settings"])
    kib = parse_bytes(memory) // 1024
    for name, number in (("cores", cores), ("kib", kib), ("kib_per_core", kib // cores)):
        text = text.replace("{%s}" % name, str(number))
    words = {"resource-spec": "resource_spec", "job-extra-directives": "job_extra_directives"}
    return {words[name]: value for name, value in json.loads(text).items() if name in words}


def _leave(walltime, system):
    span = seconds(walltime, system) if walltime else None
    if not span:
        return []
    return ["--lifetime", "%ds" % lifetime(span)[0], "--lifetime-stagger", "%ds" % lifetime(span)[1]]
