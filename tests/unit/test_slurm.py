"""Slurm's answers, as they really came, become job ids, states and reasons; anything else an error that says so."""
from datetime import datetime, timezone

import pytest
from captured import SEPARATOR, captured, print_jobs, read_jobs
from hypothesis import given
from hypothesis import strategies as st
from jupyterhub_hpc_spawner.batch.slurm import REASONS, STATES, Slurm
from jupyterhub_hpc_spawner.errors import ParseError, QueryError, SubmitError
from jupyterhub_hpc_spawner.model import Completed, JobRequest, JobState

SLURM = Slurm()
REQUEST = JobRequest("jupyter-x", "/home/alice/.local/jupyter-x", nodes=3)
PENDING, RUNNING, SUSPENDED, FINISHED = JobState.PENDING, JobState.RUNNING, JobState.SUSPENDED, JobState.FINISHED


def answer(stdout="", returncode=0, stderr="", argv=("squeue",)):
    return Completed(tuple(argv), returncode, stdout, stderr)


def status(name):
    """The parsed jobs of a captured answer, as they would come to our command."""
    jobs = [{"P": "normal", "Q": "1", **job} for job in read_jobs(captured(f"slurm-22.05.8/{name}"))]
    return SLURM.parse_status(print_jobs(jobs, SLURM.status_command()))


def one_job(**fields):
    job = dict(i="7", T="RUNNING", r="None", B="n1", N="n[1-2]", S="2026-11-21T10:06:19", L="9:58", j="jupyter-x",
               P="normal", Q="1")
    return SLURM.parse_status(print_jobs([{**job, **fields}], SLURM.status_command()))["7"]


@pytest.mark.parametrize("name", ["squeue-pending-and-running", "squeue-suspended-and-completing"])
def test_the_captured_answers_are_printed_again_byte_for_byte(name):
    completed = captured(f"slurm-22.05.8/{name}")
    assert print_jobs(read_jobs(completed), completed.argv) == completed


@pytest.mark.parametrize("name, job_id, state, code, host", [
    ("squeue-pending-and-running", "10", RUNNING, "RUNNING", "n1"),
    ("squeue-pending-and-running", "11", RUNNING, "RUNNING", "n2"),
    ("squeue-pending-and-running", "13", PENDING, "PENDING", ""),
    ("squeue-pending-and-running", "21_[1-3]", PENDING, "PENDING", ""),
    ("squeue-suspended-and-completing", "11", SUSPENDED, "SUSPENDED", "n2"),
    ("squeue-suspended-and-completing", "12", RUNNING, "COMPLETING", "n3"),
    ("squeue-ended-and-requeued", "18", FINISHED, "FAILED", "n1"),
    ("squeue-ended-and-requeued", "19", FINISHED, "COMPLETED", "n1"),
    ("squeue-ended-and-requeued", "20", FINISHED, "CANCELLED", "n1"),
    ("squeue-ended-and-requeued", "23", FINISHED, "CANCELLED", ""),
    ("squeue-ended-and-requeued", "21", PENDING, "PENDING", ""),
    ("squeue-jobs-of-rejected-submissions", "9", FINISHED, "CANCELLED", ""),
    ("squeue-jobs-of-rejected-submissions", "3", FINISHED, "FAILED", ""),
])
def test_state_and_host_of_real_jobs(name, job_id, state, code, host):
    found = status(name)[job_id]
    assert (found.state, found.code, found.host) == (state, code, host)


@pytest.mark.parametrize("job_id, reason, can_start, start", [
    ("13", "Resources", True, datetime(2026, 11, 21, 11, 26, 9, tzinfo=timezone.utc)),
    ("14", "Priority", True, datetime(2026, 11, 21, 11, 26, 9, tzinfo=timezone.utc)),
    ("17", "BeginTime", True, datetime(2026, 11, 21, 12, 16, 9, tzinfo=timezone.utc)), ("22", "Dependency", True, None),
    ("15", "PartitionNodeLimit", False, None), ("18", "PartitionTimeLimit", False, None),
    ("16", "JobHeldUser", False, None), ("10", "", True, None),
])
def test_why_real_jobs_wait_and_when_they_start(job_id, reason, can_start, start):
    found = status("squeue-pending-and-running")[job_id]
    assert (found.reason, found.can_start, found.start_estimate) == (reason, can_start, start)
    assert found.explanation == REASONS.get(reason, ("", True))[0]


