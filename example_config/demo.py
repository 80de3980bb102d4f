"""A Hub for one person on one machine, without a batch system: to see what users see, before a cluster is involved.

``jupyterhub-hpc-spawner demo`` writes and starts such a file by itself, with a random password. By hand::

    HPC_DEMO_PASSWORD=$(openssl rand -base64 18) && echo "$HPC_DEMO_PASSWORD" && export HPC_DEMO_PASSWORD
    jupyterhub -f demo.py

The Hub is for the user who starts it, and its files are in the directory where it is started.
"""
import getpass
import os
import sys

c = get_config()  # noqa: F821 (JupyterHub defines it)

c.JupyterHub.bind_url = "http://127.0.0.1:8000"

# Loopback is open to everybody on a shared machine, so even a demo asks for a password (12 characters or more).
c.JupyterHub.authenticator_class = "shared-password"
c.SharedPasswordAuthenticator.user_password = os.environ.pop("HPC_DEMO_PASSWORD", "")
c.Authenticator.allowed_users = {getpass.getuser()}

c.JupyterHub.spawner_class = "hpc"
# Job scripts are run at once, as processes of this user on this machine.
c.HPCSpawner.batch_system = "local"
c.HPCSpawner.status_interval = 1
# The environment that this Hub runs in also holds JupyterLab and Dask: pip install 'jupyterhub-hpc-spawner[demo]'
c.HPCSpawner.environments = {"demo": {"path": sys.prefix, "description": "The demo's own"}}
if os.geteuid() == 0:
    c.HPCSpawner.args = ["--allow-root"]
