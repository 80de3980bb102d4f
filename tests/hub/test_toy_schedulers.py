"""Each batch system's whole road in a real Hub, on the toy schedulers of ``tests/fakes``."""
import json
import re
import shutil
import signal
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from threading import Semaphore

import pytest
from fakes.toy import nodes_can_have_names
from support.kernel import run_code
from support.running_hub import ENVIRONMENTS, wait_for

from jupyterhub_hpc_spawner.batch import make_batch_system

SYSTEMS = {
    "slurm": {}, "pbs": {}, "torque": {}, "lsf": {}, "condor": {},
    "sge": {"smp_environment": "smp", "parallel_environment": "mpi-{cores}"},
}
# All that the form asks of a job, what the job then has, and where a system has its own names. No value is a default.
FORM = {"queue": "low", "account": "geo", "qos": "high", "reservation": "R7", "node_type": "himem", "nodes": 2,
        "cores": 2, "memory": "4G", "gpus": 1, "gpu_type": "a100", "walltime": "2h"}
JOB = {"queue": "low", "account": "geo", "qos": "high", "reservation": "R7", "constraint": "himem", "nodes": 2,
       "cores": 2, "memory": 4 * 1024 ** 3, "gpus": 1, "gpu_type": "a100", "walltime": 7200}
OWN_FORM = {"sge": {"queue": "low.q", "reservation": "7"}}
OWN_JOB = {"sge": {"queue": "low.q", "reservation": "7"},
           "pbs": {"queue": "R7", "reservation": None, "constraint": "himem=True"}}
WAITING = {"slurm": "next in line in queue", "pbs": "Not enough free nodes",
           "torque": "Not enough of the right type of nodes", "lsf": "waiting for nodes that have what it asks for"}
REFUSAL = {
    "slurm": "Invalid account or account/partition combination",
    "pbs": "Job violates queue and/or server resource limits",
    "torque": "Job exceeds queue resource limits", "lsf": "RUNLIMIT: Cannot exceed queue's hard limit(s)",
    "condor": "would exceed MAX_JOBS_PER_OWNER", "sge": 'no access to project "bio"',
}
CONNECT = """
from dask.distributed import Client
client = Client()
client.wait_for_workers({count}, timeout=60)
print(*sorted(worker["name"] for worker in client.scheduler_info()["workers"].values()))
"""
# The job is there, its server never; the file says that it has begun.
NEVER_READY = 'touch "$HOME/waits"; while :; do sleep 0.05; done\n'

# (what happens, on which system's Hub)
SCENARIOS = []


def scenario(*systems):
    """To be played on these systems' Hubs; left out, on all."""
    def add(function):
        SCENARIOS.extend((function, system) for system in systems or SYSTEMS)
        return function
    return add


class Everywhere:
    """Plays the chosen scenarios: on each Hub one after the other, on the Hubs side by side, as most of it is waiting.

    ``ends`` has for each the Future of its end.
    """

    def __init__(self, make_hub, directories, chosen):
        self.make_hub = make_hub
        self.ends = {pair: Future() for pair in chosen}
        self.heavy, self.starting = Semaphore(2), Semaphore(2)
        systems = list(dict.fromkeys(system for _, system in chosen))
        self.pool = ThreadPoolExecutor(len(systems))
        for number, system in enumerate(systems):
            mine = [function for function, of in chosen if of == system]
            # Each begins elsewhere, so that the heavy one does not come everywhere at once.
            start = number % len(mine)
            self.pool.submit(self._play, directories.mktemp(system), system, mine[start:] + mine[:start])

    def _play(self, directory, system, scenarios):
        hub = self.make_hub(directory, ENVIRONMENTS[0], system, SYSTEMS[system])
        try:
            with self.starting:
                hub.start().add_user(hub.user)
            for function in scenarios:
                self._play_one(hub, function, self.ends[function, system])
        except BaseException as error:
            for function in scenarios:
                if not self.ends[function, system].done():
                    self.ends[function, system].set_exception(error)
        finally:
            hub.toy.end()
            hub.stop()

    def _play_one(self, hub, function, end):
        try:
            hub.clean()
            with self.heavy if function in HEAVY else nullcontext():
                function(hub)
            assert not hub.toy.strange
            end.set_result(None)
        except Exception as error:
            end.set_exception(error)
        finally:
            hub.clean()


