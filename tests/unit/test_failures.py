"""What a start that failed tells: the cause, the batch system's words, what to try, and a text for the help desk."""
import re

import pytest
from jupyterhub_hpc_spawner.hub.failures import StartFailed
from jupyterhub_hpc_spawner.hub.session import Session
from jupyterhub_hpc_spawner.model import JobState, JobStatus


def ended(code="FAILED", reason="NonZeroExitCode", message="", log=""):
    failure = StartFailed.job_ended("7", JobStatus(JobState.FINISHED, code, reason), message)
    failure.details = log
    return failure


@pytest.mark.parametrize(("failure", "advice", "action"), [
    (ended(log="x\nThe session cannot start: there is no Python in the software environment /gone (looked for "
               "bin/python3)"), "Choose another software environment", "change"),
    (ended(log="The session cannot start: the module could not be loaded: climate"), "another software environment",
     "change"),
    (ended(message="jupyterhub-singleuser is not in this software environment (PATH is /bin)"),
     "another software environment", "change"),
    (ended(log="The session cannot start: /home/alice/.jupyterhub.env ended with status 1"), "Your own file", "again"),
    (ended(message="the working directory /scratch cannot be used: No such file"), "another working directory",
     "change"),
    (ended("TIMEOUT", "TimeLimit"), "The walltime was over", "change"),
    (ended("NODE_FAIL", ""), "A node failed. Try again", "again"),
    (ended("OUT_OF_MEMORY", ""), "more memory", "change"),
    (ended(log="OSError: [Errno 122] Disk quota exceeded: '/home/alice'"), "Make room in your home", "again"),
    (ended(message="[Errno 28] No space left on device"), "Make room in your home", "again"),
    (ended(message="[Errno 122] Disk quota exceeded: '/home/alice/tls.pem'"), "Make room in your home", "again"),
    (ended("CANCELLED", ""), "cancelled the job", "again"),
    (ended("PREEMPTED", ""), "another queue", "again"),
    (ended("EXIT", "", log="TIMEOUT is only a word of the user's here"), "may say why", "again"),
    (StartFailed.refused("Invalid account"), "Change the request", "change"),
    (StartFailed.not_submitted("no sudo"), "Nothing is wrong with your request", "again"),
    (StartFailed.not_submitted("the helper refused to submit: OSError: [Errno 122] Disk quota exceeded: '/home/alice'"),
     "Your home directory is full: make room there", "again"),
    (StartFailed.too_late("7", 14400, "queue"), "Choose a queue with idle nodes", "change"),
    (StartFailed.too_late("7", 14400, "server"), "may say why", "again"),
])
def test_what_to_try_by_cause(failure, advice, action):
    assert advice in failure.advice and failure.action == action


def test_the_cause_in_the_log_is_told_once():
    said = "the working directory /x cannot be used: gone"
    assert ended(log=f"[10:00:00] the session cannot start: {said}\n").cause == said
    assert ended(log=f"[10:00:00] the session cannot start: {said}\n", message=said).cause == ""


def test_the_text_for_the_help_desk_has_job_server_time_and_log():
    failure = ended(log="line 1\nline 2")
    session = Session.new("/s", None)
    session.state.job_id = "7"
    session.tell(20, "Job 7 is submitted.")
    failure.belongs_to(session, "second")
    assert re.fullmatch(r"Job 7 could not start your session\. .*\nThe batch system says: FAILED \(NonZeroExitCode\)\n"
                        r"Job: 7\nServer: second\nTime: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\n"
                        r"The end of the job's log:\nline 1\nline 2", failure.report)
    assert failure.steps_shown["submit"]["mark"] == "failed"


def test_too_late_says_after_how_long():
    assert "within 4 h," in str(StartFailed.too_late("7", 14400, "queue"))
