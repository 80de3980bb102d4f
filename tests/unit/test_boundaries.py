"""Imports go one way, pure rooms touch nothing, and code of the job runs where this package is not installed."""
import ast
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import jupyterhub_hpc_spawner
import pytest

PACKAGE = Path(jupyterhub_hpc_spawner.__file__).parent
FILES = sorted(path for path in (found.relative_to(PACKAGE) for found in PACKAGE.rglob("*.py"))
               if path.parts[0] != "templates")
PURE_ROOMS = {"model", "errors", "units", "limits", "outlook", "form_data", "declared", "offers", "fitting", "fields",
              "node_facts", "options", "form", "script", "batch", "runtimes"}
BASE = {"errors", "model", "units"}
# Which rooms each room may import from. A room is a file of the package's top, or a folder.
MAY_IMPORT = {
    "_version": set(), "__init__": {"_version"}, "errors": set(), "model": set(), "units": {"errors"},
    "fields": {"units"}, "declared": {"errors", "fields"}, "offers": BASE | {"declared"}, "fitting": {"offers"},
    "limits": {"fitting", "units"}, "outlook": {"fields", "fitting", "limits", "units"},
    "form_data": {"errors", "fields", "fitting", "limits", "options"}, "node_facts": {"units"},
    "options": BASE | {"declared", "fields", "fitting", "limits"},
    "form": BASE | {"fields", "form_data", "limits", "node_facts", "options", "outlook"}, "script": BASE | {"options"},
    "batch": BASE | {"batch"}, "runtimes": BASE | {"options", "runtimes"},
    "hub": PURE_ROOMS | {"hub", "_version"}, "cli": PURE_ROOMS | {"hub", "demo", "_version"},
    "demo": PURE_ROOMS | {"hub", "_version"},
    "helper": {"through_sudo"}, "through_sudo": set(), "localbatch": set(), "node": {"node"}, "notebook": {"notebook"},
}
WORLD = {"asyncio", "subprocess", "socket", "selectors", "threading", "multiprocessing", "os", "pathlib", "shutil",
         "tempfile", "glob", "fileinput", "time", "random", "secrets", "urllib", "http", "pwd", "signal", "sqlite3",
         "jupyterhub", "tornado", "batchspawner", "traitlets", "requests"}
# Dask loads it or it is loaded to become Dask, so it runs where distributed and tornado are.
LOADED_BY_DASK = {Path("node") / name for name in ("dask_activity.py", "dask_plugin.py", "dask_preload.py",
                                                   "dask_worker.py")}
# Imported by cluster(), when dask-jobqueue is there.
WITH_DASK = {Path("notebook") / name for name in ("attached.py", "attached_jobs.py", "settings.py")}
NODE = [path for path in FILES if path.parts[0] == "node"]
# What is imported in a user's kernel, as the helper stages it.
NOTEBOOK = [Path("__init__.py"), Path("_version.py"), *(path for path in FILES if path.parts[0] == "notebook")]


def room(path):
    return path.parts[0].removesuffix(".py")


@cache
def parsed(path):
    return ast.parse((PACKAGE / path).read_text())


