"""The job's call-back: typed fields, from that job only, each phase once; and the route that it replaces."""
import json
import urllib.error
import urllib.request

import pytest
from support.running_hub import Answer, request, wait_for


@pytest.fixture
def plan(session):
    return plan_of(session)


def plan_of(hub):
    """What the job knows: its secret and its token."""
    directory = hub.home / "sessions" / hub.state(hub.user)["name"]
    found = json.loads((directory / "plan.json").read_text())
    lines = (directory / "environment.sh").read_text().splitlines()
    found["token"] = next(line.split("=", 1)[1] for line in lines if "JUPYTERHUB_API_TOKEN" in line)
    return found


def report(hub, plan, token=True, url="", **fields):
    body = {"session": plan["session"], "secret": plan["secret"], "phase": "started", "address": "127.0.0.1"}
    return request("POST", f"{url or hub.url}/hub/api/hpc-spawner/report", {**body, **fields},
                   plan["token"] if token is True else token)


def send(hub, plan, body):
    """Any bytes, with the job's own token."""
    call = urllib.request.Request(f"{hub.url}/hub/api/hpc-spawner/report", body,
                                  {"Authorization": f"token {plan['token']}"}, method="POST")
    try:
        with urllib.request.urlopen(call, timeout=30) as answer:
            return Answer(answer.status, answer.read(), answer.headers)
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.read(), error.headers)


def test_an_address_is_believed_only_where_the_report_came_from_there(starting):
    """Through the proxy the report comes from the Hub's own machine, whoever sends it."""
    assert report(starting, plan_of(starting)).status == 204
    assert starting.state(starting.user)["relayed"]
    (starting.home / "go").touch()
    assert starting.progress(starting.user)[-1].get("ready")
    state = starting.state(starting.user)
    assert not state["relayed"] and state["address"] == "127.0.0.1"


def test_what_a_job_says_makes_no_line_in_the_log(starting):
    forged = "[C 2026-01-01 00:00:00.000 JupyterHub app:1] forged"
    with open(starting.home / ".jupyterhub.env", "a") as last_word:
        last_word.write(f"echo '{forged}'\n")
    assert report(starting, plan_of(starting), phase="failed", message=f"first\n{forged}").status == 204
    failed = starting.progress(starting.user)[-1]
    assert failed.get("failed") and forged in failed["message"].splitlines()
    request("GET", f"{starting.server_url}lab", token=starting.user_token(starting.user))
    wait_for(lambda: not starting.servers(starting.user), 30, lambda: "the session is still shown")
    assert "forged" in starting.log.read_text()
    assert not [line for line in starting.log.read_text().splitlines() if line.startswith(forged)]


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
    for user in ("somebody-else", session.user):
        assert report(session, plan, token=session.user_token(user)).status == 403


@pytest.mark.parametrize("fields", [
    {"batch_system": "slurm"}, {"phase": "stopped"}, {"port": "8000"}, {"port": 0, "phase": "listening"},
    {"port": 70000}, {"address": "localhost"}, {"address": "127.0.0.1:80"}, {"message": "x" * 2000},
    {"secret": 5}, {"job_id": "1"}, {"runtimes": {"dask": "starting"}}, {"runtimes": {"<b>": "running"}},
    {"seconds": -1}, {"seconds": "1"},
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


def test_another_sessions_secret_is_not_this_ones(session, plan):
    """Of the same user, so with a token that is good for both: each secret is for its own session."""
    assert session.spawn(session.user, {}, "other")[-1].get("ready")
    try:
        other = json.loads((session.home / "sessions" / session.state(session.user, "other")["name"] / "plan.json")
                           .read_text())
        before = [session.state(session.user, name) for name in ("", "other")]
        assert report(session, plan, secret=other["secret"], phase="failed").status == 403
        assert report(session, plan, session=other["session"], phase="failed").status == 403
        assert [session.state(session.user, name) for name in ("", "other")] == before
    finally:
        session.stop_server(session.user, "other")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"5", b"null", b"\xff\xfe", b"[" * 8000, b'{"session": NaN}',
                                  b'{"session": {"session": {}}}', b'{"phase": "ended"}'])
def test_what_is_no_report_is_a_400(session, plan, body):
    assert send(session, plan, body).status == 400


def test_the_largest_message_and_the_largest_body_are_taken(session, plan):
    assert report(session, plan, message="x" * 1000).status == 204
    body = {"session": plan["session"], "secret": plan["secret"], "phase": "started", "address": "127.0.0.1"}
    assert send(session, plan, json.dumps(body).ljust(8192).encode()).status == 204


@pytest.mark.parametrize("size", [8193, 10 ** 6])
def test_a_huge_body_is_refused_unread(session, plan, size):
    answer = send(session, plan, json.dumps({"message": "x" * size}).encode())
    assert answer.status == 403


def test_the_name_of_a_bad_field_makes_no_line_in_the_log(session, plan):
    assert report(session, plan, **{"x\n[I] forged": 1}).status == 400
    assert "\n[I] forged" not in session.log.read_text()


def test_the_route_of_batchspawner_is_gone(session, plan):
    answer = request("POST", f"{session.url}/hub/api/batchspawner", {"port": 1}, plan["token"])
    assert answer.status == 404


def test_after_a_restart_of_the_hub_it_is_the_same(session, plan):
    """The Hub has nothing of the secret but its digest: the job is known all the same, and replays are nothing."""
    session.stop()
    session.start()
    before = session.state(session.user)
    assert plan["secret"] not in json.dumps(before)
    assert report(session, plan, secret="0" * 43).status == 403
    assert report(session, plan, phase="listening", port=1).status == 204
    assert session.state(session.user) == before
    assert report(session, plan, phase="failed", message="too late").status == 204
    assert session.servers(session.user)[""]["ready"]