def test_every_captured_job_is_in_the_answer_once():
    jobs = read_jobs(captured("slurm-22.05.8/squeue-pending-and-running"))
    assert len(jobs) == 21 and set(status("squeue-pending-and-running")) == {job["i"] for job in jobs}


@pytest.mark.parametrize("name", [
    "two\nlines", "x\n7" + SEPARATOR + "COMPLETED",
    "x\n" + SEPARATOR.join(["7", "COMPLETED", "None", "n9", "n9", "N/A", "0:00", "y"]),
    "unit" + SEPARATOR + "separator", "\n\n", "we ird:é|1", "a\x1eb", "",
])
def test_no_users_job_name_changes_what_is_read_of_another_job(name):
    job = dict(i="7", T="RUNNING", r="None", B="n1", N="n1", S="2026-11-21T10:06:19", L="9:58", j="jupyter-x",
               P="normal", Q="1")
    jobs = SLURM.parse_status(print_jobs([job, {**job, "i": "8", "j": name}], SLURM.status_command()))
    assert set(jobs) == {"7", "8"} and jobs["7"].state == jobs["8"].state == RUNNING and jobs["7"].host == "n1"


# squeue(1), JOB STATE CODES: of 22.05, and what later releases added.
MANUAL = {
    PENDING: "CONFIGURING PENDING RESV_DEL_HOLD REQUEUE_FED REQUEUE_HOLD REQUEUED SPECIAL_EXIT POWER_UP_NODE",
    RUNNING: "RUNNING COMPLETING RESIZING SIGNALING STAGE_OUT UPDATE_DB EXPEDITING",
    SUSPENDED: "SUSPENDED STOPPED",
    FINISHED: "BOOT_FAIL CANCELLED COMPLETED DEADLINE FAILED NODE_FAIL OUT_OF_MEMORY PREEMPTED REVOKED TIMEOUT "
              "LAUNCH_FAILED RECONFIG_FAIL",
}


@pytest.mark.parametrize("state, code", [(state, code) for state, codes in MANUAL.items() for code in codes.split()])
def test_every_state_of_the_manual_is_known(state, code):
    assert STATES[code] == state and one_job(T=code).state == state


@pytest.mark.parametrize("code", ["", "running", "CANCELLED by 1001", "NEW_STATE_OF_2031", "é"])
def test_a_state_that_the_manual_lacks_is_unknown_and_never_the_end(code):
    found = one_job(T=code)
    assert found.state == JobState.UNKNOWN and found.code == code


@pytest.mark.parametrize("fields, expected", [
    ({"L": "30:00"}, {"time_left": 1800}), ({"L": "1-02:00:00"}, {"time_left": 93600}),
    ({"L": "UNLIMITED"}, {"time_left": None}),
    ({"L": "INVALID"}, {"time_left": None}), ({"L": "NOT_SET"}, {"time_left": None}),
    ({"N": "n[1-2]"}, {"nodes": "n[1-2]"}),
    ({"T": "PENDING", "S": "N/A"}, {"start_estimate": None}), ({"S": "2026-11-21T10:06:19"}, {"start_estimate": None}),
    ({"T": "PENDING", "r": "ReqNodeNotAvail, UnavailableNodes:n3"},
     {"can_start": True, "explanation": "some requested nodes are down or reserved",
      "reason": "ReqNodeNotAvail, UnavailableNodes:n3"}),
    ({"T": "PENDING", "r": "SomethingNew"}, {"can_start": True, "explanation": "SomethingNew"}),
    ({"T": "RUNNING", "r": "JobHeldUser"}, {"can_start": True, "explanation": ""}),
    ({"B": "n/a"}, {"host": ""}),
])
def test_fields_of_a_job(fields, expected):
    found = one_job(**fields)
    assert {name: getattr(found, name) for name in expected} == expected


def test_the_status_command_names_its_fields_and_asks_for_ended_jobs_of_everybody():
    program, *arguments = SLURM.status_command()
    assert program == "squeue" and "-h" in arguments and "-a" in arguments
    assert arguments[arguments.index("-t") + 1] == "all"
    assert SEPARATOR in arguments[arguments.index("-o") + 1]


@pytest.mark.parametrize("completed", [
    captured("slurm-22.05.8/squeue-no-controller"),
    answer("", 0, "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n"),
    answer("", 1), answer("7\x1fRUNNING", -9),
])
def test_a_failed_question_says_nothing_about_any_job(completed):
    with pytest.raises(QueryError):
        SLURM.parse_status(completed)