@pytest.fixture(scope="module")
def everywhere(request, tmp_path_factory, make_toy_hub):
    if not ENVIRONMENTS:
        pytest.skip("HPC_TEST_ENVIRONMENTS names no environment; run the tests with make")
    if not nodes_can_have_names():
        pytest.skip("this account may not give a process a host name of its own")
    chosen = [(item.callspec.params["function"], item.callspec.params["system"])
              for item in request.session.items if getattr(item, "module", None) is request.module]
    everywhere = Everywhere(make_toy_hub, tmp_path_factory, chosen)
    yield everywhere
    everywhere.pool.shutdown()


def own(table, hub):
    return table.get(hub.toy.name, {})


def unsupported(hub):
    return make_batch_system(hub.toy.name, SYSTEMS[hub.toy.name]).unsupported()


def form_of(hub):
    """All fields that the system can express."""
    return {name: own(OWN_FORM, hub).get(name, value) for name, value in FORM.items() if name not in unsupported(hub)}


def light_session(hub):
    """A session whose server is there at once; its job."""
    events = hub.spawn(hub.user, {"environment": "light"})
    assert events[-1].get("ready"), events
    job, = hub.toy.jobs()
    return job


def assert_ends(hub):
    wait_for(lambda: not hub.servers(hub.user), 30, lambda: f"the session is still there: {hub.toy.jobs()}", pause=0.3)
    hub.assert_nothing_left()


@scenario()
def a_job_has_what_the_form_asked_for_and_dask_on_its_nodes(hub):
    hub.toy.control(hold="busy")
    hub.begin(**form_of(hub), dask=True, dask_workers_per_node=1)
    events = hub.progress(hub.user, until=waits)
    assert WAITING.get(hub.toy.name, "waiting in the queue") in events[-1]["message"]
    job, = hub.toy.jobs()
    wanted = {name: own(OWN_JOB, hub).get(name, JOB[name]) for name in [*form_of(hub), "constraint"] if name in JOB}
    assert {name: job[name] for name in wanted} == wanted
    assert_no_secret_is_in_the_records(hub)
    hub.toy.control()
    events = hub.progress(hub.user)
    assert events[-1].get("ready"), events
    names = [f"toy{number + 1}-0" for number in range(job["nodes"])]
    assert run_code(hub.server_url, hub.user_token(hub.user), CONNECT.format(count=len(names))).split() == names
    assert_no_secret_is_in_the_records(hub)
    hub.stop_server(hub.user)
    hub.assert_nothing_left()


def assert_no_secret_is_in_the_records(hub):
    """Of the job's records, what was submitted, every command line, and what all the system's programs print of it."""
    directory, = (hub.home / "sessions").glob("jupyter-*")
    secret = json.loads((directory / "plan.json").read_text())["secret"]
    token = re.search(r"JUPYTERHUB_API_TOKEN=(\S+)", (directory / "environment.sh").read_text())[1]
    key = (directory / "tls.pem").read_text().splitlines()[1]
    store, job = hub.toy.store, hub.toy.jobs()[0]
    system = make_batch_system(hub.toy.name, SYSTEMS[hub.toy.name])
    shown = [hub.toy.run(*argv).stdout for argv in (system.status_command(), *system.info_commands().values())]
    records = "".join([json.dumps(job), store.script(job).read_text(), (store.directory / "calls.log").read_text(),
                       *shown])
    assert directory.name in records and str(job["number"]) in shown[0]
    assert not [text for text in (secret, token, key) if text in records]


def waits(event):
    return "waiting in the queue" in event["message"] or event.get("failed")


