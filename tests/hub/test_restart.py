"""A Hub that dies and comes back finds its sessions."""
import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest
from support.kernel import Kernel
from support.running_hub import request, server_path, wait_for

from jupyterhub_hpc_spawner import localbatch


def test_a_killed_hub_finds_the_running_session_again(session):
    token = session.user_token(session.user)
    job = session.state(session.user)["job_id"]
    with Kernel(session.server_url, token) as kernel:
        kernel.run("from dask.distributed import Client; c = Client(); c.wait_for_workers(2, 30)\n"
                   "kept = c.submit(lambda: 42)")
        session.stop(signal.SIGKILL)
        session.start()
        wait_for(lambda: session.servers(session.user).get("", {}).get("ready"), 30, lambda: "the session is lost")
        assert session.state(session.user)["job_id"] == job
        assert request("GET", f"{session.server_url}api/status", token=token).status == 200
        assert kernel.run("print(kept.result(), len(c.nthreads()), kept.status)").strip() == "42 2 finished"
    assert server_tokens(session)
    session.stop_server(session.user)
    session.assert_nothing_left()
    assert not server_tokens(session), "the server's token outlives its session"


# Seconds; a single-user server waits a minute for its Hub when it starts.
AWAY = int(os.environ.get("HPC_TEST_AWAY", 3600))


@pytest.mark.skipif(not os.environ.get("HPC_TEST_SLOW"), reason="takes an hour: HPC_TEST_SLOW=1 runs it")
def test_after_an_hour_without_a_hub_there_is_what_ran_and_what_became_ready_meanwhile(session):
    (session.home / ".jupyterhub.env").write_text('until [ -e "$HOME/go" ]; do sleep 0.05; done\n')
    path = f"/users/{session.user}/{server_path('second')}"
    assert session.api("POST", path, {"user_options": {}}).status < 300
    session.progress(session.user, "second", until=lambda event: "is submitted" in event["message"])
    with Kernel(session.server_url, session.user_token(session.user)) as kernel:
        kernel.run("from dask.distributed import Client; c = Client(); kept = c.submit(lambda: 42)")
        session.stop(signal.SIGKILL)
        (session.home / "go").touch()
        begin = time.monotonic()
        wait_for(lambda: time.monotonic() - begin > AWAY, 3700, str, pause=5)
        session.start()
        wait_for(lambda: [server["ready"] for server in session.servers(session.user).values()] == [True, True], 60,
                 lambda: session.servers(session.user), pause=0.5)
        assert kernel.run("print(kept.result(), len(c.nthreads()), kept.status)").strip() == "42 2 finished"
    token = session.user_token(session.user)
    assert request("GET", f"{session.server_url}second/api/status", token=token).status == 200
    (session.home / ".jupyterhub.env").unlink()
    session.end_session()
    session.assert_nothing_left()


def server_tokens(hub):
    tokens = hub.api("GET", f"/users/{hub.user}/tokens").json["api_tokens"]
    return [token for token in tokens if token["note"].startswith("Server at")]


def test_a_job_that_ended_while_the_hub_was_away_is_noticed(session):
    session.stop(signal.SIGKILL)
    for pid in session.leftovers():
        with suppress(ProcessLookupError):  # some go with others
            os.kill(pid, signal.SIGTERM)
    wait_for(lambda: not session.leftovers(), 30, lambda: f"processes are left: {session.leftovers()}")
    session.start()
    wait_for(lambda: not session.servers(session.user), 30, lambda: "a dead session is shown")
    session.assert_nothing_left()
    assert "without a word" in session.ended(session.user)["why"]
    assert f"{session.user} appears to have stopped while the Hub was down" in session.logged()
    assert re.search("The session has ended by itself: its processes ended without a word.* user=", session.logged())


def test_what_the_hub_before_could_not_cancel_is_cancelled_when_the_next_starts(idle):
    """A job without a session, as such a cancel leaves it."""
    env = {**os.environ, "HPC_LOCAL_JOBS": str(idle.home / "jobs")}
    argv = [sys.executable, localbatch.__file__, "submit", str(idle.home / "job.log")]
    script = "#!/bin/sh\nexec sleep 600\n"
    job = subprocess.run(argv, env=env, input=script, capture_output=True, check=True, text=True).stdout.strip()
    record = json.loads((idle.home / "jobs" / f"{job}.json").read_text())
    idle.stop(signal.SIGKILL)
    owed = idle.directory / "jupyterhub_hpc_owed_cancels.json"
    owed.write_text(json.dumps([[idle.user, job]]))
    idle.start()
    wait_for(lambda: json.loads(owed.read_text()) == [], 30, lambda: "it is still owed")
    wait_for(lambda: not localbatch.alive(record), 30, lambda: "the job runs on")


@pytest.fixture
def restarted(starting):
    """The Hub is killed and started again meanwhile."""
    starting.stop(signal.SIGKILL)
    starting.start()
    wait_for(lambda: starting.servers(starting.user).get("", {}).get("pending") == "spawn", 30,
             lambda: "not starting any more")
    return starting


def test_a_session_that_was_starting_goes_on_starting(restarted):
    (restarted.home / "go").touch()
    events = restarted.progress(restarted.user)
    assert events[-1].get("ready"), events
    assert any("restarted and has found job" in event["message"] for event in events)
    token = restarted.user_token(restarted.user)
    assert request("GET", f"{restarted.server_url}api/status", token=token).status == 200


def test_a_session_that_was_starting_can_be_cancelled(restarted):
    restarted.stop_server(restarted.user)
    restarted.assert_nothing_left()


def test_a_session_that_fails_after_the_restart_says_why(restarted):
    job = restarted.home / "jobs" / f"{restarted.state(restarted.user)['job_id']}.json"
    os.killpg(json.loads(job.read_text())["pid"], signal.SIGKILL)
    events = restarted.progress(restarted.user)
    assert events[-1].get("failed") and "could not start your session" in events[-1]["message"]
    wait_for(lambda: not restarted.servers(restarted.user), 30, lambda: "the session is still shown")
    restarted.assert_nothing_left()
