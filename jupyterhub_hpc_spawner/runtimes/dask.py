"""Dask: scheduler and workers inside the session's own job, TLS only."""
from ..errors import ConfigError

CREDENTIALS = "tls.pem"
# How workers start: forked from one import a node, ``dask worker`` with nannies, the ranks of dask-mpi.
LAUNCHERS = ("fork", "nanny", "mpi")


class Dask:
    name = "dask"
    credentials = CREDENTIALS
    extra = "dask_extra"
    joins = True

    def wanted(self, options):
        return options.dask

    def environment(self, session_dir):
        """All of TLS by environment (distributed/security.py): zero-argument ``Client()`` needs nothing else.

        One self-signed certificate is the authority and every role: who has its key is the session's owner.
        """
        pem = f"{session_dir}/{CREDENTIALS}"
        env = {
            "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "true",
            "DASK_DISTRIBUTED__COMM__TLS__CA_FILE": pem,
            "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "10s",
            "DASK_DISTRIBUTED__DASHBOARD__LINK": "{JUPYTERHUB_SERVICE_PREFIX}dask-dashboard/status",
        }
        for role in ("SCHEDULER", "WORKER", "CLIENT"):
            env[f"DASK_DISTRIBUTED__COMM__TLS__{role}__CERT"] = pem
            env[f"DASK_DISTRIBUTED__COMM__TLS__{role}__KEY"] = pem
        return env

    def plan(self, options, remote_run, mpi_run, settings):
        launcher = settings["dask_launcher"]
        if launcher not in LAUNCHERS:
            raise ConfigError(f"dask_launcher: there is no {launcher!r}, only {', '.join(LAUNCHERS)}")
        return {
            "name": self.name,
            "launcher": launcher,
            "remote_run": remote_run,
            "mpi_run": mpi_run,
            "workers_per_node": options.dask_workers_per_node,
            "threads_per_worker": options.dask_threads_per_worker,
            # Engines on the same nodes: None for none, 0 for a number that is left open.
            "ipyparallel": options.ipyparallel_engines_per_node or 0 if options.ipyparallel else None,
        }
