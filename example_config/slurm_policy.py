"""What users may ask for: presets, queues, limits, limits by group. Everything else is in slurm.py beside it."""
import os

c = get_config()  # noqa: F821 (JupyterHub defines it)

HERE = os.path.dirname(os.path.abspath(__file__))
# Without the path a file is looked for where the Hub is started, and one that is not there is passed over in silence.
load_subconfig("slurm.py", path=HERE)  # noqa: F821

# Only these; the first is taken where the user leaves the field open. Refused on every road: form, REST, saved options.
c.HPCSpawner.allowed = {
    "queue": ["normal", "debug"],
}
# Largest values by option. Memory as 64G, walltime as 8h or 08:00:00. The queue's own limits hold too.
c.HPCSpawner.limits = {"nodes": 4, "cores": 32, "memory": "64G", "walltime": "8h"}

# More, or less, by the user's JupyterHub group (from the authenticator, or the admin page). Dictionaries are merged key
# by key; a key that becomes None is removed: power users have no limit on memory. Later names win.
c.HPCSpawner.group_overrides = {
    "10-course": {
        "groups": ["course"],
        "spawner_override": {"limits": {"nodes": 1, "walltime": "2h"}},
    },
    "20-power": {
        "groups": ["power"],
        "spawner_override": {
            "limits": {"nodes": 64, "walltime": "1-00:00:00", "memory": None},
            "allowed": {"queue": ["normal", "debug", "low"]},
        },
    },
}

# What the form shows of what Slurm tells, in this order; docs/offers.md has all of it. Accounts stay as they are.
c.HPCSpawner.choices = {
    "queue": {
        "normal": {"title": "Standard", "description": "for most work"},
        "debug": {"title": "Quick tests", "max_walltime": "30m"},
        "*": {},
    },
    "reservation": {"maintenance": {"hide": True}, "*": {}},
}

# Names for people; the values are the batch system's (Slurm: --constraint).
c.HPCSpawner.node_types = {"standard": "mc", "large-memory": "himem", "gpu": "a100"}

# Presets: what they fill in, and what may not be changed. The limits above hold for presets too.
c.HPCSpawner.profiles = {
    "small": {
        "display_name": "Small: one core for half an hour",
        "options": {"queue": "debug", "nodes": 1, "cores": 1, "memory": "4G", "walltime": "00:30:00"},
        "lock": ["nodes", "cores", "memory"],
    },
    "dask": {
        "display_name": "Dask on two nodes",
        "options": {"nodes": 2, "cores": 8, "memory": "32G", "walltime": "04:00:00", "dask": True},
    },
}

c.HPCSpawner.environments = {
    "jupyter": {"path": "/opt/jupyter", "description": "JupyterLab and Dask"},
    "gpu": {"path": "/opt/jupyter-gpu", "modules": ["cuda"], "description": "JupyterLab and Dask with CUDA"},
}
# Users may also name a path or modules of their own.
c.HPCSpawner.custom_environment = True

# Blocks of the job script that differ here: see docs/job-script.md.
c.HPCSpawner.template_paths = [os.path.join(HERE, "templates")]
# Whole lines for the job script's head, one a line.
c.HPCSpawner.req_options = "--comment=jupyterhub"
