"""What notebooks need to start further jobs with dask-jobqueue: its configuration, and a file that their workers read.

Such a job is as large as one of the session's own workers. Its environment comes from that file, which only the user
can read: not every batch system hands an environment on, and what it hands on it also records.
"""
import json
import os
import shlex

from . import network, resources

SETUP = "dask-jobs.sh"
LOGS = "dask-jobs"
KEPT = ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "CONDA_PREFIX", "VIRTUAL_ENV", "LANG", "LC_ALL")
NOT_KEPT = ("DASK_JOBQUEUE__", "DASK_SCHEDULER_ADDRESS", "DASK_TEMPORARY_DIRECTORY")
MIB = 1024 ** 2
# Grid Engine's jobs are told to print nowhere, see ``runtimes/jobqueue.py``; a missing directory only ends them.
LOG = """[ "${{SGE_STDOUT_PATH-}}" != /dev/null ] || exec >>{logs}/"$JOB_NAME.o$JOB_ID" 2>&1
"""
# The Unix socket of the dashboard is the scheduler's; the Hub's token is nobody's business there.
BEGIN = """unset JUPYTERHUB_API_TOKEN JUPYTERHUB_HPC_DASHBOARD
[ -w "${TMPDIR:-/tmp}" ] || export TMPDIR=/tmp
DASK_TEMPORARY_DIRECTORY=$(mktemp -d "${TMPDIR:-/tmp}/dask-XXXXXXXX") || exit 1
export DASK_TEMPORARY_DIRECTORY HPC_EXTRA_JOB="$(uname -n)$DASK_TEMPORARY_DIRECTORY"
trap 'rm -rf "$DASK_TEMPORARY_DIRECTORY"' EXIT
trap : TERM INT HUP
"""


def prepare(launcher, address, workers, threads):
    """Write the file; (facts for the session file, the variables that are dask-jobqueue's configuration).

    ``workers`` and ``threads`` are a node's. What the site or the user has set already counts more.
    """
    plan = launcher.plan.get("jobqueue")
    if plan is None:
        return {}, {}
    with open(os.open(launcher.path(SETUP), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(_setup(os.environ, launcher.path(LOGS), launcher.node_command("address", address)))
    size = max(MIB, resources.memory(os.environ) // workers // MIB * MIB)
    sizes = {"cores": threads, "kib": size // 1024, "kib_per_core": size // 1024 // threads}
    text = json.dumps(plan["settings"])
    for name, number in sizes.items():
        text = text.replace("{%s}" % name, str(number))
    granted = {name: launcher.session_file.data.get(name) for name in ("queue", "account")}
    own = _own(launcher)
    settings = {**{name: value for name, value in granted.items() if value}, **json.loads(text), "cores": threads,
                "memory": "%dMiB" % (size // MIB), **own, "interface": network.interface_of(launcher.address),
                "scheduler-options": _private_scheduler(launcher.address)}
    return {"jobqueue": dict(plan, own=own)}, variables(plan["section"], settings, os.environ)


def variables(section, settings, env):
    """Environment variables that dask.config reads as these settings, without those that ``env`` has."""
    names = {name: "DASK_JOBQUEUE__%s__%s" % (section.upper(), name.upper().replace("-", "_")) for name in settings}
    return {names[name]: repr(value) for name, value in settings.items() if names[name] not in env}


def _own(launcher):
    """What every extra job needs: the session's TLS, and no port but Dask's own."""
    preload = shlex.quote(launcher.path("node", "dask_preload.py"))
    return {"job-script-prologue": [". %s || exit 1" % shlex.quote(launcher.path(SETUP))],
            "worker-extra-args": ["--no-dashboard", "--dashboard-address", "127.0.0.1:0", "--preload", preload,
                                  "--preload-nanny", preload],
            "log-directory": launcher.path(LOGS)}


def _private_scheduler(address):
    """For a scheduler of dask-jobqueue's own, in the notebook's process."""
    return {"protocol": "tls://", "host": address, "dashboard_address": "127.0.0.1:0"}


def _setup(env, logs, find_address):
    kept = {name: value for name, value in env.items()
            if name in KEPT or name.startswith("DASK_") and not name.startswith(NOT_KEPT)}
    exports = "".join("export %s=%s\n" % (name, shlex.quote(value)) for name, value in sorted(kept.items()))
    words = " ".join(map(shlex.quote, find_address))
    return "%s%s%sHPC_WORKER_HOST=$(%s) || exit 1\n" % (LOG.format(logs=shlex.quote(logs)), exports, BEGIN, words)