@scenario()
def a_refusal_is_shown_in_the_systems_own_words(hub):
    hub.toy.faults(submit="refuse")
    event = hub.spawn(hub.user, {"environment": "light"})[-1]
    assert event.get("failed") and REFUSAL[hub.toy.name] in event["message"], event
    assert hub.api("GET", f"/users/{hub.user}").json["servers"].get("", {}).get("pending") is None
    hub.assert_nothing_left()


@scenario()
def what_the_system_cannot_express_is_refused_by_name(hub):
    for field in sorted(unsupported(hub)):
        answer = hub.api("POST", f"/users/{hub.user}/server", {"user_options": {field: FORM[field]}})
        assert answer.status == 400 and f"{field}: cannot be chosen" in answer.json["message"], answer
    hub.assert_nothing_left()


@scenario()
def a_job_that_dies_in_the_queue_ends_the_session_with_a_message(hub):
    hub.toy.control(hold="busy")
    hub.begin(environment="light")
    hub.progress(hub.user, until=waits)
    hub.toy.control(hold="busy", die="failed")
    event = hub.progress(hub.user)[-1]
    assert event.get("failed") and "could not start your session" in event["message"], event
    assert_ends(hub)
    assert "The session could not start: " in hub.logged()


@scenario()
def the_end_of_the_walltime_ends_the_session(hub):
    (hub.home / ".jupyterhub.env").write_text(NEVER_READY)
    hub.begin(environment="light", walltime="1h")
    wait_for((hub.home / "waits").exists, 20, lambda: "the job does not start")
    hub.toy.control(walltime=0)
    event = hub.progress(hub.user)[-1]
    assert event.get("failed") and "could not start your session" in event["message"], event
    assert_ends(hub)
    hub.clean()
    light_session(hub)
    hub.toy.control(walltime=0)
    assert_ends(hub)
    # The walltime is the toy's alone: the job knows only that it was told to end, and most systems say no more.
    words = {"slurm": "it reached its walltime", "condor": "its walltime is over"}.get(hub.toy.name, "told it to end")
    wait_for(lambda: words in hub.ended(hub.user)["why"], 30, lambda: hub.ended(hub.user), pause=0.3)
    assert "The session has ended by itself: " in hub.logged()


# What the toy Slurm says of a job that ended, and what its user is told.
ENDS = {"PREEMPTED": "a more important job took its nodes", "NODE_FAIL": "one of its nodes failed",
        "OUT_OF_MEMORY": "it used more memory than it had asked for", "CANCELLED": "it was cancelled"}


@scenario("slurm")
def why_a_session_ended_is_told_until_the_next_start(hub):
    for code, words in ENDS.items():
        job = light_session(hub)
        assert hub.ended(hub.user) is None
        hub.toy.control(code=code)
        hub.toy.store.order(job["number"], "kill")
        assert_ends(hub)
        ended = hub.ended(hub.user)
        assert words in ended["why"] and code in ended["words"] and ended["job_id"] == str(job["number"]), ended
        assert re.search(f"The session has ended by itself: .*job={job['number']} ", hub.logged())
        hub.toy.control()
    hub.stop()
    hub.start()
    assert hub.ended(hub.user) == ended


@scenario("slurm")
def a_session_whose_job_is_put_back_into_the_queue_is_over(hub):
    light_session(hub)
    hub.toy.control(code="PENDING")
    assert_ends(hub)
    assert "put its job back into the queue" in hub.ended(hub.user)["why"]
    assert "The session has ended by itself: the batch system put its job back into the queue" in hub.logged()


@scenario("slurm", "sge")
def a_stop_that_a_hub_did_not_finish_is_finished_by_the_next(hub):
    light_session(hub)
    hub.toy.faults(cancel="hang")
    before = len(hub.toy.calls("cancel"))
    with ThreadPoolExecutor() as pool:
        stopping = pool.submit(hub.api, "DELETE", f"/users/{hub.user}/server")
        wait_for(lambda: len(hub.toy.calls("cancel")) > before, 20, lambda: "no cancel was tried")
        hub.stop(signal.SIGKILL)
        stopping.exception()
    assert hub.toy.jobs()
    hub.toy.faults()
    hub.start()
    assert_ends(hub)
    assert hub.ended(hub.user) is None
    assert "has not ended yet" not in hub.logged()


