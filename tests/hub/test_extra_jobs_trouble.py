"""Extra jobs on a toy Slurm that refuses, is slow, hangs, or lets jobs wait."""
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from fakes.toy import nodes_can_have_names
from support.running_hub import request, wait_for

# What the job does does not depend on the Hub's version.
ONLY = ("newest",)


@pytest.fixture(scope="module")
def toy_hub(environment, tmp_path_factory, make_toy_hub):
    if not nodes_can_have_names():
        pytest.skip("this account may not give a process a host name of its own")
    hub = make_toy_hub(tmp_path_factory.mktemp("extra"), environment, "slurm", {})
    hub.start().add_user(hub.user)
    yield hub
    hub.clean()
    hub.stop()


@pytest.fixture
def hub(toy_hub):
    """A session with a server that is there at once; from now on jobs wait in the queue."""
    toy_hub.clean()
    events = toy_hub.spawn(toy_hub.user, {"environment": "light", "queue": "low", "nodes": 2})
    assert events[-1].get("ready"), events
    toy_hub.toy.control(hold="busy")
    return toy_hub


def ask(hub, verb, **fields):
    directory = hub.home / "sessions" / hub.state(hub.user)["name"]
    plan = json.loads((directory / "plan.json").read_text())
    lines = (directory / "environment.sh").read_text().splitlines()
    token = next(line.split("=", 1)[1] for line in lines if "JUPYTERHUB_API_TOKEN" in line)
    body = {"session": plan["session"], "secret": plan["secret"], **fields}
    return request("POST", f"{hub.url}/hub/api/hpc-spawner/jobs/{verb}", body, token)


def submit(hub, options=None, **fields):
    return ask(hub, "submit", runtime="ipyparallel", options=options or {}, **fields)


def test_the_sessions_own_options_hold_unless_said_otherwise(hub):
    assert submit(hub, {"account": "geo", "walltime": "10m"}, engines=4).status == 200
    job = hub.toy.jobs()[-1]
    assert {name: job[name] for name in ("queue", "account", "nodes", "cores", "walltime")} == {
        "queue": "low", "account": "geo", "nodes": 1, "cores": 4, "walltime": 600}
    wait_for(lambda: ask(hub, "list").json["jobs"][0]["state"] == "pending", 20, lambda: ask(hub, "list"))
    assert "waiting for nodes" in ask(hub, "list").json["jobs"][0]["reason"]


def test_a_refusal_is_in_the_systems_own_words_and_does_not_count(hub):
    hub.toy.faults(submit="refuse")
    answer = submit(hub)
    assert answer.status == 400 and "Invalid account or account/partition combination" in answer.json["message"]
    assert not hub.state(hub.user)["extra"] and len(list((hub.home / "sessions").iterdir())) == 1


def test_a_submission_that_hangs_is_given_up_and_does_not_count(hub):
    hub.toy.faults(submit="hang")
    answer = submit(hub)
    assert answer.status == 503 and "did not answer in 2" in answer.json["message"]
    hub.toy.faults()
    assert submit(hub, {"nodes": 4}).status == submit(hub, {"nodes": 4}).status == 200


def test_a_users_submissions_go_one_by_one_and_all_count_from_the_request_on(hub):
    before = len(hub.toy.calls("submit"))
    hub.toy.faults(submit="slow 0.5")
    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(lambda number: submit(hub, {"nodes": 3}), range(5)))
    assert sorted(answer.status for answer in answers) == [200, 200, 200, 400, 400]
    times = sorted(call["time"] for call in hub.toy.calls("submit")[before:])
    assert len(times) == 3 and all(later - earlier >= 0.5 for earlier, later in zip(times, times[1:]))


def test_a_list_asks_the_batch_system_nothing(hub):
    submit(hub)
    wait_for(lambda: ask(hub, "list").json["jobs"][0]["state"] == "pending", 20, lambda: ask(hub, "list"))
    before = len(hub.toy.calls("status"))
    for _ in range(50):
        ask(hub, "list")
    assert len(hub.toy.calls("status")) - before < 10  # the poller's own, twice a second


def test_the_sessions_end_ends_what_waits_and_what_is_being_submitted(hub):
    submit(hub)
    hub.toy.faults(submit="slow 1")
    before = len(hub.toy.calls("submit"))
    with ThreadPoolExecutor() as pool:
        asked = [pool.submit(submit, hub) for _ in range(2)]
        wait_for(lambda: len(hub.toy.calls("submit")) > before, 10, lambda: "none is being submitted")
        hub.stop_server(hub.user)
        assert sorted(future.result().status for future in asked) == [200, 409]
    hub.assert_nothing_left()


def test_a_cancel_that_failed_is_tried_again(hub):
    job = submit(hub).json["job_id"]
    before = len(hub.toy.calls("cancel"))
    hub.toy.faults(cancel="refuse")
    assert ask(hub, "cancel", job_id=job).status == 204
    hub.toy.faults()
    wait_for(lambda: not hub.state(hub.user)["extra"], 30, lambda: "it is still there")
    assert [call["fault"] for call in hub.toy.calls("cancel")[before:]] == ["refuse", ""]
    assert [found["state"] for found in ask(hub, "list").json["jobs"]] == ["finished"]
