"""What holds for every batch system, on what the real ones answered (tests/captured) and on garbage."""
import re
import subprocess
from dataclasses import replace
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from types import SimpleNamespace

import pytest
from captured import DIRECTORY, captured
from hypothesis import given
from hypothesis import strategies as st
from jupyterhub_hpc_spawner import helper
from jupyterhub_hpc_spawner.batch import GROUP, make_batch_system
from jupyterhub_hpc_spawner.errors import (
    ConfigError, HPCSpawnerError, OptionError, ParseError, QueryError, SubmitError)
from jupyterhub_hpc_spawner.model import ClusterInfo, Completed, JobRequest, JobState
from jupyterhub_hpc_spawner.options import Options
from jupyterhub_hpc_spawner.script import make_templates, render_submission

GIB = 1024 ** 3
TEMPLATES = make_templates()
SETTINGS = {"sge": {"smp_environment": "smp", "parallel_environment": "mpi-{cores}"}}
# Of each system: its captured outputs, the beginnings of their names, and the states that its manual has.
SYSTEMS = {
    "slurm": SimpleNamespace(
        captured="slurm-22.05.8", submit="sbatch", status="squeue", cancel="scancel",
        manual="BOOT_FAIL CANCELLED COMPLETED CONFIGURING COMPLETING DEADLINE FAILED NODE_FAIL OUT_OF_MEMORY PENDING "
               "PREEMPTED RUNNING RESV_DEL_HOLD REQUEUE_FED REQUEUE_HOLD REQUEUED RESIZING REVOKED SIGNALING "
               "SPECIAL_EXIT STAGE_OUT STOPPED SUSPENDED TIMEOUT LAUNCH_FAILED LAUNCH_FAILED_RETRY POWER_UP_NODE "
               "RECONFIG_FAIL UPDATE_DB EXPEDITING".split()),
    "pbs": SimpleNamespace(captured="openpbs-23.06.06", submit="qsub", status="qstat", cancel="qdel",
                           manual=list("BEFHMQRSTUWX")),
    "sge": SimpleNamespace(
        captured="gridengine-8.1.9", submit="qsub", status="qstat", cancel="qdel",
        manual="qw hqw hRqw Rq r t Rr Rt hr s ts S tS T tT Rs Rts RS RtS RT RtT Eqw Ehqw EhRqw dr dt dRr dRt ds dS dT "
               "dRs dRS dRT dhRr z".split()),
    "torque": SimpleNamespace(captured="torque-6.1-master", submit="qsub", status="qstat", cancel="qdel",
                              manual=list("CEHQRTWS")),
    "lsf": SimpleNamespace(
        captured="lsf-10.1", submit="bsub", status="bjobs", cancel="bkill",
        manual="PEND PROV PSUSP RUN USUSP SSUSP DONE EXIT UNKWN WAIT ZOMBI POST_DONE POST_ERR".split()),
    "condor": SimpleNamespace(captured="htcondor-23.9.6", submit="condor_submit", status="condor_q",
                              cancel="condor_rm", manual=[1, 2, 3, 4, 5, 6, 7]),
}
DOWN = re.compile(r"no-controller|no-qmaster|qmaster-host-unknown|unknown-cell|unknown-root|server-down|no-server|"
                  r"unknown-server|no-schedd|schedd-down|no-trqauthd|lsf-down|mbatchd|link-cut")
# Some systems take what can never run, or do not look at what they are told.
TAKEN = re.compile("accepted|any-account|bad-account|qos-unknown|qos-not-mine|boolean-resource|no-shebang|empty-script|"
                   "unused-line|gpu-type-nobody|queue-not-started|too-many-(nodes|gpus|cores)$|memory-too-large|"
                   "default-queue")
EVERY = pytest.mark.parametrize("name", SYSTEMS)
FULL = JobRequest(name="jupyter-abc", session_dir="/home/alice/s/jupyter-abc", nodes=2, queue="normal", account="geo",
                  qos="high", reservation="R7", constraint="himem", cores=4, memory=8 * GIB, gpus=2, gpu_type="a100",
                  walltime=90000)


