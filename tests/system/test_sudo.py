"""The one sudoers line, as the Hub's account tries to make more of it than the documentation says."""
import json
import subprocess

import pytest
from support.system_hub import ENVIRONMENT, HUB_ACCOUNT

PROGRAMS = {"slurm": "sbatch", "sge": "qsub"}
HELPER = str(ENVIRONMENT / "bin/jupyterhub-hpc-spawner-helper")
PLANTED = "import os; open({mark!r}, 'w').write(str(os.getuid()))\n"


@pytest.fixture
def nest(cluster, tmp_path_factory):
    """A directory of the Hub's account, full of what must not be run as alice; ``mark`` is where it would say so."""
    made = subprocess.run(["mktemp", "-d", "-p", "/var/tmp", "nest.XXXXXX"], capture_output=True, text=True, check=True)
    directory = made.stdout.strip()
    subprocess.run(["chmod", "1777", directory], check=True)
    mark = f"{directory}/mark"
    script = f"#!/bin/sh\nid -u >{mark}\n"
    names = ("json.py", "sitecustomize.py", "usercustomize.py", "start.py")
    files = {name: PLANTED.format(mark=mark) for name in names}
    files.update({"bin/sbatch": script, "bin/qsub": script, "options": f"-jsv {directory}/bin/qsub\n"})
    as_hub("sh", "-c", f"mkdir {directory}/bin; cd {directory}; " + "".join(
        f"cat >{name} <<'END'\n{text}END\n" for name, text in files.items()) + "chmod 755 bin bin/*", check=True)
    yield directory
    subprocess.run(["rm", "-rf", directory], check=True)


def as_hub(*argv, **options):
    become = ["setpriv", f"--reuid={HUB_ACCOUNT}", f"--regid={HUB_ACCOUNT}", "--init-groups", "--reset-env"]
    return subprocess.run([*become, *argv], capture_output=True, text=True, timeout=60, **{"cwd": "/", **options})


def marked(nest):
    return subprocess.run(["cat", f"{nest}/mark"], capture_output=True, text=True).stdout


def test_the_line_allows_this_program_as_these_users_and_nothing_else(nest):
    assert json.loads(as_hub("sudo", "-n", "-H", "-u", "alice", "--", HELPER, input="{}").stdout)["ok"] is False
    python = str(ENVIRONMENT / "bin/python")
    for words in (["-u", "root", "--", HELPER], ["-u", HUB_ACCOUNT, "--", HELPER], ["-u", "alice", "--", HELPER, "x"],
                  ["-u", "alice", "-g", "root", "--", HELPER], ["-u", "alice", "--", "/bin/sh"],
                  ["-u", "alice", "--", python, HELPER], ["-u", "alice", "-s"], ["-u", "alice", "-i"],
                  ["-u", "alice", "-E", "--", HELPER], ["-e", "-u", "alice", HELPER]):
        done = as_hub("sudo", "-n", *words, input="{}")
        assert done.returncode != 0 and not done.stdout, (words, done)


@pytest.mark.parametrize("variable", ["PYTHONPATH={nest}", "PYTHONSTARTUP={nest}/start.py", "PYTHONHOME={nest}",
                                      "LD_PRELOAD={nest}/x.so", "LD_LIBRARY_PATH={nest}", "PYTHONUSERBASE={nest}",
                                      "BASH_ENV={nest}/start.py", "PATH={nest}/bin", "HOME={nest}"])
def test_no_variable_of_the_hub_reaches_it(nest, variable):
    """Neither from its environment, nor as sudo is told on the command line, nor from where it stands."""
    name, value = variable.format(nest=nest).split("=")
    ask = ["-u", "alice", "-H", "--", HELPER]
    as_hub("env", f"{name}={value}", "/usr/bin/sudo", "-n", *ask, input="{}", cwd=nest)
    as_hub("/usr/bin/sudo", "-n", f"{name}={value}", *ask, input="{}", cwd=nest)
    assert marked(nest) == ""


def ask(**request):
    done = as_hub("sudo", "-n", "-H", "-u", "alice", "--", HELPER, input=json.dumps({"timeout": 5, **request}))
    return json.loads(done.stdout)


@pytest.mark.parametrize("env", [{"PATH": "{nest}/bin"}, {"SLURM_CONF": "{nest}/slurm.conf"}, {"HOME": "{nest}"},
                                 {"LD_PRELOAD": "{nest}/x.so"}, {"SLURM_CONF": "/var/tmp/../..{nest}/x"},
                                 {"TZ": "{nest}/zone"}, {"LANG": "{nest}"}, {"SGE_ROOT": "{nest}"}])
def test_no_request_of_the_hub_runs_or_reads_what_it_made(nest, cluster, env):
    given = {**cluster.environment, **{name: value.format(nest=nest) for name, value in env.items()}}
    answer = ask(verb="run", argv=[PROGRAMS[cluster.system]], env=given)
    assert answer["ok"] is False and marked(nest) == ""


@pytest.mark.parametrize("words", ["-jsv {nest}/bin/qsub", "-@ {nest}/options"])
def test_no_argument_and_no_line_of_a_script_has_qsub_run_what_the_hub_made(nest, cluster, words):
    """Asked for by alice herself, qsub does it."""
    if cluster.system != "sge":
        pytest.skip("only Grid Engine's qsub does such a thing")
    words = words.format(nest=nest)
    for argv, script in ((["qsub", *words.split()], "true\n"), (["qsub"], f"#!/bin/sh\n#$ {words}\ntrue\n")):
        answer = ask(verb="run", argv=argv, stdin=script, env=cluster.environment)
        assert answer["ok"] is False and marked(nest) == "", (argv, answer)
        cluster.run("alice", "timeout", "5", *argv, input=script)
        assert marked(nest).strip().isdigit()
        subprocess.run(["rm", f"{nest}/mark"], check=True)
    assert ask(verb="run", argv=["qsub"], stdin="#!/bin/sh\n", env=cluster.environment)["ok"]


def test_nothing_runs_on_this_machine_and_nothing_is_left_of_anothers(nest):
    """The scheduler for one machine is none here; another user's directory is not made, read or removed."""
    local = ask(verb="run", argv=["jupyterhub-hpc-spawner-local", "submit", f"{nest}/log"],
                stdin=f"#!/bin/sh\nid >{nest}/mark")
    assert "is not a program" in local["error"]
    as_hub("mkdir", "-m", "777", f"{nest}/jupyter-hub", f"{nest}/mine", check=True)
    for verb, directory in (("end", "jupyter-hub"), ("submit", "jupyter-hub"), ("submit", "mine/jupyter-new")):
        answer = ask(verb=verb, session_dir=f"{nest}/{directory}", lines=9, remove=True, argv=["squeue"], files={})
        assert answer["ok"] is False, (verb, directory)
    assert as_hub("ls", f"{nest}/mine").stdout == "" and as_hub("ls", "-d", f"{nest}/jupyter-hub").returncode == 0
    assert marked(nest) == ""
