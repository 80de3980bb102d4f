"""Every example configuration loads and does what its comments say; what the documentation shows is true."""
import json
import re
import subprocess
import sys
from dataclasses import fields
from importlib.metadata import entry_points
from pathlib import Path
from types import SimpleNamespace

import pytest
from jupyterhub_hpc_spawner.batch import GROUP
from jupyterhub_hpc_spawner.batch.base import BatchSystem
from jupyterhub_hpc_spawner.batch.slurm import Slurm
from jupyterhub_hpc_spawner.errors import OptionErrors
from jupyterhub_hpc_spawner.hub.offline import make_spawner
from jupyterhub_hpc_spawner.model import Completed, Environment, JobRequest, JobState
from jupyterhub_hpc_spawner.options import Options, Policy, Profile, parse_options
from jupyterhub_hpc_spawner.script import make_templates, render_script
from jupyterhub_hpc_spawner.units import parse_memory, parse_walltime

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(path.name for path in (ROOT / "example_config").glob("*.py"))
CLUSTERS = ("slurm.py", "pbs.py", "gridengine.py")
SYSTEMS = {entry.name: entry for entry in entry_points(group=GROUP) if entry.value.startswith("jupyterhub_hpc_spawner")}
# Where the settings of each batch system are described.
PAGES = {"slurm": "install-slurm.md", "pbs": "install-pbs.md", "sge": "install-grid-engine.md",
         "torque": "other-batch-systems.md", "lsf": "other-batch-systems.md", "condor": "other-batch-systems.md"}
GIB = 1024 ** 3


def spawner(name, groups=()):
    """The spawner that an example gives to a user in these groups; no batch system is asked."""
    made = make_spawner(str(ROOT / "example_config" / name), "root")
    made.user.groups = [SimpleNamespace(name=group) for group in groups]
    return made


def render(made, raw):
    return made.render(made.parse_options(raw), made.new_session())[1]


def refused(made, raw):
    with pytest.raises(OptionErrors) as caught:
        made.parse_options(raw)
    return [error.field for error in caught.value.errors]


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_gives_a_script_that_bash_can_read(name):
    script = render(spawner(name), {"dask": True, "working_dir": "~/work"})
    assert script.startswith("#!/bin/bash -l\n") and "run.py" in script
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_sets_only_what_exists(name):
    """A name that nobody reads is a typing error that JupyterHub would pass over in silence."""
    made = spawner(name)
    for section in ("HPCSpawner", "JupyterHub"):
        known = type(made if section == "HPCSpawner" else made.parent).class_traits(config=True)
        assert set(made.parent.config[section]) <= set(known)


def test_the_demo_needs_no_batch_system_and_a_password():
    made = spawner("demo.py")
    assert made.batch_system == "local"
    assert made.parent.authenticator_class.__name__ == "SharedPasswordAuthenticator"
    assert f"environment={sys.prefix}\n" in render(made, {})


@pytest.mark.parametrize("name", CLUSTERS)
def test_an_example_for_a_cluster_lets_sessions_outlive_the_hub_and_wait_in_the_queue(name):
    made = spawner(name)
    assert made.parent.cleanup_servers is False and made.parent.concurrent_spawn_limit == 0
    assert made.start_timeout >= 3600 and made.http_timeout >= 120
    assert made.parent.hub_connect_url.startswith("http://hub.cluster.example")


def test_the_slurm_example_fills_in_walltime_and_environment():
    script = render(spawner("slurm.py"), {})
    assert "#SBATCH --time=04:00:00\n" in script and "environment=/opt/jupyter\n" in script


@pytest.mark.parametrize(("name", "raw", "lines"), [
    ("pbs.py", {}, ["#PBS -l select=1:ncpus=1:mem=4194304kb", "#PBS -l walltime=04:00:00"]),
    ("pbs.py", {"nodes": 2, "cores": 4, "memory": "8G", "gpus": 1, "gpu_type": "a100", "node_type": "skylake"},
     ["#PBS -l select=2:ncpus=4:mem=8388608kb:ngpus=1:gpu_type=a100:model=skl", "#PBS -l place=scatter"]),
    ("gridengine.py", {}, ["#$ -l mem_free=4194304K", "#$ -l h_rt=04:00:00"]),
    ("gridengine.py", {"cores": 4, "node_type": "large-memory"}, ["#$ -pe smp 4", "#$ -l himem"]),
    ("gridengine.py", {"nodes": 2, "cores": 4}, ["#$ -pe jupyter-4 8", "#$ -l mem_free=1048576K"]),
])
def test_the_examples_for_pbs_and_grid_engine_ask_for_it_in_their_words(name, raw, lines):
    assert set(lines) <= set(render(spawner(name), raw).splitlines())


