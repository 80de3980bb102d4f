"""The job's call-back: typed fields, from that job only, each phase once; and the route that it replaces."""
import json

import pytest
from support.running_hub import request


@pytest.fixture
def plan(session):
    """What the job knows: its secret and its token."""
    directory = session.home / "sessions" / session.state(session.user)["name"]
    found = json.loads((directory / "plan.json").read_text())
    lines = (directory / "environment.sh").read_text().splitlines()
    found["token"] = next(line.split("=", 1)[1] for line in lines if "JUPYTERHUB_API_TOKEN" in line)
    return found


def report(hub, plan, token=True, **fields):
    body = {"session": plan["session"], "secret": plan["secret"], "phase": "started", "address": "127.0.0.1"}
    return request("POST", f"{hub.url}/hub/api/hpc-spawner/report", {**body, **fields},
                   plan["token"] if token is True else token)


def test_the_job_itself_may_report(session, plan):
    assert report(session, plan).status == 204


@pytest.mark.parametrize("fields", [
    {"secret": "0" * 43}, {"session": "jupyter-000000000000"}, {"secret": ""},
])
def test_nobody_without_the_jobs_secret_may(session, plan, fields):
    assert report(session, plan, **fields).status == 403


def test_the_secret_alone_is_not_enough(session, plan):
    assert report(session, plan, token=None).status == 403
    session.api("POST", "/users/somebody-else")
    assert report(session, plan, token=session.user_token("somebody-else")).status == 403


@pytest.mark.parametrize("fields", [
    {"batch_system": "slurm"}, {"phase": "stopped"}, {"port": "8000"}, {"port": 0, "phase": "listening"},
    {"port": 70000}, {"address": "localhost"}, {"address": "127.0.0.1:80"}, {"message": "x" * 2000},
    {"secret": 5}, {"job_id": "1"},
])
def test_anything_but_the_typed_fields_is_refused(session, plan, fields):
    assert report(session, plan, **fields).status == 400


def test_a_phase_counts_once(session, plan):
    """The route does not move, whatever comes later."""
    before = session.state(session.user)
    assert report(session, plan, phase="listening", port=1).status == 204
    assert session.state(session.user) == before
    token = session.user_token(session.user)
    assert request("GET", f"{session.server_url}api/status", token=token).status == 200


def test_the_route_of_batchspawner_is_gone(session, plan):
    answer = request("POST", f"{session.url}/hub/api/batchspawner", {"port": 1}, plan["token"])
    assert answer.status == 404
