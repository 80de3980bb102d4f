"""A user's own software environment with a kernel, quickly: everything of another environment but this package."""
import json
import subprocess
from pathlib import Path

OURS = ("jupyterhub_hpc_spawner", "__editable__")


def make_kernel(name, directory, environment, home, other_versions=()):
    """An environment in ``directory`` and its kernelspec ``name`` in the user's ``home``.

    ``other_versions`` are (package, version) that the environment says it has.
    """
    subprocess.run([environment / "bin/python", "-m", "venv", "--without-pip", directory], check=True)
    theirs, = environment.glob("lib/python*/site-packages")
    mine, = directory.glob("lib/python*/site-packages")
    replaced = tuple(f"{package}-" for package, _ in other_versions)
    for found in theirs.iterdir():
        if not found.name.startswith(OURS + replaced) and not (mine / found.name).exists():
            (mine / found.name).symlink_to(found)
    for package, version in other_versions:
        (mine / f"{package}-{version}.dist-info").mkdir()
        (mine / f"{package}-{version}.dist-info/METADATA").write_text(f"Name: {package}\nVersion: {version}\n")
    spec = Path(home, ".local/share/jupyter/kernels", name)
    spec.mkdir(parents=True)
    argv = [str(directory / "bin/python"), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": name, "language": "python"}))