def test_the_grid_engine_example_offers_only_cores_that_have_a_parallel_environment():
    assert refused(spawner("gridengine.py"), {"nodes": 2, "cores": 3}) == ["cores"]


def test_the_policy_keeps_what_slurm_py_sets():
    assert spawner("slurm_policy.py").parent.concurrent_spawn_limit == 0


@pytest.mark.parametrize(("raw", "fields"), [
    ({"nodes": 5}, ["nodes"]), ({"memory": "65G"}, ["memory"]), ({"walltime": "9h"}, ["walltime"]),
    ({"queue": "low"}, ["queue"]), ({"node_type": "himem"}, ["node_type"]),
    ({"profile": "small", "cores": 2}, ["cores"]), ({"profile": "big"}, ["profile"]),
    ({"profile": "dask", "nodes": 5, "cores": 33}, ["nodes", "cores"]),
])
def test_the_policy_refuses_by_field(raw, fields):
    assert refused(spawner("slurm_policy.py"), raw) == fields


@pytest.mark.parametrize("raw", [
    {"nodes": 4, "memory": "64G", "walltime": "8h", "cores": 32}, {"queue": "debug"}, {"environment": "~/mine"},
    {"profile": "small", "walltime": "10m"}, {"environment": "module:a b/1.2"},
])
def test_the_policy_allows_what_is_within(raw):
    spawner("slurm_policy.py").parse_options(raw)


def test_a_preset_fills_in_what_the_user_leaves_open():
    options = spawner("slurm_policy.py").parse_options({"profile": "dask", "nodes": 3})
    assert (options.nodes, options.cores, options.memory, options.dask) == (3, 8, 32 * GIB, True)


async def test_a_group_changes_limits():
    power = spawner("slurm_policy.py", ["power"])
    assert refused(power, {"nodes": 64, "memory": "1T", "walltime": "1d", "queue": "low"})
    await power.apply_group_overrides()
    power.parse_options({"nodes": 64, "memory": "1T", "walltime": "1d", "queue": "low"})
    assert refused(power, {"nodes": 65, "cores": 33}) == ["nodes", "cores"]


async def test_one_groups_limits_are_nobody_elses():
    course = spawner("slurm_policy.py", ["course"])
    await course.apply_group_overrides()
    assert refused(course, {"nodes": 2, "walltime": "3h"}) == ["nodes", "walltime"]
    other = spawner("slurm_policy.py", ["staff"])
    await other.apply_group_overrides()
    other.parse_options({"nodes": 2, "walltime": "3h"})


async def test_who_leaves_a_group_has_its_limits_no_more_but_what_a_hook_has_set_since():
    power = spawner("slurm_policy.py", ["power"])
    for _ in range(2):
        power.user.groups = [SimpleNamespace(name="power")]
        await power.apply_group_overrides()
        power.parse_options({"nodes": 64})
        power.user.groups = []
        await power.apply_group_overrides()
        assert refused(power, {"nodes": 64}) == ["nodes"]
    power.user.groups = [SimpleNamespace(name="power")]
    await power.apply_group_overrides()
    power.limits = {**power.limits, "nodes": 7}
    power.user.groups = []
    await power.apply_group_overrides()
    power.parse_options({"nodes": 7})
    assert refused(power, {"nodes": 8}) == ["nodes"]


def test_the_sites_template_and_directives_are_in_the_script():
    script = render(spawner("slurm_policy.py"), {"node_type": "large-memory"})
    assert "module use /apps/jupyter/modulefiles\n" in script
    assert "#SBATCH --comment=jupyterhub\n" in script and "#SBATCH --constraint=himem\n" in script
    assert "#SBATCH --partition=normal\n" in script and 'exec python3 "$session_dir/run.py" launch' in script


