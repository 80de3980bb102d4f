"""Failures are counted by their cause: on the toy Slurm, with a server that is there at once."""
import json
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone

import pytest
from fakes.toy import nodes_can_have_names
from support import prometheus
from support.running_hub import wait_for

from jupyterhub_hpc_spawner.hub.metrics import CAUSES

ONLY = ("newest",)
CONFIG = """
c.JupyterHub.log_level = "DEBUG"
c.HPCSpawner.environments["deaf"] = {{"path": "{deaf}"}}

def by_name(spawner):
    spawner.start_timeout = 3 if spawner.name == "late" else 60
    spawner.http_timeout = 2 if spawner.name == "deaf" else 60

c.HPCSpawner.pre_spawn_hook = by_name
"""


@pytest.fixture(scope="module")
def toy_hub(make_toy_hub, environment, tmp_path_factory):
    if not nodes_can_have_names():
        pytest.skip("this account may not give a process a host name of its own")
    directory = tmp_path_factory.mktemp("slurm")
    hub = make_toy_hub(directory, environment, "slurm", {})
    with open(directory / "jupyterhub_config.py", "a") as config:
        config.write(CONFIG.format(deaf=hub.toy.make_deaf_environment()))
    hub.start().add_user(hub.user)
    yield hub
    hub.toy.end()
    hub.stop()


@pytest.fixture
def watch(toy_hub):
    toy_hub.clean()
    yield prometheus.Watch(toy_hub)
    toy_hub.clean()


def failures(watch):
    return [cause for cause in CAUSES for _ in range(int(watch.gained("failures_total", cause)))]


def ready(hub):
    events = hub.spawn(hub.user, {"environment": "light"})
    assert events[-1].get("ready"), events
    return hub.home / "sessions" / hub.state(hub.user)["name"]


def wait_for_gauge(hub, value, name, *labels):
    name = prometheus.PREFIX + name
    wait_for(lambda: prometheus.samples(hub)[name, *labels] == value, 60,
             lambda: f"{name} is {prometheus.samples(hub)[name, *labels]}", pause=0.2)


@pytest.mark.parametrize(("fault", "cause", "errors"), [("refuse", "refused", 0), ("hang", "not_submitted", 1)])
def test_a_refusal_is_an_answer_and_silence_is_an_error(toy_hub, watch, fault, cause, errors):
    toy_hub.toy.faults(submit=fault)
    assert toy_hub.spawn(toy_hub.user, {"environment": "light"})[-1].get("failed")
    assert failures(watch) == [cause]
    assert watch.gained("command_errors_total", "submit") == errors
    assert watch.gained("command_duration_seconds_count", "submit") == 1


def test_a_job_that_dies_in_the_queue_has_ended(toy_hub, watch):
    toy_hub.toy.control(hold="busy")
    toy_hub.begin(environment="light")
    wait_for_gauge(toy_hub, 1, "sessions", "pending")
    toy_hub.toy.control(hold="busy", die="failed")
    assert toy_hub.progress(toy_hub.user)[-1].get("failed")
    assert failures(watch) == ["ended"] and watch.gained("queue_wait_seconds_count") == 0


def test_a_start_that_takes_too_long_is_a_timeout(toy_hub, watch):
    toy_hub.toy.control(hold="busy")
    assert toy_hub.spawn(toy_hub.user, {"environment": "light"}, "late")[-1].get("failed")
    assert failures(watch) == ["timeout"]


def test_a_start_that_its_user_cancels_is_no_failure(toy_hub, watch):
    toy_hub.toy.control(hold="busy")
    toy_hub.begin(environment="light")
    wait_for_gauge(toy_hub, 1, "sessions", "pending")
    toy_hub.stop_server(toy_hub.user)
    assert failures(watch) == []


def test_a_server_that_the_hub_does_not_reach_is_said_so(toy_hub, watch):
    assert toy_hub.spawn(toy_hub.user, {"environment": "deaf"}, "deaf")[-1].get("failed")
    assert failures(watch) == ["unreachable"]


def test_a_session_whose_job_is_killed_is_lost(toy_hub, watch):
    ready(toy_hub)
    job, = toy_hub.toy.jobs()
    toy_hub.toy.store.order(job["number"], "kill")
    wait_for(lambda: not toy_hub.servers(toy_hub.user), 60, lambda: "the session is still there", pause=0.3)
    assert failures(watch) == ["lost"]


def test_a_system_that_does_not_answer_is_counted(toy_hub, watch):
    ready(toy_hub)
    toy_hub.toy.faults(status="down")
    wait_for(lambda: watch.gained("command_errors_total", "status"), 60, lambda: "no error is counted", pause=0.2)
    assert failures(watch) == []


def test_a_cancel_is_owed_until_it_is_done(toy_hub, watch):
    ready(toy_hub)
    toy_hub.toy.faults(cancel="refuse")
    with ThreadPoolExecutor() as pool:
        stopping = pool.submit(toy_hub.stop_server, toy_hub.user)
        wait_for_gauge(toy_hub, 1, "cancels_owed")
        toy_hub.toy.faults()
        stopping.result()
    wait_for_gauge(toy_hub, 0, "cancels_owed")
    assert watch.gained("command_errors_total", "cancel") >= 1 and failures(watch) == []


def test_a_wait_in_the_queue_is_not_idleness(toy_hub, watch):
    """An idle culler would end the session that has just come out of the queue."""
    toy_hub.toy.control(hold="busy")
    toy_hub.begin(environment="light")
    wait_for_gauge(toy_hub, 1, "sessions", "pending")
    released = datetime.now(timezone.utc)
    toy_hub.toy.control()
    assert toy_hub.progress(toy_hub.user)[-1].get("ready")
    # This server, which reports nothing, has not been used yet.
    assert datetime.fromisoformat(toy_hub.servers(toy_hub.user)[""]["last_activity"]) >= released


def test_no_secret_is_in_the_log_at_any_level(toy_hub, watch):
    directory = ready(toy_hub)
    secret = json.loads((directory / "plan.json").read_text())["secret"]
    token = re.search(r"JUPYTERHUB_API_TOKEN=(\S+)", (directory / "environment.sh").read_text())[1]
    toy_hub.stop_server(toy_hub.user)
    log = toy_hub.log.read_text()
    assert "[D " in log and secret not in log and token not in log


def test_a_wait_that_a_restart_of_the_hub_interrupts_counts_as_a_whole(toy_hub, watch):
    toy_hub.toy.control(hold="busy")
    toy_hub.begin(environment="light")
    wait_for_gauge(toy_hub, 1, "sessions", "pending")
    submitted = time.monotonic()
    toy_hub.stop(signal.SIGKILL)
    toy_hub.start()
    wait_for_gauge(toy_hub, 1, "sessions", "pending")
    waited = time.monotonic() - submitted
    toy_hub.toy.control()
    assert toy_hub.progress(toy_hub.user)[-1].get("ready")
    found = prometheus.samples(toy_hub)
    assert found["jupyterhub_hpc_queue_wait_seconds_count",] == 1
    assert found["jupyterhub_hpc_queue_wait_seconds_sum",] >= waited
    assert found["jupyterhub_hpc_start_duration_seconds_sum", "total"] >= waited
