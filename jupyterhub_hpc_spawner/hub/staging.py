"""From options and site settings to what goes to the helper: the job request and the session's files."""
import json
import os

from ..model import Environment, JobRequest
from ..options import dump_options, find_environment
from ..runtimes import wanted_runtimes
from ..runtimes.jobqueue import jobqueue
from ..script import environment_file
from . import credentials


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
        "job": {"account": options.account, "queue": options.queue, "options": dump_options(options)},
        "extra_jobs": {"road": "job", "system": system.name, "max_nodes": 10},
        "jobqueue": jobqueue(system, request),
        "runtimes": [],
    }
    files = {}
    settings = {"dask_launcher": spawner.dask_launcher}
    for runtime in wanted_runtimes(options):
        plan["runtimes"].append(runtime.plan(options, system.remote_run(request), system.mpi_run(request), settings))
        env.update(runtime.environment(request.session_dir))
        if runtime.credentials:
            files[runtime.credentials] = credentials.tls_pem()
    return {**files, "environment.sh": environment_file(env), "plan.json": json.dumps(plan)}


def _environment(spawner, options):
    """The chosen one; where the site names none, the one that an absolute ``cmd`` belongs to."""
    environment = find_environment(options.environment, spawner.policy)
    server = spawner.cmd[0]
    if environment == Environment() and os.path.isabs(server) and os.path.basename(os.path.dirname(server)) == "bin":
        return Environment(path=os.path.dirname(os.path.dirname(server)))
    return environment
