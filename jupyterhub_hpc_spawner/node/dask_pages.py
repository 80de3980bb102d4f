"""Where users see Dask: its dashboard, behind the server's login, and the sidebar of dask-labextension.

Configuration for the server's process only. What the user has set in JupyterLab or by variables counts more.
"""
import json
import os
from importlib.util import find_spec

NAMES = ("dask-dashboard", "proxy-dask-dashboard")  # the second for notebook/sidebar.py
SIDEBAR = {"DASK_LABEXTENSION__FACTORY__MODULE": "jupyterhub_hpc_spawner.notebook.sidebar",
           "DASK_LABEXTENSION__FACTORY__CLASS": "session_cluster",
           "DASK_LABEXTENSION__INITIAL": "[{'name': 'This session'}]"}


def prepare(launcher, socket):
    """Write the files; the variables that go with them. ``socket`` is the dashboard's."""
    directory = launcher.path("jupyter")
    os.mkdir(directory)
    server = {"unix_socket": socket, "absolute_url": False, "launcher_entry": {"enabled": False}}
    with open(os.path.join(directory, "jupyter_server_config.json"), "w") as config:
        json.dump({"ServerProxy": {"servers": dict.fromkeys(NAMES, server)}}, config)
    listed = _can_list(launcher)
    os.mkdir(os.path.join(directory, "labconfig"))
    # Hidden where it could only start clusters of its own on this node.
    settings = {"defaultURL": NAMES[0], "hideClusterManager": not listed}
    with open(os.path.join(directory, "labconfig", "default_setting_overrides.json"), "w") as overrides:
        json.dump({"dask-labextension:plugin": settings}, overrides)
    path = os.pathsep.join(filter(None, [directory, os.environ.get("JUPYTER_CONFIG_PATH")]))
    return dict({name: os.environ.get(name, value) for name, value in SIDEBAR.items() if listed},
                JUPYTER_CONFIG_PATH=path)


def _can_list(launcher):
    """Whether the sidebar can show this session's Dask as a cluster that scales by extra jobs."""
    allowed = launcher.plan["job"].get("extra_jobs", {}).get("road", "none") != "none"
    return allowed and all(map(find_spec, ("dask_jobqueue", "dask_labextension")))
