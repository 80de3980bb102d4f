"""The job script as it runs: what is sourced when, what is said when something is missing, signals and the end."""
import signal

import pytest
from fake_node import FakeNode
from jupyterhub_hpc_spawner.batch.local import Local
from jupyterhub_hpc_spawner.batch.slurm import Slurm
from jupyterhub_hpc_spawner.model import Environment, JobRequest
from jupyterhub_hpc_spawner.script import make_templates, render_script


@pytest.fixture
def node(tmp_path):
    node = FakeNode(tmp_path)
    node.session(tmp_path / "session", {"WHO": "hub"})
    return node


def script(node, system=Local(), **fields):
    request = JobRequest(**{"name": "jupyter-abc", "session_dir": f"{node.directory}/session", **fields})
    return render_script(request, system, make_templates())


def test_on_slurm_the_launcher_learns_its_job_and_all_its_nodes(node):
    node.run(script(node, Slurm()), SLURM_JOB_ID="35", SLURM_JOB_NODELIST="n[1-3]")
    assert (node.env["HPC_JOB_ID"], node.env["HPC_JOB_NODES"].split()) == ("35", ["n1", "n2", "n3"])


def test_the_users_file_has_the_last_word(node):
    (node.home / ".jupyterhub.env").write_text('export SEEN="$WHO $(command -v python3)" WHO=user\n')
    node.environment(node.directory / "env")
    code, _, errors = node.run(script(node, prologue="export WHO=site",
                                      environment=Environment(f"{node.directory}/env")))
    assert (code, errors) == (0, "")
    assert (node.env["WHO"], node.env["SEEN"]) == ("user", f"site {node.directory}/env/bin/python3")


@pytest.mark.parametrize("path", ["~/my env", "~"])
def test_a_tilde_is_the_users_home(node, path):
    node.environment(path.replace("~", str(node.home), 1))
    assert node.run(script(node, environment=Environment(path)))[::2] == (0, "")
    assert node.env["PATH"].split(":")[0] == path.replace("~", str(node.home), 1) + "/bin"


def user_file(text):
    return lambda node: (node.home / ".jupyterhub.env").write_text(text)


@pytest.mark.parametrize("prepare, fields, sentence", [
    (None, {"environment": Environment("/nonexistent/env")},
     "there is no Python in the software environment /nonexistent/env"),
    (None, {"environment": Environment("~/gone")}, "there is no Python in the software environment {home}/gone"),
    (None, {"environment": Environment(modules=("python/3.11", "broken"))}, "the module could not be loaded: broken"),
    (user_file("return 3\n"), {}, "{home}/.jupyterhub.env ended with status 3"),
    (user_file("false\n"), {}, "{home}/.jupyterhub.env ended with status 1"),
    (user_file("PATH=/nonexistent\n"), {}, "there is no python3 in PATH (/nonexistent)"),
    (lambda node: (node.directory / "session/environment.sh").unlink(), {}, "environment.sh cannot be read on "),
])
def test_what_is_missing_is_said_in_one_sentence_and_nothing_is_started(node, prepare, fields, sentence):
    if prepare:
        prepare(node)
    code, _, errors = node.run(script(node, **fields))
    assert code == 1 and not node.argv
    said = errors.replace(f"{node.directory}/session/", "")
    assert f"The session cannot start: {sentence.format(home=node.home)}" in said


FAKE = "#!/bin/bash\ntrap 'echo got TERM; exit 9' TERM\necho ready\nwhile :; do sleep 0.02; done\n"


@pytest.mark.parametrize("epilogue", ["", "echo epilogue"])
@pytest.mark.parametrize("status", [0, 7])
def test_the_launchers_status_is_the_jobs_also_after_an_epilogue(node, epilogue, status):
    node.program("python3", f"#!/bin/sh\necho launcher\nexit {status}\n")
    code, output, errors = node.run(script(node, epilogue=epilogue))
    assert (code, output.split(), errors) == (status, ["launcher", *epilogue.split()[1:]], "")


@pytest.mark.parametrize("epilogue", ["", "echo epilogue"])
@pytest.mark.parametrize("number", [signal.SIGTERM], ids=["TERM"])
def test_a_signal_to_the_job_ends_the_launcher_in_order(node, epilogue, number):
    node.program("python3", FAKE)
    with node.start(script(node, epilogue=epilogue)) as job:
        assert job.stdout.readline() == "ready\n"
        job.send_signal(number)
        output, errors = node.communicate(job)
    assert output.splitlines() == ["got TERM", *epilogue.split()[1:]]
    assert job.returncode == 9


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2])
def test_any_signal_to_end_runs_the_epilogue_too(node, number):
    node.program("python3", FAKE)
    with node.start(script(node, epilogue="echo epilogue")) as job:
        assert job.stdout.readline() == "ready\n"
        job.send_signal(number)
        assert node.communicate(job)[0].splitlines() == ["got TERM", "epilogue"]
    assert job.returncode == 9


def test_a_launcher_that_was_killed_is_followed_by_the_epilogue(node):
    node.program("python3", "#!/bin/sh\nkill -KILL $$\n")
    code, output, _ = node.run(script(node, epilogue="echo epilogue"))
    assert (code, output) == (128 + signal.SIGKILL, "epilogue\n")