@cache
def system(name):
    return make_batch_system(name, SETTINGS.get(name, {}))


def files(name, kind):
    """The captured answers of one kind: submit, status or cancel."""
    spec = SYSTEMS[name]
    found = sorted((DIRECTORY / spec.captured).glob(f"{getattr(spec, kind)}-*.txt"))
    return [f"{spec.captured}/{path.stem}" for path in found]


def cases(kind, wanted=lambda file: True):
    return [pytest.param(name, file, id=f"{name}-{file.partition('/')[2]}")
            for name in SYSTEMS for file in files(name, kind) if wanted(file)]


def test_every_system_of_the_package_is_here():
    assert {entry.name for entry in entry_points(group=GROUP)} >= {*SYSTEMS, "local"}


@EVERY
def test_every_system_has_answers_of_every_kind(name):
    for kind in ("submit", "status", "cancel"):
        assert len(files(name, kind)) >= 2, kind
        assert any(DOWN.search(file) for file in files(name, kind)), f"{kind}: none of a system that is down"


@EVERY
def test_every_state_of_the_manual_is_in_the_table_and_no_other_is_known(name):
    module = import_module(type(system(name)).__module__)
    known = module.state_of if name == "sge" else lambda code: module.STATES.get(code, JobState.UNKNOWN)
    for code in SYSTEMS[name].manual:
        expected_unknown = name == "lsf" and code in ("UNKWN", "ZOMBI")
        assert (known(code) == JobState.UNKNOWN) == expected_unknown, code
    for code in ("", "??", "NEW", 99, "x"):
        assert known(str(code) if name != "condor" else code) == JobState.UNKNOWN


@pytest.mark.parametrize(("name", "file"), cases("status", DOWN.search))
def test_a_system_that_is_down_says_nothing_of_any_job(name, file):
    with pytest.raises(QueryError):
        system(name).parse_status(captured(file))


@EVERY
@pytest.mark.parametrize("file_stdout", [True, False])
def test_a_status_command_that_failed_is_no_empty_cluster(name, file_stdout):
    """Also with an answer that looks whole: PBS gives one without jobs when its server is down."""
    good = next(captured(file) for file in files(name, "status") if captured(file).returncode == 0)
    for returncode in (1, 255, -9):
        answer = replace(good, returncode=returncode, stdout=good.stdout if file_stdout else "")
        with pytest.raises(QueryError):
            system(name).parse_status(replace(answer, stderr=""))


@pytest.mark.parametrize(("name", "file"), cases("submit", lambda file: DOWN.search(file)))
def test_a_system_that_is_down_refused_nothing(name, file):
    with pytest.raises(QueryError):
        system(name).parse_job_id(captured(file))


@pytest.mark.parametrize(("name", "file"), cases("submit", lambda file: captured(file).returncode and not
                                                 DOWN.search(file)))
def test_a_refusal_is_told_in_the_systems_own_words(name, file):
    completed = captured(file)
    with pytest.raises(SubmitError) as caught:
        system(name).parse_job_id(completed)
    said = str(caught.value).replace(": none can ever fulfil", "\n").split("\n")[0]
    assert said and said in completed.stdout + completed.stderr


@pytest.mark.parametrize(("name", "file"), cases("submit", lambda file: not captured(file).returncode))
def test_a_job_that_was_taken_has_an_id_that_the_other_commands_take(name, file):
    job_id = system(name).parse_job_id(captured(file))
    assert TAKEN.search(file) and re.fullmatch(r"[0-9]+(\.[A-Za-z0-9.-]+)?", job_id)
    assert system(name).cancel_command(job_id)[-1] == job_id


GONE = re.compile("unknown-job|already-ended|ended$|gone|completed|already-deleted|finished|running-again")


@pytest.mark.parametrize(("name", "file"), cases("cancel", lambda file: GONE.search(file) or not
                                                 captured(file).returncode))
def test_to_cancel_what_is_gone_or_going_is_no_error(name, file):
    system(name).parse_cancel(captured(file))


