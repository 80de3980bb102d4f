"""Idle sessions end and give their nodes back, what computes is not idle; and Prometheus may read the Hub's metrics.

``pip install jupyterhub-idle-culler`` beside JupyterHub. Everything else is in slurm.py beside it.
"""
import os
import sys

c = get_config()  # noqa: F821 (JupyterHub defines it)

HERE = os.path.dirname(os.path.abspath(__file__))
load_subconfig("slurm.py", path=HERE)  # noqa: F821

c.JupyterHub.services = [
    # Two hours without activity; looked for every five minutes.
    {"name": "idle-culler", "command": [sys.executable, "-m", "jupyterhub_idle_culler", "--timeout=7200",
                                        "--cull-every=300"]},
    # CHANGE: a secret of at least 32 characters, which Prometheus has too; from the Hub's environment or a file.
    {"name": "prometheus", "api_token": os.environ.get("PROMETHEUS_TOKEN", "")},
]
c.JupyterHub.load_roles = [
    {"name": "idle-culler", "services": ["idle-culler"],
     "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"]},
    {"name": "prometheus", "services": ["prometheus"], "scopes": ["read:metrics"]},
]
# Seconds between two words of a session to the Hub that it is used or computes. Well below the culler's timeout.
c.HPCSpawner.environment = {"JUPYTERHUB_ACTIVITY_INTERVAL": "300"}
# No culling of kernels (MappingKernelManager.cull_idle_timeout, ServerApp.shutdown_no_activity_timeout): a kernel that
# waits for nothing may hold the futures of hours of work, and these go with it.
