"""The session's request in the words of dask-jobqueue, for further jobs like it that a notebook starts."""
from ..units import format_clock, format_walltime

# dask-jobqueue's own name of the system; it has no class for the local one.
SECTIONS = {"slurm": "slurm", "pbs": "pbs", "torque": "pbs", "sge": "sge", "lsf": "lsf", "condor": "htcondor"}


def jobqueue(system, request):
    """``section`` and ``settings`` of dask-jobqueue's configuration, as JSON; None where it does not know the system.

    Texts may hold ``{cores}``, ``{kib}`` and ``{kib_per_core}``: how large such a job is shows only in the session's.
    """
    section = SECTIONS.get(system.name)
    if section is None:
        return None
    settings = {"queue": request.queue, **globals()[f"_{system.name}"](system, request)}
    return {"section": section, "settings": {name: value for name, value in settings.items() if value}}


def _slurm(system, request):
    chosen = {"qos": request.qos, "reservation": request.reservation, "constraint": request.constraint}
    directives = [f"--{name}={value}" for name, value in chosen.items() if value]
    return {"account": request.account, "walltime": request.walltime and format_walltime(request.walltime),
            "job-extra-directives": [*directives, *request.extra_directives]}


def _pbs(system, request):
    kind = request.constraint or ""
    chunk = f"select=1:ncpus={{cores}}:mem={{kib}}kb:{kind if '=' in kind else f'{kind}=True'}" if kind else None
    return {"queue": request.reservation or request.queue, "account": request.account, "resource-spec": chunk,
            "walltime": _clock(request), "job-extra-directives": ["-S /bin/bash", *request.extra_directives]}


def _torque(system, request):
    nodes = ":".join(filter(None, ("nodes=1:ppn={cores}", request.constraint)))
    return {"account": request.account, "resource-spec": f"{nodes},mem={{kib}}kb", "walltime": _clock(request),
            "job-extra-directives": ["-S /bin/bash", *request.extra_directives]}


def _sge(system, request):
    wanted = [request.constraint, request.memory and f"{system.memory_resource}={{kib_per_core}}K"]
    slots = [f"-pe {system.smp_environment} {{cores}}"] if system.smp_environment else []
    directives = ["-S /bin/bash", "-o /dev/null", *slots, *request.extra_directives]
    # A job whose output file cannot be made stays for ever, in error: its log is opened by ``node/jobqueue.py``.
    return {"project": request.account if system.account_option == "-P" else None, "walltime": _clock(request),
            "resource-spec": ",".join(filter(None, wanted)), "job-directives-skip": ["#$ -e ", "#$ -o "],
            "job-extra-directives": directives}


def _lsf(system, request):
    minutes = ((request.walltime or 0) + 59) // 60
    return {"project": request.account, "walltime": f"{minutes // 60:02}:{minutes % 60:02}" if minutes else None,
            "job-extra-directives": [*request.extra_directives]}


def _condor(system, request):
    return {"queue": None, "disk": "1GiB"}


def _clock(request):
    return request.walltime and format_clock(request.walltime)