@scenario("pbs", "lsf")
def a_hub_killed_while_a_job_waits_goes_on_waiting_and_can_cancel(hub):
    hub.toy.control(hold="busy")
    hub.begin(environment="light")
    hub.progress(hub.user, until=waits)
    hub.stop(signal.SIGKILL)
    hub.start()
    wait_for(lambda: hub.servers(hub.user).get("", {}).get("pending") == "spawn", 30, lambda: "the session is lost")
    assert "waiting in the queue" in hub.progress(hub.user, until=waits)[-1]["message"]
    hub.stop_server(hub.user)
    hub.assert_nothing_left()
    assert hub.ended(hub.user) is None


@scenario("torque")
def a_session_whose_directory_was_deleted_can_be_stopped_and_the_next_starts(hub):
    light_session(hub)
    shutil.rmtree(hub.home / "sessions")
    hub.stop_server(hub.user)
    hub.assert_nothing_left()
    job = light_session(hub)
    shutil.rmtree(hub.home / "sessions")
    hub.toy.store.order(job["number"], "kill")
    assert_ends(hub)


@scenario("lsf")
def a_session_whose_token_was_revoked_ends_as_any_other(hub):
    for end in ("stop", "cancel"):
        job = light_session(hub)
        tokens = hub.api("GET", f"/users/{hub.user}/tokens").json["api_tokens"]
        server, = [token for token in tokens if token["note"].startswith("Server at ")]
        assert hub.api("DELETE", f"/users/{hub.user}/tokens/{server['id']}").status == 204
        if end == "stop":
            hub.stop_server(hub.user)
        else:
            hub.toy.store.order(job["number"], "cancel")
            assert_ends(hub)
            assert "the Hub refused the report 'ended': 403" in hub.ended(hub.user)["details"]
        hub.assert_nothing_left()


@scenario("sge")
def five_servers_of_one_user_start_at_once_and_end_apart(hub):
    names = [f"s{number}" for number in range(5)]

    def server(method, name, body=None):
        return hub.api(method, f"/users/{hub.user}/servers/{name}", body).status

    with ThreadPoolExecutor() as pool:
        options = {"user_options": {"environment": "light"}}
        assert set(pool.map(lambda name: server("POST", name, options), names)) <= {201, 202}
    wait_for(lambda: sum(there["ready"] for there in hub.servers(hub.user).values()) == 5, 60,
             lambda: hub.servers(hub.user), pause=0.3)
    assert len(hub.toy.jobs()) == 5
    first = hub.state(hub.user, "s0")["job_id"]
    assert server("DELETE", "s0") in (202, 204)
    wait_for(lambda: set(hub.servers(hub.user)) == set(names[1:]), 60, lambda: hub.servers(hub.user), pause=0.3)
    assert sorted(str(job["number"]) for job in hub.toy.jobs() if job["state"] != "ending").count(first) == 0
    for name in names[1:]:
        server("DELETE", name)
    assert_ends(hub)


@scenario("lsf")
def a_server_that_answers_while_the_hub_is_away_is_there_when_it_is_back(hub):
    (hub.home / ".jupyterhub.env").write_text('touch "$HOME/waits"; until [ -e "$HOME/go" ]; do sleep 0.05; done\n')
    (hub.home / "waits").unlink(missing_ok=True)
    hub.begin(environment="light")
    wait_for((hub.home / "waits").exists, 20, lambda: "the job does not start")
    hub.stop(signal.SIGKILL)
    (hub.home / "go").touch()
    log, = (hub.home / "sessions").glob("*/job.log")
    wait_for(lambda: "the server answers" in log.read_text(), 30, log.read_text)
    hub.start()
    wait_for(lambda: hub.servers(hub.user).get("", {}).get("ready"), 40, lambda: "the session is lost", pause=0.3)
    hub.stop_server(hub.user)
    hub.assert_nothing_left()


