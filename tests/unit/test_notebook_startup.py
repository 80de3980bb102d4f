"""``startup.py`` in a real interactive Python: the session's code can be imported, and the user's own is kept."""
import os
import subprocess
import sys
from pathlib import Path

import jupyterhub_hpc_spawner
import pytest
from jupyterhub_hpc_spawner import helper

PACKAGE = Path(jupyterhub_hpc_spawner.__file__).parent
WHERE = "import jupyterhub_hpc_spawner.notebook as found; print(found.__file__)"


@pytest.fixture
def staged(tmp_path):
    directory = tmp_path / "jupyter-abc"
    directory.mkdir()
    helper._stage(directory, {})
    (directory / "session.json").write_text('{"job_id": "35"}')
    return directory


def interact(directory, *lines, own=None, isolated=True, **env):
    """What an interactive Python of the session prints for these lines. ``isolated`` has no package of ours."""
    env = dict(env, PATH=os.environ["PATH"], HPC_SESSION_FILE=str(directory / "session.json"),
               PYTHONSTARTUP=str(directory / "startup.py"))
    if own:
        env["HPC_USER_PYTHONSTARTUP"] = str(own)
    done = subprocess.run([sys.executable, "-q", "-i", *(["-S"] if isolated else [])], input="\n".join(lines) + "\n",
                          capture_output=True, text=True, env=env, timeout=60, cwd="/")
    return done.stdout.splitlines(), done.stderr


def test_an_environment_without_the_package_imports_what_is_staged(staged):
    printed, _ = interact(staged, WHERE, "from jupyterhub_hpc_spawner.notebook import session; session()")
    assert printed[0] == str(staged / "python/jupyterhub_hpc_spawner/notebook/__init__.py")
    assert printed[1] == "Session of job 35, running"


def test_an_installed_package_comes_first(staged):
    printed, _ = interact(staged, WHERE, isolated=False)
    assert printed == [str(PACKAGE / "notebook/__init__.py")]


def test_it_comes_last_on_the_path_and_leaves_no_name(staged):
    printed, _ = interact(staged, "import sys; print(sys.path[-1]); print(sorted(n for n in dir() if 'hpc' in n))",
                          PYTHONPATH="/users/own")
    assert printed == [str(staged / "python"), "[]"]


def test_the_users_own_startup_is_kept(staged, tmp_path):
    own = tmp_path / "mine.py"
    own.write_text("import math\nmine = __file__\ndef area(r): return math.pi * r * r\n")
    printed, errors = interact(staged, "print(mine); print(area(1))", WHERE, own=own)
    assert printed[:2] == [str(own), "3.141592653589793"] and printed[2].startswith(str(staged / "python"))
    assert "Error" not in errors


def test_a_broken_startup_of_the_user_is_shown_and_breaks_nothing_else(staged, tmp_path):
    own = tmp_path / "mine.py"
    own.write_text("1 / 0\n")
    printed, errors = interact(staged, WHERE, own=own)
    assert len(printed) == 1 and "ZeroDivisionError" in errors and str(own) in errors


def test_programs_do_not_see_it(staged):
    env = {"PYTHONSTARTUP": str(staged / "startup.py"), "HPC_SESSION_FILE": str(staged / "session.json")}
    done = subprocess.run([sys.executable, "-S", "-c", "import sys; print(sys.path)"], capture_output=True, text=True,
                          env=env)
    assert str(staged) not in done.stdout
