"""Keep out of the server's process what a starting JupyterLab does not need: it is ready in a third of the time.

Called before ``jupyterhub-singleuser`` is run. Kernels and terminals are other processes: nothing of this reaches
them. A module that is missing, or of another version, only means that its saving is gone. The seconds are CPU time
measured with JupyterHub 6.1 and JupyterLab 4.6; on a slow shared file system every file left out counts more.
"""
import gc
import importlib
import sys
import threading
from importlib.machinery import PathFinder, SourceFileLoader
from types import ModuleType

# Only to log requests as the Hub does, the single-user server imports the Hub's handlers, tables and SQLAlchemy
# (0.3 s, 28 MB). While it is imported these are only promised.
SERVER = "jupyterhub.singleuser"
LATER = ("sqlalchemy", "sqlalchemy.exc", "jupyterhub.orm")
# Starts a Node.js process when it is imported, just to know its own version (0.3 s where there is a node).
LAB = "jupyterlab.labapp"
GARBAGE_AFTER = 20


def prepare():
    """Everything at once, in this process."""
    # jsonschema builds a grammar for one optional format ("iri") when imported; it does without it (1.0 s, 16 MB).
    sys.modules.setdefault("rfc3987_syntax", None)
    # Little of a start is garbage, and looking for it takes 0.2 s. What is there later need not be looked at again.
    gc.disable()
    timer = threading.Timer(GARBAGE_AFTER, _collect_again)
    timer.daemon = True
    timer.start()
    sys.meta_path.insert(0, _Finder)


def _collect_again():
    gc.freeze()
    gc.enable()


class _Finder:
    """Wraps the import of two modules; all others are found as ever."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name not in (SERVER, LAB):
            return None
        spec = PathFinder.find_spec(name, path)
        if spec and isinstance(spec.loader, SourceFileLoader):
            run, how = spec.loader.exec_module, _without_yarn if name == LAB else _without_later
            spec.loader.exec_module = lambda module: how(run, module)
        return spec


class _Later(ModuleType):
    """During the import, whatever is asked of it is an exception class of that name; afterwards the real thing."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            return type(name, (Exception,), {})
        return getattr(importlib.import_module(self.__name__), name)


def _without_later(run, module):
    before = set(sys.modules)
    later = {name: _Later(name) for name in LATER if name not in before}
    sys.modules.update(later)
    try:
        run(module)
        return
    except Exception:  # a version that needs them: once more, with everything
        _forget(set(sys.modules) - before, module)
    finally:
        for name in later:
            if sys.modules.get(name) is later[name]:
                del sys.modules[name]
    run(module)


def _forget(names, module):
    """Drop what a failed import of the package left half done."""
    for name in names:
        package, _, child = name.rpartition(".")
        if package and package.partition(".")[0] == module.__name__.partition(".")[0]:
            del sys.modules[name]
            vars(sys.modules.get(package, module)).pop(child, None)


def _without_yarn(run, module):
    commands = importlib.import_module("jupyterlab.commands")
    ask = getattr(commands, "_yarn_config", None)
    commands._yarn_config = lambda *args: {"yarn config": {}, "npm config": {}}
    try:
        run(module)
    finally:
        commands._yarn_config = ask
