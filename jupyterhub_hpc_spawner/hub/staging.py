"""From options and site settings to what goes to the helper: the job request and the session's files."""
import json
import os

from ..model import Environment, JobRequest
from ..options import dump_options, find_environment
from ..runtimes import wanted_runtimes
from ..runtimes.jobqueue import jobqueue
from ..script import environment_file, make_templates, render_submission
from . import certificates, credentials
from .commands import known


async def find_home(spawner):
    """Have the user's home directory known, where session directories are below it: batchspawner would keep the whole
    Hub waiting for it. Raises HelperError."""
    if spawner.session_root.startswith("~") and not spawner.trait_has_value("req_homedir"):
        name = spawner.user.name
        spawner.req_homedir = known(name, await spawner.cluster.helper.accounts.find(name)).home


def session_root(spawner):
    """Where the user's session directories are, see ``find_home``."""
    root = spawner.session_root.replace("{username}", spawner.user.name)
    if root == "~" or root.startswith("~/"):
        root = spawner.req_homedir + root[1:]
    return root.rstrip("/")


def render(spawner, options, name, directory):
    """(JobRequest, text that is submitted, further files by name) of these Options."""
    request = make_request(spawner, options, name, directory)
    return request, *render_submission(request, spawner.cluster.system, make_templates(spawner.template_paths))


def make_request(spawner, options, session_name, directory):
    """The JobRequest for these Options under this site's settings."""
    node_type = options.node_type
    return JobRequest(
        name=session_name, session_dir=directory, nodes=options.nodes, queue=options.queue, account=options.account,
        qos=options.qos, reservation=options.reservation,
        constraint=spawner.node_types.get(node_type, node_type) if node_type else None,
        cores=options.cores, memory=options.memory, gpus=options.gpus, gpu_type=options.gpu_type,
        walltime=options.walltime, environment=_environment(spawner, options),
        extra_directives=tuple(line for line in spawner.req_options.splitlines() if line.strip()),
        prologue=spawner.req_prologue, epilogue=spawner.req_epilogue,
    )


def session_files(spawner, options, session, request, system):
    """The files of the session directory by name: environment, plan and keys."""
    env = {name: str(value) for name, value in spawner.get_env().items() if value is not None}
    if options.interface:
        env["JUPYTERHUB_DEFAULT_URL"] = spawner.interfaces[options.interface]
    plan = {
        "session": session.state.name,
        "secret": session.secret,
        "command": [*spawner.cmd, *spawner.get_args()],
        "working_dir": options.working_dir,
        "port_range": list(spawner.port_range),
        "quick_start": spawner.quick_start,
        "walltime": options.walltime,
        "job": {"account": options.account, "queue": options.queue, "options": dump_options(options),
                "extra_jobs": {"road": spawner.extra_jobs, "system": system.name,
                               "max_nodes": spawner.max_extra_nodes, "idle_timeout": spawner.extra_idle_timeout}},
        "jobqueue": jobqueue(system, request),
        "runtimes": [],
    }
    files = {}
    if spawner.internal_ssl:
        files.update(certificates.session_files(spawner))
        env.update(certificates.environment(request.session_dir))
    settings = {"dask_launcher": spawner.dask_launcher}
    for runtime in wanted_runtimes(options):
        plan["runtimes"].append(runtime.plan(options, system.remote_run(request), system.mpi_run(request), settings))
        env.update(runtime.environment(request.session_dir))
        if runtime.credentials:
            files[runtime.credentials] = credentials.tls_pem()
    return {**files, "environment.sh": environment_file(env), "plan.json": json.dumps(plan)}


def extra_files(spawner, options, job, request, system, settings):
    """The files of an extra job's directory; ``settings`` are of the runtime's part in it.

    Nothing of the Hub's, no token and no address: the job talks to the session only.
    """
    # The session may have both runtimes; this job has one, and shares its nodes with no other.
    options = options.model_copy(update={name: name == job.runtime for name in ("dask", "ipyparallel")})
    runtime, = wanted_runtimes(options)
    session_dir = spawner.session.state.directory
    env = {name: str(value) for name, value in spawner.get_env().items()
           if value is not None and (name in ("JUPYTERHUB_USER", "JUPYTERHUB_ACTIVITY_INTERVAL")
                                     or not name.startswith(("JUPYTERHUB_", "JPY_")))}
    env.update(runtime.environment(session_dir if runtime.joins else request.session_dir))
    env["HPC_SESSION_FILE"] = f"{session_dir}/session.json"
    plan = {
        "extra": job.label,
        "joins": session_dir,
        "working_dir": options.working_dir,
        "runtime": {**runtime.plan(options, system.remote_run(request), system.mpi_run(request),
                                   {"dask_launcher": spawner.dask_launcher}),
                    **settings, "module": runtime.extra, "idle_timeout": spawner.extra_idle_timeout},
    }
    return {"environment.sh": environment_file(env), "plan.json": json.dumps(plan)}


def _environment(spawner, options):
    """The chosen one; where the site names none, the one that an absolute ``cmd`` belongs to."""
    environment = find_environment(options.environment, spawner.policy)
    server = spawner.cmd[0]
    if environment == Environment() and os.path.isabs(server) and os.path.basename(os.path.dirname(server)) == "bin":
        return Environment(path=os.path.dirname(os.path.dirname(server)))
    return environment
