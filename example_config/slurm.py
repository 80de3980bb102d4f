"""A Hub in front of a Slurm cluster. Change what is marked CHANGE; docs/install.md has the other steps."""
c = get_config()  # noqa: F821 (JupyterHub defines it)

# --- Who may log in -------------------------------------------------------------------------------------------------
# CHANGE: any authenticator whose user names are the cluster's. PAM asks this machine; a Hub that is not root needs an
# account that may read /etc/shadow, or better OAuthenticator, LDAP or Kerberos.
c.JupyterHub.authenticator_class = "pam"
c.Authenticator.allow_all = True

# --- Addresses ------------------------------------------------------------------------------------------------------
# Where browsers connect. CHANGE: put TLS in front, or set c.JupyterHub.ssl_cert and ssl_key.
c.JupyterHub.bind_url = "http://:8000"
# Jobs report to the Hub's own port: it must listen where compute nodes reach it. CHANGE the name, which the nodes
# must resolve to this machine's address in the cluster's network.
c.JupyterHub.hub_bind_url = "http://0.0.0.0:8081"
c.JupyterHub.hub_connect_url = "http://hub.cluster.example:8081"

# --- Sessions are jobs: they outlive the Hub --------------------------------------------------------------------------
c.JupyterHub.cleanup_servers = False
# A proxy of its own keeps sessions reachable while the Hub restarts: start configurable-http-proxy as a service with
# the same CONFIGPROXY_AUTH_TOKEN as the Hub, then
# c.ConfigurableHTTPProxy.should_start = False
# c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:8001"
# A job in the queue counts as a start: no limit on those, or a full queue keeps everybody else out.
c.JupyterHub.concurrent_spawn_limit = 0

c.JupyterHub.spawner_class = "hpc"
# Seconds in the queue until the session is given up; these two are the spawner's defaults.
c.HPCSpawner.start_timeout = 4 * 3600
# Seconds until a server that said it listens must answer.
c.HPCSpawner.http_timeout = 120

# --- The batch system -----------------------------------------------------------------------------------------------
c.HPCSpawner.batch_system = "slurm"
# Acting as the user: sudo runs the helper, and nothing else. Left unset, the helper beside the Hub's Python. CHANGE:
# c.HPCSpawner.helper = "/opt/jupyterhub/bin/jupyterhub-hpc-spawner-helper"
# Variables for sbatch, squeue and the others; without it, what is compiled into them. PATH adds directories.
# c.HPCSpawner.command_environment = {"SLURM_CONF": "/etc/slurm/slurm.conf", "PATH": "/opt/slurm/bin"}

# --- What users get -------------------------------------------------------------------------------------------------
# The first is the default. CHANGE: each holds jupyterlab, and for Dask distributed, bokeh and jupyter-server-proxy.
c.HPCSpawner.environments = {
    "jupyter": {"path": "/opt/jupyter", "description": "JupyterLab and Dask"},
    "climate": {"modules": ["climate-stack"], "description": "Climate tools (module climate-stack)"},
}
c.HPCSpawner.default_url = "/lab"
# The request that is made where the user leaves a field empty.
c.HPCSpawner.req_runtime = "4h"
# Private directories of sessions; every node, and this machine, must see them. The default is in the home directory.
# c.HPCSpawner.session_root = "/scratch/{username}/.jupyter-sessions"
# A firewall between proxy and nodes: the ports of single-user servers.
# c.HPCSpawner.port_range = (40000, 40999)
# Kernels of a session talk over sockets in the home directory instead of loopback, which other users of a shared
# node can listen to.
# c.HPCSpawner.args = ["--KernelManager.transport=ipc"]
