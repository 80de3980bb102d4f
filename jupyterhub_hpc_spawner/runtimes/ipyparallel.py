"""IPyParallel: a controller beside the notebook, engines on all nodes as the ranks of one MPI program."""

PROFILE = "ipp"
CLIENT_FILE = f"{PROFILE}/security/ipcontroller-client.json"


class IPyParallel:
    name = "ipyparallel"
    credentials = ""
    extra = "ipyparallel"
    # Engines of two MPI programs cannot share a controller: the rank is the engine's number.
    joins = False

    def wanted(self, options):
        return options.ipyparallel

    def environment(self, session_dir):
        """``ipp.Client(os.environ["IPP_CLIENT_FILE"])`` connects; CurveZMQ also for controllers the user starts.

        ``ipp.Client()`` reads nothing but the user's own profile, so no variable can point it here.
        """
        return {"IPP_CLIENT_FILE": f"{session_dir}/{CLIENT_FILE}", "IPP_ENABLE_CURVE": "1"}

    def plan(self, options, remote_run, mpi_run, settings):
        return {
            "name": self.name,
            "profile": PROFILE,
            "remote_run": remote_run,
            "mpi_run": mpi_run,
            "nodes": options.nodes,
            "engines_per_node": options.ipyparallel_engines_per_node,
            # Dask on the same nodes: None, or what was asked for.
            "dask": [options.dask_workers_per_node, options.dask_threads_per_worker] if options.dask else None,
        }
