"""A site where users, the Hub's account among them, do not see each other's jobs: sessions live and end as ever."""
import pytest
from support.running_hub import wait_for

# Grid Engine shows all jobs to everybody.
ONLY = ("slurm", "pbs")


@pytest.fixture
def hidden(idle):
    idle.cluster.hide_jobs(True)
    yield idle
    idle.cluster.hide_jobs(False)


def asked(hub):
    return hub.log.read_text().count("hides other users' jobs")


def test_a_session_that_the_hub_does_not_see_lives_until_its_owner_does_not_see_it_either(hidden):
    assert hidden.spawn("alice", {})[-1].get("ready")
    wait_for(lambda: asked(hidden), 60, lambda: "the Hub has not noticed that it does not see the job")
    assert hidden.spawn("bob", {})[-1].get("ready") and hidden.servers("alice")
    hidden.stop_server("bob")
    assert hidden.servers("alice") and asked(hidden) == 1
    # Killed, so that the job says no goodbye: only the batch system knows.
    hidden.cluster.kill("alice", *hidden.cluster.jobs("alice"))
    wait_for(lambda: not hidden.servers("alice"), 90, lambda: "the Hub does not notice the end")
    hidden.assert_nothing_left("alice")
