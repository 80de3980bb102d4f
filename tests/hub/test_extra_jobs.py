"""Extra jobs through a real Hub, with batch_system = "local": Dask workers that join the session."""
import json
import os
import signal

import pytest
from support.kernel import KernelError, run_code
from support.running_hub import request, wait_for

from jupyterhub_hpc_spawner import localbatch

JOIN = """
from dask.distributed import Client
from jupyterhub_hpc_spawner.notebook import jobs
client = Client()
client.wait_for_workers(2, timeout=60)
job = jobs.submit("dask", name="extra-a", workers=2, threads=1)
client.wait_for_workers(4, timeout=60)
names = sorted(worker["name"] for worker in client.scheduler_info(n_workers=-1)["workers"].values())
print(job, *names[:2], client.submit(lambda: 42, workers=["extra-a-1"]).result())
"""
NAMES = """
import time
from dask.distributed import Client
client = Client()
names = []
deadline = time.monotonic() + 60
while not names and time.monotonic() < deadline:
    names = [worker["name"] for worker in client.scheduler_info(n_workers=-1)["workers"].values()
             if worker["name"].startswith("extra-b")]
print(*names)
"""
CANCEL = """
import time
from dask.distributed import Client
from jupyterhub_hpc_spawner.notebook import jobs
job, = [job["job_id"] for job in jobs.jobs() if job["state"] == "running"]
jobs.cancel(job)
deadline = time.monotonic() + 60
while [job["state"] for job in jobs.jobs()] != ["finished"] and time.monotonic() < deadline:
    time.sleep(0.2)
client = Client()
print(len(client.scheduler_info(n_workers=-1)["workers"]), jobs.jobs()[0]["state"])
jobs.cancel(job)
"""


@pytest.fixture
def token(session):
    return session.user_token(session.user)


def extra(hub, server=""):
    return hub.state(hub.user, server)["extra"]


def proof(hub):
    """What notebooks know: session, secret and token."""
    directory = hub.home / "sessions" / hub.state(hub.user)["name"]
    plan = json.loads((directory / "plan.json").read_text())
    lines = (directory / "environment.sh").read_text().splitlines()
    token = next(line.split("=", 1)[1] for line in lines if "JUPYTERHUB_API_TOKEN" in line)
    return {"session": plan["session"], "secret": plan["secret"]}, token


def ask(hub, verb, token=None, **fields):
    body, own = proof(hub)
    return request("POST", f"{hub.url}/hub/api/hpc-spawner/jobs/{verb}", {**body, **fields}, token or own)


def submit(hub, **fields):
    answer = ask(hub, "submit", **{"runtime": "dask", "threads": 1, **fields})
    assert answer.status == 200, answer
    return answer.json["job_id"]


def running(hub):
    return [job for job in ask(hub, "list").json["jobs"] if job["state"] == "running"]


def test_workers_of_an_extra_job_join_the_client(session, token):
    job, *names, result = run_code(session.server_url, token, JOIN).split()
    assert names == ["extra-a-0", "extra-a-1"] and result == "42"
    assert [found["job_id"] for found in extra(session)] == [job]
    directory = session.home / "sessions" / extra(session)[0]["name"]
    assert directory.stat().st_mode & 0o777 == 0o700
    files = "".join(path.read_text() for path in directory.iterdir() if path.is_file())
    body, api_token = proof(session)
    assert body["secret"] not in files and api_token not in files and "JUPYTERHUB_API" not in files
    key = (session.home / "sessions" / body["session"] / "tls.pem").read_text().splitlines()[1]
    seen = session.log.read_text() + files
    assert "[D " in seen and not [text for text in (body["secret"], api_token, key) if text in seen]


def test_a_cancelled_extra_job_leaves_nothing_and_no_longer_counts(session, token):
    if not extra(session):
        run_code(session.server_url, token, JOIN)
    assert run_code(session.server_url, token, CANCEL).split() == ["2", "finished"]
    wait_for(lambda: not extra(session), 20, lambda: f"it still counts: {extra(session)}")
    assert len(list((session.home / "sessions").iterdir())) == 1


@pytest.mark.parametrize("change", [{"secret": "0" * 43}, {"session": "jupyter-000000000000"}, {"secret": ""}])
@pytest.mark.parametrize("verb", ["submit", "list", "cancel"])
def test_nobody_without_the_sessions_secret_may(session, verb, change):
    fields = {"submit": {"runtime": "dask"}, "cancel": {"job_id": "1"}}.get(verb, {})
    assert ask(session, verb, **fields, **change).status == 403


def test_the_secret_alone_is_not_enough(session):
    session.api("POST", "/users/somebody-else")
    for token in ("nonsense", session.user_token("somebody-else")):
        assert ask(session, "submit", token, runtime="dask").status == 403
    assert not extra(session)


@pytest.mark.parametrize(("fields", "words"), [
    ({"runtime": "spark"}, "runtime: Input should be 'dask' or 'ipyparallel'"),
    ({"options": {"cores": 2}}, "cores: cannot be chosen on this cluster"),
    ({"options": {"environment": "gone"}}, "environment: is not an option of an extra job"),
    ({"options": {"nodes": "many"}}, "nodes: must be a whole number"),
    ({"workers": 0}, "workers: Input should be greater than or equal to 1"),
    ({"name": "a b"}, "name: String should match pattern"),
    ({"lifetime": -1}, "lifetime: Input should be greater than 0"),
    ({"cmd": "id"}, "cmd: Extra inputs are not permitted"),
    ({"name": "x" * 9000}, "own job and notebooks"),
])
def test_a_bad_request_is_refused_with_the_fields_name(session, fields, words):
    answer = ask(session, "submit", **{"runtime": "dask", **fields})
    assert answer.status in (400, 403) and words in answer.json["message"], answer
    assert proof(session)[0]["secret"] not in answer.json["message"]


