"""What befalls sessions on a real Slurm: nothing is lost, nothing is left, and the user reads why."""
import os
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support import browser as chrome
from support.kernel import Kernel, run_code
from support.running_hub import server_path, wait_for

ONLY = ("slurm",)


@pytest.fixture
def controller(idle):
    """Ends slurmctld; it comes back at the test's end at the latest."""
    configuration = idle.cluster.environment["SLURM_CONF"]
    pid = Path(re.search("SlurmctldPidFile=(.*)", Path(configuration).read_text())[1])

    class Controller:
        away = False

        def stop(self):
            os.kill(int(pid.read_text()), signal.SIGTERM)
            self.away = True

        def start(self):
            command = f"/usr/sbin/slurmctld -f {configuration} </dev/null >/dev/null 2>&1"
            idle.cluster.run("root", "sh", "-c", command, check=True)
            self.away = False

    controller = Controller()
    yield controller
    if controller.away:
        controller.start()


def ended(hub, why):
    """What the Hub keeps of why alice's session ended, once the batch system has told it."""
    wait_for(lambda: not hub.servers("alice"), 60, lambda: "the Hub does not notice", pause=0.3)
    wait_for(lambda: why in hub.ended("alice")["why"], 60, lambda: hub.ended("alice"), pause=0.3)
    hub.assert_nothing_left("alice")
    assert "The session has ended by itself: " in hub.logged()
    return hub.ended("alice")


def test_without_its_controller_sessions_live_and_a_stop_is_owed(idle, controller):
    assert idle.spawn("alice", {"cores": 1})[-1].get("ready")
    job, = idle.cluster.jobs("alice")
    controller.stop()
    seen = len(idle.log.read_text())
    wait_for(lambda: "could not be asked" in idle.log.read_text()[seen:], 60, lambda: "the Hub does not notice")
    assert idle.servers("alice")[""]["ready"]
    assert idle.api("DELETE", "/users/alice/server").status in (202, 204)
    owed = f"Job {job} of alice could not be cancelled and will be tried again"
    wait_for(lambda: owed in idle.log.read_text(), 60, lambda: "the Hub does not cancel")
    controller.start()
    wait_for(lambda: f"Job {job} of alice is cancelled at last" in idle.log.read_text(), 60, lambda: "still owed")
    wait_for(lambda: not idle.servers("alice"), 60, lambda: "the session is still there")
    idle.assert_nothing_left("alice")
    assert idle.ended("alice") is None


@pytest.mark.skipif(not os.environ.get("HPC_TEST_SLOW"), reason="takes ten minutes: HPC_TEST_SLOW=1 runs it")
def test_ten_minutes_without_its_controller_lose_nothing(idle, controller):
    assert idle.spawn("alice", {"cores": 1})[-1].get("ready")
    idle.api("POST", f"/users/alice/{server_path('waits')}", {"user_options": {"nodes": 3, "cores": 4}})
    idle.progress("alice", "waits", until=lambda event: "waiting in the queue" in event["message"])
    jobs = idle.cluster.jobs("alice")
    controller.stop()
    begin = time.monotonic()

    def is_well():
        """Nobody waits for an answer meanwhile, either."""
        asked = time.monotonic()
        servers = idle.servers("alice")
        assert time.monotonic() - asked < 2 and servers[""]["ready"] and servers["waits"]["pending"] == "spawn", servers
        return time.monotonic() - begin > 600
    wait_for(is_well, 700, str, pause=5)
    controller.start()
    assert sorted(idle.cluster.jobs("alice")) == sorted(jobs)
    token = idle.user_token("alice")
    assert run_code(idle.server_url("alice"), token, "print(6 * 7)") == "42\n"
    idle.progress("alice", "waits", until=lambda event: "waiting in the queue" in event["message"])
    idle.stop_server("alice", "waits")
    wait_for(lambda: len(idle.cluster.jobs("alice")) == 1, 60, lambda: idle.cluster.jobs("alice"), pause=0.5)
    assert idle.servers("alice")[""]["ready"]
    idle.stop_server("alice")
    idle.assert_nothing_left("alice")


def test_a_session_that_is_preempted_says_so(idle):
    assert idle.spawn("alice", {"cores": 4, "nodes": 3, "queue": "low"})[-1].get("ready")
    filler = idle.cluster.fill("bob")
    try:
        assert ended(idle, "a more important job took its nodes")["words"].startswith("PREEMPTED")
    finally:
        idle.cluster.cancel("bob", filler)


@pytest.mark.parametrize("options", [{"node_type": "himem"}, {"nodes": 3, "dask": True, "dask_workers_per_node": 1}],
                         ids=["the only one", "one of three"])
def test_a_session_whose_node_fails_says_so(idle, browser, options):
    assert idle.spawn("alice", {"cores": 1, **options})[-1].get("ready")
    idle.cluster.admin("scontrol", "update", "NodeName=n3", "State=DOWN", "Reason=test")
    try:
        assert ended(idle, "one of its nodes failed")["words"].startswith("NODE_FAIL")
        with chrome.page(browser) as page:
            chrome.log_in(page, idle.url, "alice")
            page.goto(f"{idle.url}/hub/home")
            assert re.search("one of its nodes failed.*Start it again: it gets other nodes", page.inner_text(
                ".hpc-home li[data-server='']"), re.DOTALL)
    finally:  # ReturnToService=2: it may be back by itself, and cannot be resumed then
        idle.cluster.run("root", "scontrol", "update", "NodeName=n3", "State=RESUME")
        wait_for(lambda: "idle" in idle.cluster.run("alice", "sinfo", "-h", "-n", "n3", "-o", "%T").stdout, 60,
                 lambda: "n3 does not come back", pause=0.3)


CARD = """
from jupyterhub_hpc_spawner.notebook import session
print(session())
"""


