"""A Hub that dies and comes back finds its sessions."""
import os
import signal

from support.kernel import run_code
from support.running_hub import request, wait_for


def test_a_killed_hub_finds_the_running_session_again(session):
    token = session.user_token(session.user)
    job = session.state(session.user)["job_id"]
    session.stop(signal.SIGKILL)
    session.start()
    wait_for(lambda: session.servers(session.user).get("", {}).get("ready"), 30, lambda: "the session is lost")
    assert session.state(session.user)["job_id"] == job
    assert request("GET", f"{session.server_url}api/status", token=token).status == 200
    code = "from dask.distributed import Client; c = Client(); c.wait_for_workers(2, 30); print(len(c.nthreads()))"
    assert run_code(session.server_url, token, code).strip() == "2"
    session.stop_server(session.user)
    session.assert_nothing_left()


def test_a_job_that_ended_while_the_hub_was_away_is_noticed(session):
    session.stop(signal.SIGKILL)
    for pid in session.leftovers():
        os.kill(pid, signal.SIGTERM)
    wait_for(lambda: not session.leftovers(), 30, lambda: f"processes are left: {session.leftovers()}")
    session.start()
    wait_for(lambda: not session.servers(session.user), 30, lambda: "a dead session is shown")
    session.assert_nothing_left()
