"""batchspawner's req_* settings are the site's defaults, whoever wrote them and for whatever spawner."""
import os
import pwd

import pytest
from jupyterhub_hpc_spawner.cli import main
from jupyterhub_hpc_spawner.hub.offline import make_spawner

USER = pwd.getpwuid(os.getuid()).pw_name
CONFIG = """
c.JupyterHub.spawner_class = "hpc"
c.BatchSpawnerBase.req_partition = "normal"
c.BatchSpawnerBase.req_account = "geo"
c.BatchSpawnerBase.req_runtime = "2:00:00"
c.BatchSpawnerBase.req_memory = "4G"
c.BatchSpawnerBase.req_nprocs = "2"
c.BatchSpawnerBase.req_ngpus = "1"
c.BatchSpawnerBase.req_options = "--exclusive\\n--comment='a b'"
c.BatchSpawnerBase.req_prologue = "echo before"
c.BatchSpawnerBase.req_epilogue = "echo after"
"""


@pytest.fixture
def render(tmp_path):
    """The lines of the job script that these options give at this site."""
    config = tmp_path / "jupyterhub_config.py"
    config.write_text(CONFIG)
    spawner = make_spawner(str(config), USER)

    def lines(**options):
        return spawner.render(spawner.parse_options(options), spawner.new_session())[1].splitlines()
    return lines


@pytest.mark.parametrize("line", [
    "#SBATCH --partition=normal", "#SBATCH --account=geo", "#SBATCH --time=02:00:00", "#SBATCH --mem=4194304K",
    "#SBATCH --cpus-per-task=2", "#SBATCH --gres=gpu:1", "#SBATCH --exclusive", "#SBATCH --comment='a b'",
    "echo before", "echo after",
])
def test_a_request_that_says_nothing_gets_the_sites_defaults(render, line):
    assert line in render()


def test_what_the_user_chooses_comes_first(render):
    lines = render(queue="debug", walltime="10m", cores=1)
    assert "#SBATCH --partition=debug" in lines and "#SBATCH --time=00:10:00" in lines
    assert "#SBATCH --cpus-per-task=1" in lines and "#SBATCH --account=geo" in lines


def test_render_says_where_a_site_made_a_mistake(tmp_path, capsys):
    config = tmp_path / "jupyterhub_config.py"
    config.write_text(CONFIG + 'c.HPCSpawner.choices = {"queue": {"normal": {"max_nodes": "none"}}}\n')
    assert main(["render", "--config", str(config), "--user", USER]) == 1
    assert "choices['queue']['normal']['max_nodes']: must be a whole number" in capsys.readouterr().err


def test_without_discovery_no_command_is_run_for_the_form(tmp_path, capsys):
    config = tmp_path / "jupyterhub_config.py"
    config.write_text(CONFIG + """
c.HPCSpawner.discover = []
c.HPCSpawner.command_environment = {"PATH": "/nonexistent"}
c.HPCSpawner.choices = {"queue": {"normal": {"default": True}, "debug": {}}}
""")
    assert main(["render", "--config", str(config), "--user", USER, "--options", '{"queue": "debug"}']) == 0
    said = capsys.readouterr()
    assert "#SBATCH --partition=debug" in said.out and "not known" not in said.err
    assert main(["render", "--config", str(config), "--user", USER, "--options", '{"queue": "low"}']) == 1
    assert "queue: there is no 'low' here; choose one of normal, debug" in capsys.readouterr().err
