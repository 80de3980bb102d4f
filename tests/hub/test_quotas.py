"""What a site allows holds against programs too: nodes, walltime, sessions at a time, queues by group, all by REST, and
as well for the extra jobs of a session."""
import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.running_hub import request, server_path, wait_for

ONLY = ("newest",)

POLICY = """
# Users of the Hub only: for the batch system all of them are who runs this test.
c.HPCSpawner.helper_prefix += ["USER={user}"]
c.HPCSpawner.limits = {"nodes": 1, "walltime": "20m"}
c.HPCSpawner.allowed = {"queue": ["normal"]}
c.HPCSpawner.max_sessions = 2
c.HPCSpawner.max_extra_nodes = 3
c.JupyterHub.load_groups = {"power": {"users": ["grace"]}}
c.HPCSpawner.group_overrides = {"power": {"groups": ["power"], "spawner_override": {
    "limits": {"nodes": 2}, "allowed": {"queue": ["normal", "low"]}, "max_sessions": 3}}}
c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 2}
"""


@pytest.fixture(scope="module")
def policed(environment, tmp_path_factory, make_toy_hub):
    """A Hub on a toy Slurm where every job waits; ada is in no group, grace in that of those who may do more."""
    hub = make_toy_hub(tmp_path_factory.mktemp("hub"), environment, "slurm", {})
    config = hub.directory / "jupyterhub_config.py"
    config.write_text(config.read_text() + POLICY.replace("{user}", hub.user))
    hub.toy.control(hold="busy")
    hub.start().add_user("ada").add_user("grace")
    yield hub
    hub.toy.end()
    hub.stop()


@pytest.fixture
def hub(policed):
    yield policed
    for user in ("ada", "grace"):
        for name in policed.servers(user):
            stop(policed, user, name)
    wait_for(lambda: not waiting(policed), 60, lambda: f"jobs wait: {waiting(policed)}")


def ask(hub, user, name="", body=None, **options):
    return hub.api("POST", f"/users/{user}/{server_path(name)}", {"user_options": options} if body is None else body)


def stop(hub, user, name=""):
    assert hub.api("DELETE", f"/users/{user}/{server_path(name)}").status in (202, 204)
    wait_for(lambda: name not in hub.servers(user), 60, lambda: f"{user}'s {name!r} does not stop")


def waiting(hub):
    return [job for job in hub.toy.jobs() if job["state"] == "pending"]


def wait_for_jobs(hub, count):
    """The waiting jobs, when there are as many."""
    wait_for(lambda: len(waiting(hub)) == count, 60, lambda: f"these wait: {waiting(hub)}")
    return waiting(hub)


BEYOND = (
    ({"nodes": 2}, "nodes: at most 1 here"), ({"nodes": "2"}, "nodes: at most 1 here"),
    ({"walltime": "20:01"}, "walltime: at most 00:20:00 here"), ({"walltime": 21}, "walltime: at most 00:20:00 here"),
    ({"queue": "low"}, "queue: there is no 'low' here; choose one of normal"),
)


@pytest.mark.parametrize("options, words", [
    *BEYOND,
    *(({name: {"nodes": 9}}, f"{name}: is not an option here")
      for name in ("limits", "max_sessions", "group_overrides", "groups", "allowed")),
])
def test_who_asks_for_more_is_refused_by_the_name_of_the_limit(hub, options, words):
    answer = ask(hub, "ada", **options)
    assert answer.status == 400 and words in answer.json["message"], answer
    assert hub.api("PUT", "/users/ada/servers/kept", {"user_options": options}).status in (201, 409)
    assert hub.api("PATCH", "/users/ada/servers/kept", {"user_options": options}).status == 200
    assert ask(hub, "ada", "kept", body={}).status == 400
    assert not waiting(hub)


def test_what_is_left_open_is_within_the_limits(hub):
    assert ask(hub, "ada").status < 300
    job, = wait_for_jobs(hub, 1)
    assert (job["queue"], job["nodes"], job["walltime"]) == ("normal", 1, 1200)


def test_a_group_may_do_more_and_nobody_else(hub):
    assert ask(hub, "grace", nodes=2, queue="low").status < 300
    job, = wait_for_jobs(hub, 1)
    assert (job["queue"], job["nodes"]) == ("low", 2)
    assert "at most 2 here" in ask(hub, "grace", "other", nodes=3).json["message"]
    assert ask(hub, "ada", nodes=2).status == ask(hub, "ada", queue="low").status == 400


@pytest.mark.parametrize("user, most", [("ada", 2), ("grace", 3)])
def test_of_many_starts_at_once_as_many_go_through_as_allowed(hub, user, most):
    names = ("", "a", "b", "c", "d")
    with ThreadPoolExecutor(len(names)) as pool:
        answers = dict(zip(names, pool.map(lambda name: ask(hub, user, name), names)))
    refused = [name for name, answer in answers.items() if answer.status == 400]
    assert len(names) - len(refused) == most == len(wait_for_jobs(hub, most)), answers
    assert f"at most {most} at a time here" in answers[refused[0]].json["message"]
    gone, *_ = hub.servers(user)
    stop(hub, user, gone)
    assert ask(hub, user, refused[0]).status < 300
    assert ask(hub, user, gone).status == 400
    wait_for_jobs(hub, most)


def ask_extra(hub, user, **options):
    """An extra job of the user's session, as its notebooks ask for one."""
    directory = hub.home / "sessions" / hub.state(user)["name"]
    plan = json.loads((directory / "plan.json").read_text())
    token = re.search(r"JUPYTERHUB_API_TOKEN=(\S+)", (directory / "environment.sh").read_text())[1]
    body = {"session": plan["session"], "secret": plan["secret"], "runtime": "ipyparallel", "options": options}
    return request("POST", f"{hub.url}/hub/api/hpc-spawner/jobs/submit", body, token)


def test_the_limits_of_sessions_are_those_of_extra_jobs(hub):
    assert ask(hub, "ada").status < 300
    wait_for_jobs(hub, 1)
    for options, words in BEYOND:
        answer = ask_extra(hub, "ada", **options)
        assert answer.status == 400 and words in answer.json["message"], (options, answer)
    wait_for_jobs(hub, 1)
    assert ask_extra(hub, "ada").status == 200
    job = wait_for_jobs(hub, 2)[-1]
    assert (job["queue"], job["nodes"], job["walltime"]) == ("normal", 1, 1200)


def test_a_groups_own_limits_are_those_of_its_extra_jobs(hub):
    assert ask(hub, "grace").status < 300
    wait_for_jobs(hub, 1)
    assert "nodes: at most 2 here" in ask_extra(hub, "grace", nodes=3).json["message"]
    assert ask_extra(hub, "grace", nodes=2, queue="low").status == 200
    assert "would be 4; at most 3 for each user" in ask_extra(hub, "grace", nodes=2).json["message"]
    assert [job["nodes"] for job in wait_for_jobs(hub, 2)] == [1, 2]


def test_the_number_holds_after_a_restart_of_the_hub(hub):
    for name in ("", "a"):
        assert ask(hub, "ada", name).status < 300
    wait_for_jobs(hub, 2)
    hub.stop()
    hub.start()
    answer = ask(hub, "ada", "b")
    assert answer.status == 400 and "You have 2 sessions already" in answer.json["message"], answer
