"""The job script: every value in its own place, once, whatever it holds."""
import itertools
import subprocess

import pytest
from fake_node import FakeNode, read_environment
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import UndefinedError
from jupyterhub_hpc_spawner.batch.local import Local
from jupyterhub_hpc_spawner.batch.slurm import Slurm
from jupyterhub_hpc_spawner.errors import ConfigError
from jupyterhub_hpc_spawner.model import Environment, JobRequest
from jupyterhub_hpc_spawner.script import (
    directive, directive_line, environment_file, make_templates, quote, render_script)

TEMPLATES = make_templates()
PIECES = [*" \t\n\r\"'\\$`;&|<>(){}[]*?!#~%=:,.-_aZ9éß\x7f\x01", "\n#SBATCH --mem=1\n", "$(id)", "${HOME}", "\\\n",
          "{{ 7 }}",
          "EOF", "' ; touch /x ; '", "%%", "%j", "~/"]
NASTY = st.lists(st.sampled_from(PIECES), min_size=1, max_size=8).map("".join)
NAME = NASTY.filter(lambda text: text not in (".", ".."))  # of a directory, behind a slash
FILE_NAME = NAME.map(lambda text: text.replace("/", "_"))


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    return FakeNode(tmp_path_factory.mktemp("node"))


def request(**fields):
    return JobRequest(**{"name": "jupyter-abc", "session_dir": "/home/alice/s/jupyter-abc", **fields})


def render(system=Slurm(), templates=TEMPLATES, **fields):
    return render_script(request(**fields), system, templates)


def directives(script):
    """The directives that sbatch reads: those before the first line that is not a comment."""
    first, *lines = script.split("\n")
    assert first == "#!/bin/bash -l"
    head = itertools.takewhile(lambda line: line.startswith("#") or not line.strip(), lines)
    return [line.removeprefix("#SBATCH ") for line in head if line.startswith("#SBATCH")]


ALWAYS = ["--job-name=jupyter-abc", "--output=/home/alice/s/jupyter-abc/job.log", "--open-mode=append", "--no-requeue",
          "--signal=B:TERM@30"]


@pytest.mark.parametrize("fields, lines", [
    ({}, ["--nodes=1", "--ntasks-per-node=1"]),
    ({"nodes": 3}, ["--nodes=3", "--ntasks-per-node=1"]),
    ({"queue": "normal", "account": "geo", "qos": "short", "reservation": "course", "constraint": "a100&himem"},
     ["--nodes=1", "--ntasks-per-node=1", "--partition=normal", "--account=geo", "--qos=short", "--reservation=course",
      "--constraint=a100&himem"]),
    ({"cores": 4, "memory": 16 * 1024 ** 3 + 1024, "walltime": 90061},
     ["--nodes=1", "--ntasks-per-node=1", "--cpus-per-task=4", "--mem=16777217K", "--time=1-01:01:01"]),
    ({"gpus": 2}, ["--nodes=1", "--ntasks-per-node=1", "--gres=gpu:2"]),
    ({"gpus": 2, "gpu_type": "a100"}, ["--nodes=1", "--ntasks-per-node=1", "--gres=gpu:a100:2"]),
    ({"gpus": 0}, ["--nodes=1", "--ntasks-per-node=1"]),
    ({"extra_directives": ("--exclusive", '--comment="a b"')},
     ["--nodes=1", "--ntasks-per-node=1", "--exclusive", '--comment="a b"']),
])
def test_a_request_becomes_these_directives_and_no_others(fields, lines):
    assert directives(render(**fields)) == [*ALWAYS, *lines]


def test_a_percent_sign_in_a_path_is_not_a_pattern_of_slurm():
    assert "--output=/home/50%%j/job.log" in directives(render(session_dir="/home/50%j"))


FIELDS = {"queue": "--partition", "account": "--account", "qos": "--qos", "reservation": "--reservation",
          "constraint": "--constraint"}


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, st.from_regex(
    r"[A-Za-z0-9_][A-Za-z0-9_.+@:/=-]{0,127}", fullmatch=True))))
def test_every_name_that_the_options_take_stands_in_its_own_directive(values):
    expected = [f"{FIELDS[name]}={values[name]}" for name in FIELDS if name in values]
    assert directives(render(**values)) == [*ALWAYS, "--nodes=1", "--ntasks-per-node=1", *expected]


@given(st.sampled_from([*FIELDS, "name", "session_dir", "gpu_type"]), NASTY | st.text(min_size=1))
def test_no_text_reaches_beyond_its_own_directive(field, text):
    usual, fields = dict.fromkeys(("queue", "gpu_type"), "x"), {"gpus": 1}
    try:
        lines = directives(render(**{**usual, **fields, field: text}))
    except ConfigError:
        return
    written = text.replace("%", "%%") if field == "session_dir" else text
    expected = directives(render(**{**usual, **fields, field: "PLACE"}))
    assert lines == [line.replace("PLACE", written) for line in expected]


