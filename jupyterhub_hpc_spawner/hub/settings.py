"""What a site can set: the traits of HPCSpawner, with the help that docs/configure.md is made from."""
from batchspawner import BatchSpawnerBase
from traitlets import Bool, Dict, Enum, Float, Integer, List, Tuple, Unicode, default

from ..declared import FIELDS
from .commands import default_helper


class Settings(BatchSpawnerBase):
    """In ``jupyterhub_config.py`` by the name ``c.HPCSpawner``.

    batchspawner's ``req_queue``, ``req_partition``, ``req_account``, ``req_runtime``, ``req_memory``,
    ``req_nprocs``, ``req_ngpus``, ``req_options``, ``req_prologue`` and ``req_epilogue`` are the site's defaults.
    """

    batch_system = Unicode(
        "slurm", help="""The batch system: ``slurm``, ``pbs`` (OpenPBS and PBS Pro), ``sge`` (Grid Engine), ``torque``,
        ``lsf``, ``condor`` (HTCondor) or ``local``.""").tag(config=True)
    batch_settings = Dict(
        help="""What this site's batch system needs to know, for example ``{"mpi": ["pmix"]}`` on Slurm; each system's
        settings are on its own page.""").tag(config=True)
    environments = Dict(
        help="""Software environments to choose from, the first is the default::

            c.HPCSpawner.environments = {
                "jupyter": {"path": "/opt/jupyter", "description": "Jupyter and Dask"},
                "climate": {"modules": ["python/3.11", "climate-stack"], "description": "Climate tools"},
            }

        ``modules`` are loaded, then ``path/bin`` comes first in PATH.""").tag(config=True)
    custom_environment = Bool(
        False, help="Also take a path, or ``module:`` and names of modules, as software environment.").tag(config=True)
    interfaces = Dict({"lab": "/lab", "notebook": "/tree"},
                      help="Interfaces to choose from, by name: the URL that the session opens.").tag(config=True)
    node_types = Dict(
        help="""Node types to choose from, by name: the batch system's constraint, for example ``{"gpu": "a100"}``.
        Left empty, the features that the batch system reports.""").tag(config=True)
    profiles = Dict(
        help="""Presets, by name. ``lock`` names the options that a user of the preset may not change::

            c.HPCSpawner.profiles = {
                "small": {"display_name": "Small", "description": "One core for an hour",
                          "options": {"cores": 1, "walltime": "1h"}, "lock": ["cores"]},
            }""").tag(config=True)
    limits = Dict(
        help="""Largest values by option, for example ``{"nodes": 4, "walltime": "8h", "memory": "64G"}``.
        For limits by group see JupyterHub's ``group_overrides``.""").tag(config=True)
    allowed = Dict(
        help="""The only values by option, for example ``{"queue": ["debug", "normal"]}``. The first is taken where
        the user leaves the option open.""").tag(config=True)
    choices = Dict(
        help="""What users may choose of ``queue``, ``account``, ``qos``, ``reservation``, ``node_type`` and
        ``gpu_type``, in this order and under these names; see [What the form offers](offers.md)::

            c.HPCSpawner.choices = {
                "queue": {
                    "normal": {"title": "Standard", "description": "for most work", "max_walltime": "8h"},
                    "*": {},  # all others, as the batch system tells
                    "maintenance": {"hide": True},
                },
            }""").tag(config=True)
    discover = List(
        Enum(FIELDS), list(FIELDS), help="""The fields that the batch system fills in. Of the others only what is in
        ``choices`` is offered; with ``[]`` it is not asked at all.""").tag(config=True)
    template_paths = List(
        Unicode(), help="""Directories with templates that come before the package's: a ``job/slurm.sh.j2`` there
        begins with ``{% extends "default/job/slurm.sh.j2" %}`` and overrides a block.""").tag(config=True)
    session_root = Unicode(
        "~/.local/share/jupyterhub-hpc-spawner",
        help="""Where the private directories of sessions are made; all nodes must see it. ``~`` is the user's home
        (``req_homedir``), ``{username}`` the user's name.""").tag(config=True)
    port_range = Tuple(
        Integer(), Integer(), default_value=(0, 0),
        help="First and last port for single-user servers, for a firewall; ``(0, 0)``: any.").tag(config=True)
    quick_start = Bool(
        True, help="""Keep what a starting JupyterLab does not need out of the server's process: it starts faster.
        Kernels and terminals are not touched.""").tag(config=True)
    dask_launcher = Unicode(
        "fork", help="""How a node's Dask workers start: ``fork``, all from one import; ``nanny``, Dask's standard
        ``dask worker``; ``mpi``, dask-mpi, for tasks that use MPI.""").tag(config=True)
    extra_jobs = Enum(
        ("job", "hub", "none"), "job", help="""Who submits the further jobs that a notebook asks for: ``job``, its own
        job, or the Hub where that has no commands of the batch system; ``hub``, always the Hub; ``none``."""
    ).tag(config=True)
    max_sessions = Integer(
        0, help="""Sessions that a user may have at a time, named servers included; 0: any number. JupyterHub's
        ``named_server_limit_per_user`` is another one: of names that exist, and without the default server.""").tag(
        config=True)
    max_extra_nodes = Integer(
        10, help="Nodes of all extra jobs of a user that the Hub submitted and that have not ended.").tag(config=True)
    extra_idle_timeout = Integer(
        1800, min=0, help="""Seconds without a task after which an extra job ends, Dask workers that joined a session
        or an IPyParallel cluster, by whatever road it came; 0: never.""").tag(config=True)
    helper = Unicode(help="Path of jupyterhub-hpc-spawner-helper, as it stands in the sudoers file.").tag(config=True)
    helper_prefix = List(
        Unicode(), help="""Words before the helper's path, with ``{username}`` as a word of its own, for example
        ``["ssh", "-l", "{username}", "login1"]``. Left empty: as root none, otherwise sudo.""").tag(config=True)
    command_environment = Dict(
        help="""Variables for the batch system's commands, for example ``{"SLURM_CONF": "/etc/slurm/slurm.conf"}``."""
    ).tag(config=True)
    status_interval = Float(
        6, help="""Seconds between two questions to the batch system; one asks for all sessions. While all of them run
        and nobody waits, the pause is three times as long.""").tag(config=True)
    info_interval = Float(120, help="Seconds for which the form's view of the cluster is kept.").tag(config=True)
    start_estimates = Bool(
        True, help="""Ask the batch system, as the user, when what is filled in would start: in the background, at most
        one question a second for the whole cluster, and less where it is slow. Only Slurm can say.""").tag(config=True)
    command_timeout = Float(
        60, help="Seconds after which a command of the batch system is given up; qsub, for one, may never answer."
    ).tag(config=True)

    commands_at_once = Integer(
        8, help="""Jobs that are submitted at a time, and as many that are ended; the others wait, user by user."""
    ).tag(config=True)
    owed_cancels_file = Unicode(
        "jupyterhub_hpc_owed_cancels.json", help="""Where the Hub keeps which jobs it could not cancel yet; below the
        directory it runs in. Empty: a restarted Hub does not know them.""").tag(config=True)

    # Waiting in a queue is not a failure: hours, where JupyterHub's own default is a minute.
    start_timeout = Integer(4 * 3600, help="Seconds that a session may wait in the queue and start.").tag(config=True)
    http_timeout = Integer(120, help="Seconds until a server that said it listens must answer.").tag(config=True)

    @default("env_keep")
    def _env_keep_default(self):
        """Nothing: the Hub's own PATH and Python mean nothing on a compute node."""
        return []

    @default("helper")
    def _helper_default(self):
        return default_helper()
