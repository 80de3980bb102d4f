"""What befalls sessions on a real Slurm: nothing is lost, nothing is left, and the user reads why."""
import os
import re
import signal
from pathlib import Path

import pytest
from support.running_hub import wait_for

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


def ended(hub):
    """Why alice's session ended, once the batch system has said so."""
    wait_for(lambda: not hub.servers("alice"), 60, lambda: "the Hub does not notice", pause=0.3)
    wait_for(lambda: hub.ended("alice")["words"], 60, lambda: hub.ended("alice"), pause=0.3)
    hub.assert_nothing_left("alice")
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


def test_a_session_that_is_preempted_says_so(idle):
    assert idle.spawn("alice", {"cores": 4, "nodes": 3, "queue": "low"})[-1].get("ready")
    filler = idle.cluster.fill("bob")
    try:
        told = ended(idle)
        assert "a more important job took its nodes" in told["why"] and told["words"].startswith("PREEMPTED"), told
    finally:
        idle.cluster.cancel("bob", filler)


def test_a_session_whose_node_fails_says_so(idle):
    assert idle.spawn("alice", {"cores": 1, "node_type": "himem"})[-1].get("ready")
    idle.cluster.admin("scontrol", "update", "NodeName=n3", "State=DOWN", "Reason=test")
    try:
        told = ended(idle)
        assert "one of its nodes failed" in told["why"] and told["words"].startswith("NODE_FAIL"), told
    finally:  # ReturnToService=2: it may be back by itself, and cannot be resumed then
        idle.cluster.run("root", "scontrol", "update", "NodeName=n3", "State=RESUME")
        wait_for(lambda: "idle" in idle.cluster.run("alice", "sinfo", "-h", "-n", "n3", "-o", "%T").stdout, 60,
                 lambda: "n3 does not come back", pause=0.3)