@pytest.mark.parametrize("value",
                         ["n[1-3]", "a100&himem|x", "16G", "1-00:00:00", 5, "/a/b~c%%j", "user@host", "x*2", "é"])
def test_a_directives_value_stands_as_it_is(value):
    assert directive(value) == str(value)


@pytest.mark.parametrize("value", ["", "a b", "a\tb", "a\nb", "a\rb", "a\0b", "a\n", "a;b", "a#b", "a'b", 'a"b', "a\\b",
                                   "a$b", "a`b", "a>b", "a\x0bb", "a\x85b", "a\u2028b", "a\u00a0b"])
def test_what_could_leave_its_directive_is_refused(value):
    with pytest.raises(ConfigError, match="directive"):
        directive(value)


@pytest.mark.parametrize("line", ["--a\n--b", "--a\r--b", "--a\0", "\n"])
def test_a_directive_of_the_site_is_one_line(line):
    assert directive_line('--comment="a b" -x') == '--comment="a b" -x'
    with pytest.raises(ConfigError, match="more than one line"):
        directive_line(line)
    with pytest.raises(ConfigError):
        render(extra_directives=(line,))


@settings(max_examples=40)
@given(session=FILE_NAME, environment=FILE_NAME.filter(lambda text: ":" not in text),
       modules=st.lists(NASTY, max_size=2))
def test_the_job_starts_the_launcher_with_exactly_what_was_asked(node, session, environment, modules):
    node.clear()
    session_dir, path = f"{node.directory}/s/{session}", f"{node.directory}/e/{environment}"
    node.session(session_dir, {"FROM_THE_HUB": session})
    node.environment(path)
    modules = tuple(module for module in modules if module != "broken")
    script = render(Local(), session_dir=session_dir, environment=Environment(path=path, modules=modules))
    assert node.run(script)[::2] == (0, "")
    assert node.argv == [f"{session_dir}/run.py", "launch"]
    assert node.modules == [word for module in modules for word in ("load", module)]
    assert node.env["PATH"] == f"{path}/bin:{node.system_path}" and node.env["FROM_THE_HUB"] == session


@settings(max_examples=40)
@given(st.dictionaries(st.from_regex(r"V[A-Za-z0-9_]{0,20}", fullmatch=True),
                       NASTY | st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0")), max_size=8))
def test_the_environment_file_exports_exactly_these_values(node, env):
    path = node.directory / "environment.sh"
    path.write_bytes(environment_file(env).encode())
    done = subprocess.run(["/bin/bash", "-c", '. "$1" && exec /usr/bin/env -0', "bash", path], env={},
                          capture_output=True)
    assert (done.returncode, done.stderr, read_environment(done.stdout)) == (0, b"", env)


@pytest.mark.parametrize("name", ["", "A B", "1A", "A=B", "A;id", "A\nB", "A\n", "É", "A-B", "$A", "A\0"])
def test_a_name_that_is_no_variable_is_refused(name):
    with pytest.raises(ConfigError, match="environment"):
        environment_file({name: "x"})


def test_no_word_can_hold_a_nul():
    for refuse in (quote, lambda value: environment_file({"A": value})):
        with pytest.raises(ConfigError, match="NUL"):
            refuse("a\0b")


def test_the_sites_prologue_is_not_a_template():
    assert "\necho {{ request.name }} 'x'\n" in render(prologue="echo {{ request.name }} 'x'")


def test_a_site_overrides_one_block_and_keeps_the_rest(tmp_path):
    (tmp_path / "job").mkdir()
    (tmp_path / "job/slurm.sh.j2").write_text(
        '{% extends "default/job/slurm.sh.j2" %}\n{% block prologue %}\nexport SITE=yes\n{{ super() }}{% endblock %}\n')
    ours, theirs = render(prologue="echo x"), render(prologue="echo x", templates=make_templates([tmp_path]))
    assert theirs.replace("export SITE=yes\n", "", 1) == ours != theirs
    assert theirs.index("SITE=yes") < theirs.index("echo x")


@pytest.mark.parametrize("expression", ["nonsense", "request.nonsense", "request.environment.nonsense"])
def test_a_template_that_names_what_is_not_there_fails_to_render(tmp_path, expression):
    (tmp_path / "job").mkdir()
    (tmp_path / "job/slurm.sh.j2").write_text("#!/bin/sh\n{{ %s }}\n" % expression)
    with pytest.raises(UndefinedError, match="nonsense"):
        render(templates=make_templates([tmp_path]))
