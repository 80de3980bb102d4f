"""A Hub in front of an OpenPBS or PBS Pro cluster. Change what is marked CHANGE; docs/install-pbs.md says more, and
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
c.HPCSpawner.batch_system = "pbs"
# CHANGE: where qsub is, and which pbs.conf names the server.
c.HPCSpawner.command_environment = {"PATH": "/opt/pbs/bin", "PBS_CONF_FILE": "/etc/pbs.conf"}
# CHANGE, where nodes have GPUs: the resources that count them and name their kind. These are the defaults.
c.HPCSpawner.batch_settings = {"gpu_resource": "ngpus", "gpu_type_resource": "gpu_type"}
# CHANGE: names for people, and the resource of each: one that is true or false, or one with a value.
c.HPCSpawner.node_types = {"large-memory": "himem", "skylake": "model=skl"}

# CHANGE: each holds jupyterlab, and for Dask distributed, bokeh and jupyter-server-proxy. The first is the default.
c.HPCSpawner.environments = {"jupyter": {"path": "/opt/jupyter", "description": "JupyterLab and Dask"}}
# The request that is made where the user leaves a field empty.
c.HPCSpawner.req_runtime = "4h"
c.HPCSpawner.req_memory = "4G"
