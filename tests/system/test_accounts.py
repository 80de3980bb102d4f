"""Whom the Hub runs as: an account with a sudoers line (all other tests), root, or one that may do nothing."""
import pytest
from support import system_hub
from support.system_hub import SystemHub

ONLY = ("slurm",)


@pytest.fixture
def other_hub(idle, request):
    """A second Hub of the same cluster, run by another account."""
    with system_hub.hub_directory() as directory:
        hub = SystemHub(directory, idle.cluster, account=request.param).start()
        hub.add_user("alice").add_user("nobody-here")
        yield hub
        hub.end_sessions()
        hub.stop()


@pytest.mark.parametrize("other_hub", ["root"], indirect=True)
def test_root_needs_no_sudo_and_starts_nothing_as_root(other_hub):
    assert other_hub.spawn("alice", {"account": "geo"})[-1].get("ready")
    job = other_hub.state("alice")["job_id"]
    assert "UserId=alice(" in other_hub.cluster.run("alice", "scontrol", "show", "job", job).stdout
    other_hub.stop_server("alice")
    other_hub.assert_nothing_left("alice")


@pytest.mark.parametrize("other_hub", ["daemon"], indirect=True)
def test_an_account_without_the_sudoers_line_is_told_so(other_hub):
    event = other_hub.spawn("alice", {})[-1]
    assert event.get("failed") and "could not act as alice: sudo:" in event["message"]
    event = other_hub.spawn("nobody-here", {})[-1]
    assert event.get("failed") and "there is no system user nobody-here" in event["message"]