def test_the_reference_of_settings_is_current():
    """tools/make-reference writes it anew."""
    made = subprocess.run([sys.executable, ROOT / "tools/make-reference", "--print"], check=True, capture_output=True,
                          text=True).stdout
    assert (ROOT / "docs/configure.md").read_text() == made


def blocks(page, kind):
    """The blocks of code of one kind in a page of docs/."""
    return re.findall(rf"^```{kind}\n(.*?)^```", (ROOT / "docs" / page).read_text(), re.MULTILINE | re.DOTALL)


def rows(page, first):
    """The first two columns of the table whose heading begins with ``first``."""
    table = (ROOT / "docs" / page).read_text().split(f"| {first} |")[1].split("\n\n")[0]
    return [tuple(cell.strip() for cell in line.split("|")[1:4]) for line in table.splitlines()[2:]]


def test_every_option_is_in_the_table():
    elsewhere = {"cluster"}  # for a Hub that serves several: not built yet, and refused
    names = [name.strip("`") for name, _, _ in rows("spawn-form.md", "option")]
    assert set(names) | elsewhere == set(Options.model_fields) and len(names) == len(set(names))


def test_the_tables_examples_are_taken():
    """Each alone, with what it needs beside it."""
    policy = Policy(profiles={"small": Profile({})}, environments={"jupyter": Environment()},
                    interfaces={"lab": "/lab"})
    for name, _, example in rows("spawn-form.md", "option"):
        parse_options({name.strip("`"): json.loads(example.strip("`"))}, policy)


@pytest.mark.parametrize(("first", "read"), [("walltime", parse_walltime), ("memory", parse_memory)])
def test_the_notations_in_the_tables_are_read(first, read):
    written = [text for cell, *_ in rows("spawn-form.md", first) for text in re.findall(r"`(.*?)`", cell)]
    assert len(written) > 4 and all(read(json.loads(text)) > 0 for text in written)


def test_the_tiny_batch_system_is_complete():
    namespace = {}
    [code] = [block for block in blocks("add-a-batch-system.md", "python") if "class Tiny" in block]
    exec(code, namespace)
    tiny = namespace["Tiny"]()
    assert {name for name in vars(BatchSystem) if not name.startswith("_")} <= set(dir(tiny))
    assert tiny.parse_job_id(Completed(("qsub",), 0, "7\n", "")) == "7"
    states = tiny.parse_status(Completed(("qstat",), 0, "7 R\n8 ?\n", ""))
    assert (states["7"].state, states["8"].state) == (JobState.RUNNING, JobState.UNKNOWN)


def test_the_template_in_the_documentation_renders(tmp_path):
    (tmp_path / "job").mkdir()
    (tmp_path / "job/slurm.sh.j2").write_text(blocks("job-script.md", "jinja")[0])
    request = JobRequest("jupyter-1", "/s/jupyter-1", prologue="ulimit -c 0")
    script = render_script(request, Slurm(), make_templates([tmp_path]))
    assert "ulimit -c 0\n\n. /etc/profile.d/modules.sh || fail" in script
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_every_batch_system_is_in_the_readmes_table():
    assert set(SYSTEMS) >= {*PAGES, "local"}
    for name in SYSTEMS:
        assert f"\n| `{name}` " in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("name", PAGES)
def test_every_setting_of_a_batch_system_is_on_its_page_with_its_default(name):
    for field in fields(SYSTEMS[name].load()):
        default = field.default if isinstance(field.default, bool) else json.dumps(field.default)
        assert f"\n| `{field.name}` | `{default}` |" in (ROOT / "docs" / PAGES[name]).read_text()


@pytest.mark.parametrize("page", ["../README.md", "../CHANGELOG.md", *sorted(
    path.name for path in (ROOT / "docs").glob("*.md"))])
def test_links_lead_somewhere_and_code_is_code(page):
    here = ROOT / "docs" / page
    for target in re.findall(r"\]\(([^)]+)\)", here.read_text()):
        path, _, anchor = target.partition("#")
        if "://" in path:
            continue
        found = here.parent / path if path else here
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target
    for code in blocks(page, "python"):
        compile(code, page, "exec")


def anchors(path):
    """GitHub's anchors of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]