@pytest.mark.parametrize(("name", "file"), cases("cancel", lambda file: DOWN.search(file) or "not-mine" in file))
def test_a_job_that_may_still_be_there_is_not_taken_for_cancelled(name, file):
    with pytest.raises(QueryError):
        system(name).parse_cancel(captured(file))


@EVERY
def test_someone_elses_job_is_among_the_answers(name):
    assert any("not-mine" in file for file in files(name, "cancel"))


def mutated(name, kind):
    """Texts, captured answers, and captured answers with a part cut out, doubled or replaced."""
    texts = [captured(file).stdout for file in files(name, kind)]

    @st.composite
    def answers(draw):
        text = draw(st.sampled_from(texts) | st.text(max_size=200))
        first, last = sorted(draw(st.tuples(*[st.integers(0, len(text))] * 2)))
        middle = draw(st.sampled_from(["", text[first:last] * 2, "\0", "nan", "<", "^", "\n", '"', "9" * 5000,
                                       "é\ufffd"]))
        return draw(st.sampled_from([text, text[:first] + middle + text[last:]]))

    return answers()


@EVERY
@given(data=st.data())
def test_garbage_is_an_error_of_ours_and_nothing_else(name, data):
    stdout = data.draw(mutated(name, "status"))
    stderr, returncode = data.draw(st.text(max_size=20)), data.draw(st.sampled_from([0, 0, 0, 1, -9]))
    completed = Completed(tuple(system(name).status_command()), returncode, stdout, stderr)
    try:
        jobs = system(name).parse_status(completed)
    except (ParseError, QueryError) as error:
        assert str(error)
        return
    assert returncode == 0 or not jobs
    assert all(isinstance(job_id, str) and job.state in JobState for job_id, job in jobs.items())


@EVERY
@given(data=st.data())
def test_an_odd_answer_to_a_submission_or_a_cancel_is_an_error_of_ours(name, data):
    stdout, stderr = data.draw(mutated(name, "submit")), data.draw(st.text(max_size=40))
    completed = Completed(("x",), data.draw(st.sampled_from([0, 0, 1])), stdout, stderr)
    try:
        assert re.fullmatch(r"\d+(\[\d*\])?(\.[\w.-]+)?", system(name).parse_job_id(completed), re.ASCII)
    except (SubmitError, QueryError) as error:
        assert str(error).strip() or not (stdout + stderr).strip()
    try:
        system(name).parse_cancel(completed)
    except QueryError as error:
        assert str(error)


@EVERY
@given(data=st.data())
def test_odd_information_never_breaks_the_form(name, data):
    commands = system(name).info_commands()
    found = {path.stem.removeprefix("info-"): f"{SYSTEMS[name].captured}/{path.stem}"
             for path in (DIRECTORY / SYSTEMS[name].captured).glob("info-*.txt")}
    answers = {}
    for key, argv in commands.items():
        texts = [captured(file).stdout for stem, file in found.items() if stem.startswith(key)] or [""]
        text = data.draw(st.sampled_from(texts) | st.text(max_size=80))
        cut = data.draw(st.integers(0, len(text)))
        if data.draw(st.booleans()):
            answers[key] = Completed(tuple(argv), 0, data.draw(st.sampled_from([text, text[:cut], text[cut:]])), "")
    try:
        assert isinstance(system(name).parse_info(answers), ClusterInfo)
    except HPCSpawnerError as error:
        assert str(error)


FOUND = {"slurm": "17\n", "pbs": "17.pbs\n", "torque": "17.head.example\n", "lsf": "17\n", "condor": "17.0\n",
         "sge": "<job_info><queue_info/><job_info><job_list><JB_job_number>17</JB_job_number>"
                "<JB_name>jupyter-abc</JB_name></job_list></job_info></job_info>"}
NONE = {"lsf": Completed(("bjobs",), 255, "", "Job <jupyter-abc> is not found\n"),
        "sge": Completed(("qstat",), 0, "<job_info><queue_info/><job_info/></job_info>", "")}