@pytest.mark.skipif(not os.environ.get("HPC_TEST_SLOW"), reason="takes two minutes: HPC_TEST_SLOW=1 runs it")
def test_who_reaches_the_walltime_was_told_before_and_is_told_after(idle, browser):
    """Slurm counts in minutes, and warns up to a minute before it must."""
    assert idle.spawn("alice", {"cores": 1, "walltime": "2m"})[-1].get("ready")
    job, = idle.cluster.jobs("alice")
    card = run_code(idle.server_url("alice"), idle.user_token("alice"), CARD)
    assert "The job ends soon, and everything in it: save your work." in card, card
    wait_for(lambda: not idle.servers("alice"), 240, lambda: "its walltime is over, and it runs", pause=1)
    assert ended(idle, "it reached its walltime")["job_id"] == job
    with chrome.page(browser) as page:
        chrome.log_in(page, idle.url, "alice")
        page.goto(f"{idle.url}/hub/home")
        assert re.search("it reached its walltime of 0:02 h.*Ask for more walltime", page.inner_text(
            ".hpc-home li[data-server='']"), re.DOTALL)


def test_five_servers_started_at_once_have_a_job_each_and_leave_nothing(idle):
    names = [f"s{number}" for number in range(5)]

    def each(method, body=None):
        with ThreadPoolExecutor() as pool:
            answers = pool.map(lambda name: idle.api(method, f"/users/alice/{server_path(name)}", body), names)
            assert {answer.status for answer in answers} <= {201, 202, 204}

    each("POST", {"user_options": {"cores": 1}})
    wait_for(lambda: sum(server["ready"] for server in idle.servers("alice").values()) == 5, 90,
             lambda: idle.servers("alice"), pause=0.3)
    jobs = {idle.state("alice", name)["job_id"] for name in names}
    assert len(jobs) == 5 and sorted(jobs) == sorted(idle.cluster.jobs("alice"))
    each("DELETE")
    wait_for(lambda: not idle.servers("alice"), 60, lambda: idle.servers("alice"), pause=0.3)
    idle.assert_nothing_left("alice")
    assert not any(idle.ended("alice", name) for name in names)


@pytest.fixture
def small(hub):
    """Alice's session on one core; the next test that wants one takes the same."""
    if not hub.servers("alice"):
        assert hub.spawn("alice", {"cores": 1})[-1].get("ready")
    return hub


def test_a_suspended_session_is_shown_as_such_and_goes_on_when_it_is_resumed(small, browser):
    job, = small.cluster.jobs("alice")
    with (Kernel(small.server_url("alice"), small.user_token("alice")) as kernel, chrome.page(browser) as page):
        kernel.run("before = 42")
        chrome.log_in(page, small.url, "alice")

        def home():
            page.goto(f"{small.url}/hub/home")
            return page.inner_text(".hpc-home li[data-server='']")

        small.cluster.admin("scontrol", "suspend", job)
        try:
            wait_for(lambda: f"Job {job} on n1 is suspended by the batch system." in home(), 30, home, pause=0.3)
            assert "Suspended" in home() and small.servers("alice")[""]["ready"]
        finally:
            small.cluster.admin("scontrol", "resume", job)
        assert kernel.run("print(before)").strip() == "42"
        wait_for(lambda: "Running" in home(), 30, home, pause=0.3)
    assert small.cluster.jobs("alice") == [job]


def test_a_session_that_is_put_back_into_the_queue_is_over_and_its_job_cancelled(small):
    job, = small.cluster.jobs("alice")
    # Slurm refuses, as its script said --no-requeue; an administrator has the last word.
    refused = small.cluster.run("root", "scontrol", "requeue", job)
    assert "Requested operation is presently disabled" in refused.stderr and small.servers("alice")[""]["ready"]
    small.cluster.admin("scontrol", "update", f"JobId={job}", "Requeue=1")
    small.forget_log()
    small.cluster.admin("scontrol", "requeue", job)
    assert ended(small, "put its job back into the queue")["job_id"] == job


def test_a_hub_killed_while_a_job_waits_goes_on_waiting_and_can_cancel(idle):
    def waits(event):
        return "waiting in the queue" in event["message"]

    filler = idle.cluster.fill("bob")
    try:
        assert idle.api("POST", "/users/alice/server", {"user_options": {"cores": 1}}).status == 202
        idle.progress("alice", until=waits)
        jobs = idle.cluster.jobs("alice")
        idle.stop(signal.SIGKILL)
        idle.start()
        wait_for(lambda: idle.servers("alice").get("", {}).get("pending") == "spawn", 30, lambda: "it is lost")
        idle.progress("alice", until=waits)
        assert len(jobs) == 1 and idle.cluster.jobs("alice") == jobs
        idle.stop_server("alice")
        idle.assert_nothing_left("alice")
        assert idle.ended("alice") is None
    finally:
        idle.cluster.cancel("bob", filler)


def test_a_stop_that_a_killed_hub_did_not_finish_is_finished_by_the_next(idle):
    assert idle.spawn("alice", {"cores": 1})[-1].get("ready")
    idle.forget_log()
    with ThreadPoolExecutor() as pool:
        stopping = pool.submit(idle.api, "DELETE", "/users/alice/server")
        wait_for(lambda: "The session is stopped" in idle.logged(), 20, lambda: "the Hub does not stop it", pause=0.01)
        idle.stop(signal.SIGKILL)
        stopping.exception()  # nobody answers it, or the proxy does
    idle.start()
    wait_for(lambda: not idle.servers("alice"), 60, lambda: "the session is still there")
    assert "The session is stopped" in idle.logged() and "has not ended yet" not in idle.logged()
    idle.assert_nothing_left("alice")
    assert idle.ended("alice") is None