@scenario("pbs", "condor")
def a_killed_hub_finds_its_job_again(hub):
    job = light_session(hub)
    hub.stop(signal.SIGKILL)
    hub.start()
    wait_for(lambda: hub.servers(hub.user).get("", {}).get("ready"), 30, lambda: "the session is lost", pause=0.2)
    assert [there["number"] for there in hub.toy.jobs()] == [job["number"]]
    hub.stop_server(hub.user)
    hub.assert_nothing_left()


def wait_for_questions(hub, fault, count=1):
    """So many questions to the system that are asked from now on and have this fault."""
    before = len(hub.toy.calls("status"))
    wait_for(lambda: sum(call["fault"] == fault for call in hub.toy.calls("status")[before:]) >= count, 60,
             lambda: "the Hub does not ask", pause=0.2)


@scenario()
def a_system_that_does_not_answer_ends_no_session(hub):
    job = light_session(hub)
    # A command that hangs makes for a long pause, so one system has that. A job is over that two answers lack.
    troubles = {"slow 0.3": 1, "down": 3, "garbage": 1} if hub.toy.name != "slurm" else {"hang": 1}
    for fault, count in troubles.items():
        hub.toy.faults(status=fault)
        wait_for_questions(hub, fault, count)
        begin = time.monotonic()
        assert hub.api("GET", "/info").status == 200
        assert time.monotonic() - begin < 1.5
        hub.toy.faults()
        wait_for_questions(hub, "")
        assert hub.servers(hub.user)[""]["ready"]
    assert "The batch system could not be asked (1 times now); every session keeps its last known" in hub.logged()
    # Killed in a way that the job cannot tell the Hub of: the system does.
    hub.toy.store.order(job["number"], "kill")
    assert_ends(hub)
    assert "without a word" in hub.ended(hub.user)["why"]


@scenario()
def a_system_that_hides_the_users_jobs_from_the_hub_ends_no_session(hub):
    job = light_session(hub)
    hub.toy.faults(status="hide")
    wait_for_questions(hub, "hide", 5)
    assert hub.servers(hub.user)[""]["ready"]
    assert re.search(rf"The Hub's account does not see job \S+ of {hub.user}, which is there", hub.log.read_text())
    hub.toy.store.order(job["number"], "kill")
    assert_ends(hub)


@scenario()
def neither_a_suspended_job_nor_an_unknown_state_ends_a_session(hub):
    light_session(hub)
    hub.toy.control(suspend=True)
    wait_for(lambda: hub.toy.jobs()[0]["state"] == "suspended", 10, lambda: f"not suspended: {hub.toy.jobs()}")
    wait_for_questions(hub, "", 2)
    hub.toy.control(code="Y")
    wait_for_questions(hub, "", 2)
    assert hub.servers(hub.user)[""]["ready"]
    assert re.search("The batch system gives a job the state '.*', which is not in the table", hub.logged())
    hub.stop_server(hub.user)
    hub.assert_nothing_left()


@scenario()
def a_submit_command_that_hangs_is_given_up(hub):
    hub.toy.faults(submit="hang")
    event = hub.spawn(hub.user, {"environment": "light"})[-1]
    assert event.get("failed") and "did not answer in 2" in event["message"], event
    assert "Try again; if it stays so, tell your site's support" in event["message"]
    hub.assert_nothing_left()
    assert re.search(rf"Whether jupyter-\w+ of {hub.user} was submitted is not known: ", hub.logged())


