# Read by every interactive Python of a session (PYTHONSTARTUP): kernels, consoles, not programs. Where the package is
# not installed it makes the one in SESSION_DIR/python importable, last on the path, tells IPython of %ipcluster, then
# does what the user's own PYTHONSTARTUP does. Any Python may read this, also version 2.


def _hpc_startup(namespace):
    import os
    import sys
    del namespace["_hpc_startup"]
    try:
        from importlib.util import find_spec  # a package installed as editable is found by no path
        if find_spec("jupyterhub_hpc_spawner") is None:
            sys.path.append(os.path.join(os.path.dirname(os.environ["HPC_SESSION_FILE"]), "python"))
    except (ImportError, LookupError, ValueError):
        pass
    try:
        magics = sys.modules["IPython"].get_ipython().magics_manager
        if "ipcluster" not in magics.magics["line"]:
            magics.register_lazy("ipcluster", "jupyterhub_hpc_spawner.notebook.magics")
    except (LookupError, AttributeError):
        pass  # not IPython, or one from before such magics
    own = os.environ.get("HPC_USER_PYTHONSTARTUP")
    if own and os.path.isfile(own):
        with open(own, "rb") as source:
            code = compile(source.read(), own, "exec")
        namespace["__file__"] = own
        exec(code, namespace)


_hpc_startup(globals())