def imports(path, whole=True):
    """(room of this package or "", module) of each import; with ``whole`` also those inside functions."""
    tree = parsed(path)
    for node in ast.walk(tree) if whole else tree.body:
        if isinstance(node, ast.Import):
            yield from ((own(alias.name), alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield own(node.module), node.module
        elif isinstance(node, ast.ImportFrom):
            base = path.parent.parts[:len(path.parent.parts) - node.level + 1]
            for alias in node.names:
                yield [*base, *(node.module or alias.name).split(".")][0], ""


def own(module):
    package, _, rest = module.partition(".")
    return (rest.partition(".")[0] or "__init__") if package == PACKAGE.name else ""


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_file_imports_only_from_the_rooms_below_its_own(path):
    assert {found for found, _ in imports(path) if found} <= MAY_IMPORT[room(path)]


def test_every_room_is_there():
    assert PURE_ROOMS | {"hub", "node", "notebook", "helper"} <= {room(path) for path in FILES} <= set(MAY_IMPORT)


@pytest.mark.parametrize("path", [path for path in FILES if room(path) in PURE_ROOMS], ids=str)
def test_a_pure_file_does_not_touch_the_world(path):
    assert not {module.partition(".")[0] for _, module in imports(path)} & WORLD
    calls = [node.func.id for node in ast.walk(parsed(path))
             if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    assert not {"open", "input", "print", "exec", "eval", "__import__"} & set(calls)


@pytest.mark.parametrize("path", [path for path in FILES if room(path) in PURE_ROOMS | {"hub"}], ids=str)
def test_nothing_on_the_hub_is_a_format_string_of_more_than_its_own_line(path):
    """What users send could be the format, and ``{0:>9999999999}`` takes the Hub's memory."""
    names = {node.attr for node in ast.walk(parsed(path)) if isinstance(node, ast.Attribute)}
    assert not {"format", "format_map", "vformat"} & names


@pytest.mark.parametrize("path", [*(path for path in NODE + NOTEBOOK if path not in LOADED_BY_DASK | WITH_DASK),
                                  Path("helper.py"), Path("through_sudo.py"), Path("localbatch.py")], ids=str)
def test_what_runs_as_the_user_imports_the_standard_library_only(path):
    outside = {module.partition(".")[0] for _, module in imports(path, whole=False) if module}
    # "node" is the folder's own name beside the job script, where run.py is put.
    assert outside <= sys.stdlib_module_names | ({"node"} if path.name == "run.py" else set())


@pytest.mark.parametrize("path", NODE + NOTEBOOK, ids=str)
def test_code_of_the_job_is_written_for_python_3_8(path):
    ast.parse((PACKAGE / path).read_text(), feature_version=(3, 8))
    names = {node.attr for node in ast.walk(parsed(path)) if isinstance(node, ast.Attribute)}
    assert not {"removeprefix", "removesuffix", "to_thread", "TaskGroup", "timeout_at", "pairwise", "bit_count"} & names


BLOCKED = """
import sys
for name in ("jupyterhub", "jupyterhub_hpc_spawner", "tornado", "distributed", "dask", "traitlets", "batchspawner"):
    sys.modules[name] = None
"""


def run_python(code, *arguments, cwd=None):
    done = subprocess.run([sys.executable, "-I", "-c", code, *map(str, arguments)], capture_output=True, text=True,
                          cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_code_of_the_job_imports_without_this_package_jupyterhub_or_dask(tmp_path):
    (tmp_path / "node").mkdir()
    for path in NODE:
        shutil.copy(PACKAGE / path, tmp_path / ("run.py" if path.name == "run.py" else path))
    names = [path.stem for path in NODE if path not in LOADED_BY_DASK and path.stem not in ("__init__", "run")]
    code = BLOCKED + """
import importlib
sys.path.insert(0, sys.argv[1])
for name in sys.argv[2:]:
    importlib.import_module("node." + name)
importlib.import_module("run")
print(sys.modules["node"].__file__)
"""
    assert run_python(code, tmp_path, *names).strip() == str(tmp_path / "node" / "__init__.py")


def test_code_of_notebooks_imports_without_the_rest_of_this_package(tmp_path):
    package = tmp_path / PACKAGE.name
    (package / "notebook").mkdir(parents=True)
    for path in NOTEBOOK:
        shutil.copy(PACKAGE / path, package / path)
    code = BLOCKED.replace('"jupyterhub_hpc_spawner", ', '"IPython", ') + """
sys.path.insert(0, sys.argv[1])
from jupyterhub_hpc_spawner.notebook import session
print(sys.modules[session.__module__].__file__)
print(session())
"""
    where, first, *_ = run_python(code, tmp_path).splitlines()
    assert (where, first) == (str(package / "notebook/__init__.py"), "Not in a session")


def test_the_package_itself_imports_no_jupyterhub():
    code = "import sys, jupyterhub_hpc_spawner; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = set(run_python(code).split())
    assert "jupyterhub_hpc_spawner" in loaded
    assert not loaded & {"jupyterhub", "batchspawner", "tornado", "traitlets", "jinja2", "pydantic", "asyncio"}


def test_public_names_come_on_first_use():
    assert jupyterhub_hpc_spawner.OptionError.__module__ == "jupyterhub_hpc_spawner.errors"
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        jupyterhub_hpc_spawner.nonsense