def a_job_is_found_by_its_name(hub, fault):
    """Its submission got no answer that is one."""
    hub.toy.faults(submit=fault)
    events = hub.spawn(hub.user, {"environment": "light"})
    assert events[-1].get("ready"), events
    job, = hub.toy.jobs()
    assert re.search(rf"Whether jupyter-\w+ of {hub.user} was submitted is not known: ", hub.logged())
    assert re.search(pending(job), hub.logged())
    system = make_batch_system(hub.toy.name, SYSTEMS[hub.toy.name])
    assert hub.state(hub.user)["job_id"] in system.parse_status(hub.toy.run(*system.status_command()))
    hub.toy.faults()
    hub.stop_server(hub.user)
    hub.assert_nothing_left()


@scenario()
def a_job_whose_submission_got_no_answer_is_found_by_its_name(hub):
    a_job_is_found_by_its_name(hub, "late")


@scenario()
def a_job_is_found_whose_submission_was_answered_by_something_else(hub):
    a_job_is_found_by_its_name(hub, "cut")


@scenario("slurm", "condor")
def a_job_is_found_whose_helper_was_killed_after_it_was_submitted(hub):
    a_job_is_found_by_its_name(hub, "kill")


@scenario("slurm", "pbs")
def a_job_that_appears_after_the_last_look_for_it_ends_itself(hub):
    hub.toy.faults(submit="later 20")
    before = len(hub.toy.store.jobs())
    event = hub.spawn(hub.user, {"environment": "light"})[-1]
    assert event.get("failed") and "did not answer in 2" in event["message"], event
    assert not hub.toy.jobs()
    wait_for(lambda: len(hub.toy.store.jobs()) > before, 30, lambda: "there is no such job", pause=0.2)
    hub.assert_nothing_left()
    job = hub.toy.store.jobs()[-1]
    assert job["state"] == "ended" and job["how"] != "ok" and not hub.servers(hub.user)


@scenario("slurm")
def a_job_that_appears_after_the_last_look_for_it_and_waits_is_cancelled(hub):
    hub.toy.control(hold="busy")
    hub.toy.faults(submit="later 20")
    assert hub.spawn(hub.user, {"environment": "light"})[-1].get("failed")
    wait_for(hub.toy.jobs, 30, lambda: "there is no such job", pause=0.2)
    wait_for(lambda: not hub.toy.jobs(), 40, lambda: "it waits", pause=0.2)
    hub.assert_nothing_left()
    assert re.search(rf"Job \S+ of {hub.user} came when it was given up, and is cancelled", hub.logged())


def pending(job):
    return rf"The session is pending user=.* job={job['number']}\b"


@scenario("slurm", "sge", "condor")
def a_hub_killed_while_it_submits_finds_the_job_again(hub):
    hub.toy.faults(submit="late")
    hub.toy.control(hold="busy")
    hub.begin(environment="light")
    wait_for(hub.toy.jobs, 20, lambda: "there is no job")
    assert hub.state(hub.user)["job_id"] == ""
    hub.stop(signal.SIGKILL)
    hub.toy.faults()
    hub.start()
    wait_for(lambda: hub.servers(hub.user).get("", {}).get("pending") == "spawn", 30, lambda: "the session is lost")
    event, = hub.progress(hub.user, until=lambda event: "is submitted" in event["message"])[-1:]
    assert event["message"].startswith("Job ")
    hub.toy.control()
    assert hub.progress(hub.user)[-1].get("ready")
    job, = hub.toy.jobs()
    assert re.search(pending(job), hub.logged())
    hub.stop_server(hub.user)
    hub.assert_nothing_left()


@scenario("slurm")
def a_hub_killed_before_there_is_a_job_leaves_nothing(hub):
    hub.toy.faults(submit="hang")
    before = len(hub.toy.calls("submit"))
    hub.begin(environment="light")
    wait_for(lambda: len(hub.toy.calls("submit")) > before, 20, lambda: "nothing is submitted")
    hub.stop(signal.SIGKILL)
    hub.toy.faults()
    hub.start()
    wait_for(lambda: not hub.servers(hub.user), 40, lambda: f"the session is still there: {hub.servers(hub.user)}")
    assert not hub.toy.jobs()
    hub.assert_nothing_left()
    assert "the Hub was restarted before there was a job" in hub.ended(hub.user)["why"]
    assert f"{hub.user} appears to have stopped while the Hub was down" in hub.logged()


