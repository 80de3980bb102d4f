"""Why a session ended: the batch system's word, the job's own goodbye, and what comes late."""
import asyncio
from types import SimpleNamespace

import pytest
from jupyterhub_hpc_spawner.batch.slurm import ENDS, STATES
from jupyterhub_hpc_spawner.hub import ending, private
from jupyterhub_hpc_spawner.model import JobState, JobStatus

DONE = JobState.FINISHED
TOLD = "the batch system told it to end"
WALLTIME = "it reached its walltime of 1:00 h"


@pytest.fixture
def spawner(monkeypatch):
    """Its state in the database is a dictionary here."""
    monkeypatch.setattr(private, "keep_end", lambda orm, end: orm.update(ended=end))
    monkeypatch.setattr(private, "kept_end", lambda orm: orm.get("ended"))
    poller = SimpleNamespace(answers=[], watch=lambda *job, **more: None, expect_end=lambda job: None,
                             forget=lambda job: None)
    poller.status = lambda job: poller.answers[0]

    async def next_round():
        poller.answers.pop(0)
        await asyncio.sleep(0)
    poller.next_round = next_round
    cancelled = []

    async def cancel(*job):
        cancelled.append(job)
    return SimpleNamespace(
        name="second", orm_spawner={}, user=SimpleNamespace(name="alice"), cancelled=cancelled,
        session=SimpleNamespace(state=SimpleNamespace(job_id="7", goodbye="")),
        cluster=SimpleNamespace(poller=poller, cancel=cancel))


def keep(spawner, status, goodbye="", log=""):
    spawner.session.state.goodbye = goodbye
    return ending.keep(spawner, spawner.session, status, log)


@pytest.mark.parametrize(("status", "goodbye", "why", "words", "advice"), [
    (JobStatus(DONE, "TIMEOUT", "TimeLimit", ENDS["TIMEOUT"]), "", "it reached its walltime", "TIMEOUT (TimeLimit)",
     "more walltime"),
    (JobStatus(DONE, "TIMEOUT", "TimeLimit", ENDS["TIMEOUT"]), WALLTIME, WALLTIME, "TIMEOUT (TimeLimit)", "walltime"),
    (JobStatus(DONE, "COMPLETED"), WALLTIME, WALLTIME, "", "more walltime"),
    (JobStatus(DONE, "PREEMPTED", "", ENDS["PREEMPTED"]), TOLD, ENDS["PREEMPTED"], "PREEMPTED", "choose a queue"),
    (JobStatus(DONE, "CANCELLED", "", ENDS["CANCELLED"]), TOLD, ENDS["CANCELLED"], "CANCELLED", "if it was not you"),
    (JobStatus(DONE, "OUT_OF_MEMORY", "OutOfMemory", ENDS["OUT_OF_MEMORY"]), "its server ended with status -9",
     ENDS["OUT_OF_MEMORY"], "OUT_OF_MEMORY (OutOfMemory)", "more memory"),
    (JobStatus(DONE, "NODE_FAIL", "", ENDS["NODE_FAIL"]), "", ENDS["NODE_FAIL"], "NODE_FAIL", "other nodes"),
    (JobStatus(DONE, "FAILED", "NonZeroExitCode"), "its server ended with status 1", "its server ended with status 1",
     "FAILED (NonZeroExitCode)", "log may say why"),
    (JobStatus(DONE, "COMPLETED"), "its server was shut down", "its server was shut down", "", "when you like"),
    (JobStatus(DONE, "GONE"), "", ending.SILENT, "", "log may say why"),
    (JobStatus(JobState.RUNNING, "COMPLETING", "None"), TOLD, TOLD, "", "log may say why"),
    (JobStatus(JobState.PENDING, "PENDING", "Resources", "waiting for nodes"), "", ending.PUT_BACK, "", "Start it"),
])
def test_the_batch_system_knows_best_and_the_job_says_what_it_does_not(spawner, status, goodbye, why, words, advice):
    kept = keep(spawner, status, goodbye, "a line\n")
    assert (kept.why, kept.words, kept.server) == (why, words, "second") and advice in kept.advice
    assert "Your last session (job 7) ended at 20" in kept.summary and kept.summary.endswith(f": {why}.")
    assert kept.report.endswith("The end of the job's log:\na line\n") and kept == ending.kept(spawner)


def test_every_end_that_has_words_is_a_state_of_the_table():
    assert {STATES[code] for code in ENDS} == {DONE}


def test_an_end_is_told_once(spawner):
    first = keep(spawner, JobStatus(DONE, "TIMEOUT", "TimeLimit", ENDS["TIMEOUT"]), log="the end")
    assert keep(spawner, JobStatus(JobState.UNKNOWN)) == first == ending.kept(spawner)


async def test_what_the_batch_system_says_later_is_told_instead(spawner):
    kept = keep(spawner, JobStatus(JobState.RUNNING, "RUNNING"), TOLD, "the end")
    spawner.cluster.poller.answers = [JobStatus(JobState.UNKNOWN), JobStatus(JobState.RUNNING, "COMPLETING"),
                                      JobStatus(DONE, "PREEMPTED", "", ENDS["PREEMPTED"])]
    await ending.last_word(spawner, kept, TOLD)
    now = ending.kept(spawner)
    assert (now.why, now.details, now.since) == (ENDS["PREEMPTED"], "the end", kept.since) and not spawner.cancelled


async def test_a_job_that_said_goodbye_and_is_back_in_the_queue_is_cancelled(spawner):
    kept = keep(spawner, JobStatus(JobState.RUNNING, "RUNNING"), TOLD)
    spawner.cluster.poller.answers = [JobStatus(JobState.UNKNOWN), JobStatus(JobState.PENDING, "REQUEUED")]
    await ending.last_word(spawner, kept, TOLD)
    assert spawner.cancelled == [("alice", "7")] and ending.kept(spawner).why == ending.PUT_BACK


async def test_what_comes_when_the_next_session_has_begun_is_nobodys(spawner):
    kept = keep(spawner, JobStatus(JobState.RUNNING, "RUNNING"), TOLD)
    spawner.orm_spawner["ended"] = None
    spawner.cluster.poller.answers = [JobStatus(DONE, "TIMEOUT", "TimeLimit", ENDS["TIMEOUT"])]
    await ending.last_word(spawner, kept, TOLD)
    assert ending.kept(spawner) is None


def test_of_a_long_log_the_end_is_kept(spawner):
    assert keep(spawner, JobStatus(DONE, "FAILED"), log="x" * 10000 + "end").details.endswith("xend")
    assert len(ending.kept(spawner).details) == 4000
