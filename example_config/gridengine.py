"""A Hub in front of a Grid Engine cluster. Change what is marked CHANGE; docs/install-grid-engine.md says more, and
slurm.py beside it has settings that help on any cluster.
"""
c = get_config()  # noqa: F821 (JupyterHub defines it)

# CHANGE: any authenticator whose user names are the cluster's, and TLS in front of it all.
c.JupyterHub.authenticator_class = "pam"
c.Authenticator.allow_all = True
c.JupyterHub.bind_url = "http://:8000"
# Jobs report to the Hub's own port. CHANGE the name: nodes must resolve it to this machine's address in their network.
c.JupyterHub.hub_bind_url = "http://0.0.0.0:8081"
c.JupyterHub.hub_connect_url = "http://hub.cluster.example:8081"
# Sessions are jobs: they outlive the Hub, and a job in the queue keeps nobody else out.
c.JupyterHub.cleanup_servers = False
c.JupyterHub.concurrent_spawn_limit = 0

c.JupyterHub.spawner_class = "hpc"
c.HPCSpawner.batch_system = "sge"
# CHANGE: what settings.sh of the cell sets.
c.HPCSpawner.command_environment = {
    "PATH": "/opt/sge/bin/lx-amd64", "SGE_ROOT": "/opt/sge", "SGE_CELL": "default",
}
# CHANGE: the parallel environments for one node and for several: docs/install-grid-engine.md shows how to make the
# latter, one for each number of cores that may be chosen.
c.HPCSpawner.batch_settings = {"smp_environment": "smp", "parallel_environment": "jupyter-{cores}"}
c.HPCSpawner.allowed = {"cores": [1, 2, 4, 8, 16]}
# CHANGE: names for people, and the complex of each.
c.HPCSpawner.node_types = {"large-memory": "himem"}

# CHANGE: each holds jupyterlab, and for Dask distributed, bokeh and jupyter-server-proxy. The first is the default.
c.HPCSpawner.environments = {"jupyter": {"path": "/opt/jupyter", "description": "JupyterLab and Dask"}}
# The request that is made where the user leaves a field empty.
c.HPCSpawner.req_runtime = "4h"
c.HPCSpawner.req_memory = "4G"
