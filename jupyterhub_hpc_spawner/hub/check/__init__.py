"""``jupyterhub-hpc-spawner check``: a site as its sessions will meet it, before users do."""
