"""The example of docs/add-a-batch-system.md, as somebody else's package: found by its entry point, and it works."""
import os
import pwd
import re
from pathlib import Path

import pytest
from support.kernel import run_code
from support.running_hub import RunningHub

PAGE = Path(__file__).resolve().parents[2] / "docs/add-a-batch-system.md"
# A scheduler for it: the one behind "local", in other words.
PROGRAMS = {
    "qsub": """cat >"$HPC_LOCAL_JOBS.script"
grep '^#TINY' "$HPC_LOCAL_JOBS.script" >"$HPC_LOCAL_JOBS.directives"
if grep -q '^#TINY -q closed' "$HPC_LOCAL_JOBS.script"; then echo "qsub: the queue is closed" >&2; exit 3; fi
export TINY_JOB_ID=4711 TINY_NODES=$(hostname)
exec jupyterhub-hpc-spawner-local submit /dev/null <"$HPC_LOCAL_JOBS.script"
""",
    "qstat": """jupyterhub-hpc-spawner-local list | sed "s/\tRUNNING/ R $(hostname)/; s/\tENDED/ E/"
""",
    "qdel": """exec jupyterhub-hpc-spawner-local cancel "$1"
""",
}
CONFIG = """
import sys
sys.path.insert(0, "{directory}/package")
c.HPCSpawner.batch_system = "tiny"
c.HPCSpawner.batch_settings = {{"project": "guests"}}
c.HPCSpawner.template_paths = ["{directory}/templates"]
c.HPCSpawner.command_environment = {{"PATH": "{directory}/bin", "HPC_LOCAL_JOBS": "{directory}/jobs"}}
c.HPCSpawner.session_root = "{directory}/sessions"
c.HPCSpawner.environments = {{"test": {{"path": "{environment}"}}}}
c.HPCSpawner.status_interval = 0.5
c.HPCSpawner.args = ["--allow-root"]
"""


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def hub(environment, tmp_path):
    for name in ("package/tiny_batch-1.dist-info", "templates/job", "bin", "jobs"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "package/tiny_batch.py").write_text(blocks("python")[0])
    (tmp_path / "package/tiny_batch-1.dist-info/METADATA").write_text("Name: tiny-batch\nVersion: 1\n")
    (tmp_path / "package/tiny_batch-1.dist-info/entry_points.txt").write_text(
        "[jupyterhub_hpc_spawner.batch_systems]\ntiny = tiny_batch:Tiny\n")
    (tmp_path / "templates/job/tiny.sh.j2").write_text(blocks("jinja")[0])
    for name, text in PROGRAMS.items():
        (tmp_path / "bin" / name).write_text("#!/bin/sh\n" + text)
        (tmp_path / "bin" / name).chmod(0o755)
    hub = RunningHub(tmp_path, environment / "bin", CONFIG.format(directory=tmp_path, environment=environment)).start()
    hub.user = pwd.getpwuid(os.getuid()).pw_name
    yield hub
    hub.stop()


def test_the_pages_example_works_from_another_package(hub):
    hub.add_user(hub.user)
    events = hub.spawn(hub.user, {"queue": "normal", "walltime": "36h"})
    assert events[-1].get("ready"), events
    assert (hub.directory / "jobs.directives").read_text() == (
        "#TINY -A guests\n#TINY -q normal\n#TINY -t 36:00:00\n")
    code = "import os; print(os.environ['HPC_JOB_ID'])"
    printed = run_code(f"{hub.url}/user/{hub.user}/", hub.user_token(hub.user), code)
    assert printed.strip() == "4711"
    hub.stop_server(hub.user)
    assert not list((hub.directory / "sessions").iterdir())
    assert "the queue is closed" in hub.spawn(hub.user, {"queue": "closed"})[-1]["message"]
    assert "nodes: cannot be chosen on this cluster" in hub.spawn(hub.user, {"nodes": 2})[-1]["message"]
