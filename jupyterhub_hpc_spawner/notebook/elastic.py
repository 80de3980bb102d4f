"""``cluster()``: whether, where and how long further jobs may run for this session. Decisions; Dask is elsewhere."""
import os
import re
import shutil
import time
from importlib.util import find_spec

from .plain import moment, read_object

INSTALL = "pip install dask-jobqueue   (or: conda install -c conda-forge dask-jobqueue)"
# By the name of the batch system: the class of dask-jobqueue and the program that submits.
DIRECT = {"slurm": ("SLURMCluster", "sbatch"), "pbs": ("PBSCluster", "qsub"), "torque": ("PBSCluster", "qsub"),
          "sge": ("SGECluster", "qsub"), "lsf": ("LSFCluster", "bsub"), "condor": ("HTCondorCluster", "condor_submit")}
ROADS = ("job", "hub")
MARGIN = 300
SHORTEST = 60


class ClusterError(RuntimeError):
    """There can be no extra workers; the message says why and what to do."""


def make_cluster(road, given, before=(), **more):
    """The cluster of ``cluster()``: see there. ``before`` are classes that come first in its order, ``more`` further
    arguments that no user gives."""
    facts = session_facts(os.environ)
    dask = dask_facts(facts)
    extra = facts.get("extra_jobs") or {}
    system = extra.get("system")
    which = choose_road(extra, road, system in DIRECT and shutil.which(DIRECT[system][1]))
    if find_spec("dask_jobqueue") is None:
        raise ClusterError("cluster() needs dask-jobqueue, and this kernel's environment does not have it:\n    "
                           + INSTALL)
    from . import attached, settings
    left = seconds_left(facts, time.time())
    if which == "hub":
        cls, found = attached.HubCluster, settings.through_hub(facts, left, given)
    else:
        cls, found = attached.direct(DIRECT[system][0]), settings.direct(facts, left, given)
    if before:
        cls = type(cls.__name__, (*before, cls), {})
    return cls(dask["address"], **found, **more)


def session_facts(environ):
    """What the session file says. Raises ClusterError."""
    path = environ.get("HPC_SESSION_FILE")
    if not path:
        raise ClusterError("cluster() adds workers to a session of jupyterhub-hpc-spawner, and this is none "
                           "(HPC_SESSION_FILE is not set).")
    try:
        return read_object(path)
    except (OSError, ValueError) as error:
        raise ClusterError("The session cannot be read, it may have ended: %s" % error)


def dask_facts(facts):
    """What it says of Dask. Raises ClusterError where that does not run."""
    dask = (facts.get("runtimes") or {}).get("dask")
    if not dask:
        raise ClusterError('This session has no Dask that workers could join: tick "Start Dask automatically" when you '
                           "start the next one.")
    if dask.get("state") == "failed":
        raise ClusterError("Dask of this session does not run: session() says why.")
    return dask


def choose_road(extra, wanted, command):
    """"job", where the job's own ``command`` submits, or "hub". ``extra`` is what the site allows. Raises ClusterError.
    """
    allowed = extra.get("road", "none")
    if wanted is not None and wanted not in ROADS:
        raise ClusterError('road is "job" or "hub", not %r.' % (wanted,))
    if allowed not in ROADS:
        raise ClusterError("This site does not allow sessions to start further jobs (c.HPCSpawner.extra_jobs).")
    if wanted == "job" and allowed == "hub":
        raise ClusterError('Here extra jobs go through the Hub only: leave out road="job".')
    if wanted == "job" and not command:
        raise ClusterError('The batch system\'s commands cannot be used in this job: leave out road="job".')
    return wanted or ("job" if allowed == "job" and command else "hub")


def seconds_left(facts, now):
    """Until the session's job ends, None where that is not known."""
    ends = moment(facts.get("ends"))
    return None if ends is None else max(0, int(ends - now))


def seconds(walltime, system):
    """In what dask-jobqueue and batch systems call a walltime; None in what is none.

    ``1-12:00:00``, ``36:00:00``, ``90m`` and the like everywhere; ``30`` and ``30:00`` mean to each system what they
    mean in its own scripts.
    """
    text = str(walltime).strip()
    unit = re.fullmatch(r"(\d{1,8})\s*([dhms])", text)
    if unit:
        return int(unit[1]) * {"d": 86400, "h": 3600, "m": 60, "s": 1}[unit[2]]
    found = re.fullmatch(r"(?:(\d{1,5})-)?(\d{1,9}(?::\d{1,9}){0,2})", text)
    if not found:
        return None
    parts = [int(part) for part in found[2].split(":")]
    if found[1]:
        parts = [int(found[1]) * 24 + parts[0], *parts[1:], 0, 0][:3]
    elif len(parts) < 3:
        # Of one or two numbers the last is minutes for LSF, and one is for Slurm; else it is seconds.
        parts += [0] if system == "lsf" or system == "slurm" and len(parts) == 1 else []
        parts = [0] * (3 - len(parts)) + parts
    return (parts[0] * 60 + parts[1]) * 60 + parts[2]


def clipped(walltime, left, system):
    """No longer than the session: a job that it outlives would only wait longer in the queue."""
    asked = seconds(walltime, system) if walltime else None
    if left is None or asked is not None and asked <= left:
        return walltime
    minutes = max(SHORTEST, left + 59) // 60
    clock = "%02d:%02d" % (minutes // 60, minutes % 60)
    return clock if system == "lsf" else clock + ":00"


def lifetime(walltime):
    """(lifetime, stagger) in seconds: workers leave in order before their job is killed, and not all at once.

    Dask adds a random part of the stagger, or takes it away.
    """
    margin = min(MARGIN, walltime // 6)
    return walltime - margin, margin * 4 // 5
