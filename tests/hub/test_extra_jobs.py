"""Extra jobs through a real Hub, with batch_system = "local": Dask workers that join the session."""
import json

import pytest
from support.kernel import run_code
from support.running_hub import request, wait_for

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
ENVIRON = "import os; print(sorted(name for name in os.environ if 'TOKEN' in name or name.startswith('JUPYTERHUB')))"


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


def test_a_cancelled_extra_job_leaves_nothing_and_no_longer_counts(session, token):
    if not extra(session):
        run_code(session.server_url, token, JOIN)
    assert run_code(session.server_url, token, CANCEL).split() == ["2", "finished"]
    wait_for(lambda: not extra(session), 20, lambda: f"it still counts: {extra(session)}")
    assert len(list((session.home / "sessions").iterdir())) == 1