@EVERY
def test_a_job_is_found_by_its_name(name):
    answer = Completed(("x",), 0, FOUND[name], "")
    job = {"condor": "17.0", "torque": "17.head.example"}.get(name, "17")  # as the system itself lists it
    assert system(name).parse_found("jupyter-abc", answer) == job
    assert system(name).parse_found("jupyter-abc", NONE.get(name, replace(answer, stdout=""))) is None
    with pytest.raises(QueryError):
        system(name).parse_found("jupyter-abc", replace(answer, returncode=1, stderr="no answer"))


def test_a_job_of_another_name_is_not_taken_for_it():
    assert system("sge").parse_found("jupyter-ab", Completed(("qstat",), 0, FOUND["sge"], "")) is None


@EVERY
@given(data=st.data())
def test_an_odd_list_is_no_job(name, data):
    text = data.draw(st.sampled_from(["", *FOUND.values()]) | st.text(max_size=60))
    try:
        found = system(name).parse_found("jupyter-abc", Completed(("x",), 0, text, ""))
    except (QueryError, ParseError) as error:
        assert str(error)
    else:
        assert found is None or re.fullmatch(r"\d+(\[\d*\])?(\.[\w.-]+)?", found)


@EVERY
def test_the_helper_runs_what_is_run_as_the_user(name):
    made = system(name)
    for argv in (made.submit_command(FULL), made.status_command(), made.cancel_command("7"),
                 made.find_command("jupyter-abc", "alice")):
        assert argv[0] in helper.PROGRAMS and all(isinstance(word, str) for word in argv)


FIELDS = {"queue": None, "account": None, "qos": None, "reservation": None, "node_type": None, "nodes": 1,
          "cores": None, "memory": None, "gpus": None, "gpu_type": None, "walltime": None}


def rendered(name, request):
    text, more = render_submission(request, system(name), TEMPLATES)
    return "\n".join([text, *more.values()])


@EVERY
@pytest.mark.parametrize("field", FIELDS)
def test_an_option_is_expressed_or_refused_and_never_dropped(name, field):
    attribute = {"node_type": "constraint"}.get(field, field)
    # A reservation of PBS is a queue of its own.
    request = replace(FULL, reservation=None) if (name, field) == ("pbs", "queue") else FULL
    changed = rendered(name, replace(request, **{attribute: FIELDS[field]})) != rendered(name, request)
    assert field in Options.model_fields
    assert changed != (field in system(name).unsupported()), "written and refused, or neither"


@EVERY
@pytest.mark.parametrize("attribute", ["queue", "account", "qos", "reservation", "constraint", "gpu_type", "name"])
@pytest.mark.parametrize("text", ["a\n#PBS -q x", "a b", 'a"b', "a'b", "a\\b", "$(id)", "a;b"])
def test_no_value_reaches_beyond_its_place(name, attribute, text):
    request = replace(FULL, **{attribute: text})
    try:
        assert text not in rendered(name, request)
    except (ConfigError, OptionError) as error:
        assert str(error)


@EVERY
def test_the_scripts_of_a_full_request_are_read_by_bash(name):
    text, more = render_submission(FULL, system(name), TEMPLATES)
    script = more.get("job.sh", text)
    assert script.startswith("#!/bin/bash -l\n")
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_settings_are_checked_by_name_and_kind():
    assert make_batch_system("slurm", {"mpi": ["pmix"]}).mpi == ("pmix",)
    with pytest.raises(ConfigError, match="'mip' is not a setting of slurm; it has mpi"):
        make_batch_system("slurm", {"mip": []})
    with pytest.raises(ConfigError, match="batch_settings\\['mpi'\\] must be like its default"):
        make_batch_system("slurm", {"mpi": "pmix"})
    with pytest.raises(ConfigError, match="it has none"):
        make_batch_system("local", {"x": 1})
    with pytest.raises(ConfigError, match="there is no 'moab'; choose one of condor, local, lsf, pbs, sge, slurm"):
        make_batch_system("moab", {})