def test_an_answer_in_another_format_is_a_parse_error_with_command_and_text():
    with pytest.raises(ParseError, match="squeue.*14 CANCELLED"):
        SLURM.parse_status(captured("slurm-22.05.8/squeue-without-the-right-format"))


FIELD = st.sampled_from(["7", "RUNNING", "PENDING", "n1", "N/A", "9:58", "2026-11-21T25:00:00", "²",
                         ""]) | st.text(max_size=8)
ROWS = st.lists(st.lists(FIELD, min_size=6, max_size=9).map(SEPARATOR.join), max_size=3).map("\n".join)


@given(st.text() | ROWS, st.sampled_from([0, 0, 1, -9]), st.text(max_size=20))
def test_garbage_is_a_parse_error_or_a_query_error_and_nothing_else(stdout, returncode, stderr):
    try:
        jobs = SLURM.parse_status(answer(stdout, returncode, stderr))
    except (ParseError, QueryError):
        return
    assert all(job.state in JobState for job in jobs.values())


@given(st.fixed_dictionaries({},
                             optional=dict.fromkeys("TrBSL",
                                                    FIELD.map(lambda text: text.replace(SEPARATOR, "").replace("\n",
                                                                                                               "")))))
def test_odd_fields_of_a_job_never_hide_it(fields):
    assert one_job(**fields).state in JobState


@pytest.mark.parametrize("name, words", [
    ("sbatch-invalid-account", "Invalid account or account/partition combination specified"),
    ("sbatch-invalid-partition", "invalid partition specified: nopart"),
    ("sbatch-invalid-time", "Invalid --time specification"),
    ("sbatch-invalid-feature", "Invalid feature specification"),
    ("sbatch-invalid-reservation", "Requested reservation is invalid"),
    ("sbatch-invalid-gres-type", "Requested node configuration is not available"),
    ("sbatch-memory-too-large", "Memory specification can not be satisfied"),
    ("sbatch-bad-directive", "unrecognized option '--nosuchoption=3'"),
    ("sbatch-empty-script", "Batch script is empty!"),
    ("sbatch-no-shebang", "This does not look like a batch script"),
])
def test_a_rejection_is_a_submit_error_in_slurms_words(name, words):
    with pytest.raises(SubmitError, match=words.replace("(", r"\(")) as caught:
        SLURM.parse_job_id(captured(f"slurm-22.05.8/{name}"))
    assert "sbatch: error:" not in str(caught.value)


def test_a_controller_that_does_not_answer_refused_nothing():
    with pytest.raises(QueryError, match="Unable to contact slurm controller"):
        SLURM.parse_job_id(captured("slurm-22.05.8/sbatch-no-controller"))


@pytest.mark.parametrize("stdout, job_id", [
    ("35\n", "35"), ("35;cluster\n", "35"), ("35", "35"), ("a plug-in says hello\n35;c\n", "35"), (" 35 \n", "35"),
])
def test_the_job_id_is_read_with_or_without_a_cluster(stdout, job_id):
    assert SLURM.parse_job_id(answer(stdout)) == job_id


@pytest.mark.parametrize("name", ["sbatch-accepted", "sbatch-qos-unknown", "sbatch-too-many-cores"])
def test_a_job_that_slurm_took_has_its_id_whatever_becomes_of_it(name):
    completed = captured(f"slurm-22.05.8/{name}")
    assert completed.argv == tuple(SLURM.submit_command(REQUEST))
    assert SLURM.parse_job_id(completed) == completed.stdout.strip()


@given(st.text(), st.integers(0, 1), st.text(max_size=20))
def test_the_answer_to_a_submission_is_an_id_or_an_error_with_words(stdout, returncode, stderr):
    try:
        assert SLURM.parse_job_id(answer(stdout, returncode, stderr)).isdecimal()
    except (SubmitError, QueryError) as error:
        assert str(error)


@pytest.mark.parametrize("name", ["scancel-unknown-job", "scancel-already-ended"])
def test_cancelling_a_job_that_is_gone_is_no_error(name):
    assert SLURM.parse_cancel(captured(f"slurm-22.05.8/{name}")) is None


@pytest.mark.parametrize("name", ["scancel-not-mine", "scancel-no-controller"])
def test_a_cancel_that_may_not_have_worked_is_a_query_error(name):
    with pytest.raises(QueryError, match="Kill job error"):
        SLURM.parse_cancel(captured(f"slurm-22.05.8/{name}"))