@scenario("slurm", "pbs")
def a_cancel_is_owed_also_by_the_next_hub(hub):
    light_session(hub)
    hub.toy.faults(cancel="down")
    hub.stop_server(hub.user)
    owed = hub.directory / "jupyterhub_hpc_owed_cancels.json"
    assert hub.toy.jobs() and len(json.loads(owed.read_text())) == 1 and owed.stat().st_mode & 0o777 == 0o600
    assert re.search(rf"Job \S+ of {hub.user} could not be cancelled and will be tried again: ", hub.logged())
    hub.stop(signal.SIGKILL)
    hub.toy.faults()
    hub.start()
    hub.assert_nothing_left()
    wait_for(lambda: json.loads(owed.read_text()) == [], 20, lambda: f"it is still owed: {owed.read_text()}")
    assert re.search(rf"Job \S+ of {hub.user} is cancelled at last", hub.logged())


@scenario()
def a_cancel_that_failed_is_tried_again(hub):
    light_session(hub)
    fault = {"slurm": "refuse", "pbs": "down", "lsf": "refuse", "condor": "down"}.get(hub.toy.name, "hang")
    before = len(hub.toy.calls("cancel"))
    hub.toy.faults(cancel=fault)
    with ThreadPoolExecutor() as pool:
        stopping = pool.submit(hub.stop_server, hub.user)
        wait_for(lambda: len(hub.toy.calls("cancel")) > before, 10, lambda: "no cancel was tried")
        hub.toy.faults()
        stopping.result()
    assert [call["fault"] for call in hub.toy.calls("cancel")[before:]] == [fault, ""]
    hub.assert_nothing_left()
    assert hub.ended(hub.user) is None  # it was stopped here


@scenario("slurm", "sge")
def a_cancel_that_is_taken_and_not_heeded_is_tried_again(hub):
    light_session(hub)
    hub.toy.faults(cancel="ignore")
    hub.stop_server(hub.user)
    owed = hub.directory / "jupyterhub_hpc_owed_cancels.json"
    assert hub.toy.jobs() and json.loads(owed.read_text())
    hub.toy.faults()
    hub.assert_nothing_left()
    wait_for(lambda: json.loads(owed.read_text()) == [], 20, lambda: f"it is still owed: {owed.read_text()}")
    assert "The job was cancelled and has not ended yet; it will be cancelled again" in hub.logged()
    assert re.search(rf"Job \S+ of {hub.user} is cancelled at last", hub.logged())


@scenario("slurm", "pbs")
def answers_without_any_job_leave_no_job_without_its_session(hub):
    light_session(hub)
    hub.toy.faults(status="empty")
    assert_ends(hub)
    assert "The session has ended by itself: " in hub.logged()


# These start a real server and Dask, or a Hub anew, or wait for a job that does not end.
HEAVY = (a_job_has_what_the_form_asked_for_and_dask_on_its_nodes, a_killed_hub_finds_its_job_again,
         a_hub_killed_while_it_submits_finds_the_job_again, a_hub_killed_before_there_is_a_job_leaves_nothing,
         a_cancel_is_owed_also_by_the_next_hub, why_a_session_ended_is_told_until_the_next_start,
         a_stop_that_a_hub_did_not_finish_is_finished_by_the_next,
         a_hub_killed_while_a_job_waits_goes_on_waiting_and_can_cancel,
         a_server_that_answers_while_the_hub_is_away_is_there_when_it_is_back,
         a_cancel_that_is_taken_and_not_heeded_is_tried_again)


@pytest.mark.parametrize(("function", "system"), SCENARIOS,
                         ids=[f"{system}-{function.__name__}" for function, system in SCENARIOS])
def test_that(everywhere, function, system):
    everywhere.ends[function, system].result()