def test_a_lifetime_ends_worker_and_job_in_order(session):
    job = submit(session, lifetime=2, stagger=0.1)
    wait_for(lambda: not extra(session), 60, lambda: f"it does not end: {extra(session)}")
    shown = next(found for found in ask(session, "list").json["jobs"] if found["job_id"] == job)
    assert shown["state"] == "finished" and "the extra job has ended" in shown["reason"]
    assert "failed" not in shown["reason"] and "status" not in shown["reason"]


def test_a_job_that_dies_early_says_why(session):
    (session.home / ".jupyterhub.env").write_text("echo no licence for this tool >&2\nreturn 3\n")
    try:
        job = submit(session)
        wait_for(lambda: not extra(session), 30, lambda: f"it does not end: {extra(session)}")
    finally:
        (session.home / ".jupyterhub.env").unlink()
    shown = next(found for found in ask(session, "list").json["jobs"] if found["job_id"] == job)
    assert "no licence for this tool" in shown["reason"] and "ended with status 3" in shown["reason"]


def test_the_session_file_says_what_the_site_allows(session):
    directory = session.home / "sessions" / session.state(session.user)["name"]
    facts = json.loads((directory / "session.json").read_text())
    assert facts["extra_jobs"] == {"road": "job", "system": "local", "max_nodes": 10, "idle_timeout": 1800}


def test_a_killed_hub_finds_them_again_and_the_sessions_end_ends_them(session, token):
    run_code(session.server_url, token, JOIN)
    before = extra(session)
    session.stop(signal.SIGKILL)
    session.start()
    wait_for(lambda: session.servers(session.user).get("", {}).get("ready"), 30, lambda: "the session is lost")
    assert extra(session) == before and len(before) == 1
    wait_for(lambda: running(session), 20, lambda: f"the Hub does not watch it: {ask(session, 'list')}")
    session.stop_server(session.user)
    session.assert_nothing_left()


def test_a_session_that_ends_by_itself_leaves_no_extra_job(session):
    submit(session)
    wait_for(lambda: running(session), 20, lambda: "it does not run")
    request("POST", f"{session.server_url}api/shutdown", {}, session.user_token(session.user))
    wait_for(lambda: not session.servers(session.user), 60, lambda: "the session is still there")
    session.assert_nothing_left()


def test_they_end_with_the_session_also_where_no_hub_is_there(session):
    job = submit(session)
    wait_for(lambda: running(session), 20, lambda: "it does not run")
    main, extra_job = record(session, session.state(session.user)["job_id"]), record(session, job)
    log = session.home / "sessions" / extra(session)[0]["name"] / "job.log"
    session.stop(signal.SIGKILL)
    try:
        os.kill(main["pid"], signal.SIGTERM)
        wait_for(lambda: not localbatch.alive(main), 60, lambda: "the session lives on")
        wait_for(lambda: not localbatch.alive(extra_job), 60, lambda: f"the extra job lives on: {log.read_text()}")
    finally:
        session.start()
    wait_for(lambda: not session.servers(session.user), 60, lambda: "the session is still there")
    session.assert_nothing_left()


def record(hub, job_id):
    """What the local system knows of a job."""
    return json.loads((hub.home / "jobs" / f"{job_id}.json").read_text())


def test_with_nannies_they_have_the_same_names(hub_with):
    hub = hub_with("c.HPCSpawner.dask_launcher = 'nanny'")
    options = {"dask": True, "dask_workers_per_node": 2, "dask_threads_per_worker": 1}
    assert hub.spawn(hub.user, options)[-1].get("ready")
    token = hub.user_token(hub.user)
    assert run_code(hub.server_url, token, JOIN).split()[1:] == ["extra-a-0", "extra-a-1", "42"]
    submit(hub, name="extra-b", lifetime=3, stagger=0.1)
    assert run_code(hub.server_url, token, NAMES).split() == ["extra-b-0"]
    wait_for(lambda: len(extra(hub)) == 1, 60, lambda: f"it does not end: {extra(hub)}")


def test_the_limit_of_nodes_holds_over_all_sessions_of_a_user(hub_with):
    hub = hub_with("c.HPCSpawner.max_extra_nodes = 2")
    for server in ("", "second"):
        assert hub.spawn(hub.user, {"dask": True, "dask_workers_per_node": 1}, server)[-1].get("ready")
    first = submit(hub)
    answers = [ask(hub, "submit", runtime="dask") for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 400]
    assert "nodes: 1 more in extra jobs would be 3; at most 2 for each user here" in answers[1].json["message"]
    assert ask(hub, "cancel", job_id=first).status == 204
    wait_for(lambda: len(extra(hub)) == 1, 30, lambda: f"it still counts: {extra(hub)}")
    submit(hub)
    hub.stop_server(hub.user, "second")
    assert len(extra(hub)) == 2


@pytest.mark.parametrize(("config", "options", "words"), [
    ('c.HPCSpawner.extra_jobs = "none"', {"dask": True}, "This site does not allow extra jobs"),
    ("", {}, "this session was started without Dask"),
])
def test_what_cannot_be_is_said(hub_with, config, options, words):
    hub = hub_with(config)
    assert hub.spawn(hub.user, options)[-1].get("ready")
    with pytest.raises(KernelError, match=words):
        run_code(hub.server_url, hub.user_token(hub.user),
                 "from jupyterhub_hpc_spawner.notebook import jobs; jobs.submit('dask')")
