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
    """Kills slurmctld; it comes back at the test's end at the latest."""
    configuration = idle.cluster.environment["SLURM_CONF"]
    pid = Path(re.search("SlurmctldPidFile=(.*)", Path(configuration).read_text())[1])

    class Controller:
        away = False

        def kill(self):
            os.kill(int(pid.read_text()), signal.SIGKILL)
            self.away = True

        def start(self):
            idle.cluster.admin("slurmctld", "-f", configuration, stdin=-3, stdout=-3, stderr=-3)
            self.away = False
            wait_for(lambda: "UP" in idle.cluster.run("alice", "scontrol", "ping").stdout, 30, lambda: "no slurmctld")

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
    controller.kill()
    seen = len(idle.log.read_text())
    wait_for(lambda: "could not be asked" in idle.log.read_text()[seen:], 60, lambda: "the Hub does not notice")
    assert idle.servers("alice")[""]["ready"]
    idle.stop_server("alice")
    assert f"Job {job} of alice could not be cancelled and will be tried again" in idle.log.read_text()
    controller.start()
    idle.assert_nothing_left("alice")
    wait_for(lambda: f"Job {job} of alice is cancelled at last" in idle.log.read_text(), 60, lambda: "still owed")
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
    finally:
        idle.cluster.admin("scontrol", "update", "NodeName=n3", "State=RESUME")
