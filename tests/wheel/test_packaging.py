"""The wheel as people get it, in an environment with nothing else."""
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent.parent

LOAD = """
from importlib.metadata import entry_points
(spawner,) = [entry for entry in entry_points(group="jupyterhub.spawners") if entry.name == "hpc"]
print(spawner.load().__name__)
from jupyterhub_hpc_spawner.batch import make_batch_system
print(*(make_batch_system(name, {}).name for name in "slurm pbs sge torque lsf condor local".split()))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from the source distribution, as a release is."""
    directory = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", directory, CHECKOUT)
    return next(directory.glob("*.whl"))


@pytest.fixture(scope="module")
def clean(wheel, tmp_path_factory):
    """The programs of a fresh environment that has only the wheel and what it asks for."""
    directory = tmp_path_factory.mktemp("clean")
    run(sys.executable, "-m", "venv", directory)
    run(directory / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", wheel)
    return directory / "bin"


def run(*argv):
    done = subprocess.run(list(map(str, argv)), capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def test_the_wheel_holds_templates_and_licence_and_no_tests(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for name in ("job/slurm.sh.j2", "form/form.html.j2", "demo/welcome.ipynb", "demo/ensemble.ipynb"):
        assert f"jupyterhub_hpc_spawner/templates/{name}" in names
    assert any(name.endswith("LICENSE") for name in names)
    assert not [name for name in names if "tests" in name]


def test_the_entry_points_load(clean):
    assert run(clean / "python", "-c", LOAD).split() == [
        "HPCSpawner", "slurm", "pbs", "sge", "torque", "lsf", "condor", "local"]


def test_render_prints_a_job_script(clean, tmp_path):
    config = tmp_path / "jupyterhub_config.py"
    config.write_text('c.JupyterHub.spawner_class = "hpc"\nc.HPCSpawner.batch_system = "slurm"\n')
    script = run(clean / "jupyterhub-hpc-spawner", "render", "--config", config, "--user", "root", "--options",
                 '{"nodes": 2, "dask": true}')
    assert script.startswith("#!/bin/bash -l\n#SBATCH --job-name=jupyter-") and "#SBATCH --nodes=2\n" in script


def test_the_helper_answers(clean):
    done = subprocess.run([clean / "jupyterhub-hpc-spawner-helper"], input="{}", capture_output=True, text=True)
    assert done.stdout == '{"ok": false, "error": "Refused: the request has no known verb"}'
