"""Queues that are for some, by real lists of users."""
import pytest
from support import system_hub
from support.running_hub import request, wait_for

ONLY = ("sge",)


@pytest.fixture
def hub(cluster):
    """Queue debug.q is for the users in bio-users: alice, not bob."""
    cluster.admin("qconf", "-mattr", "queue", "user_lists", "bio-users", "debug.q")
    with system_hub.hub_directory() as directory:
        hub = system_hub.SystemHub(directory, cluster).start().add_user("alice").add_user("bob")
        yield hub
        hub.stop()
    cluster.admin("qconf", "-dattr", "queue", "user_lists", "bio-users", "debug.q")


def test_a_queue_is_offered_to_those_whom_its_list_lets_in(hub):
    def check(user):
        values = {"queue": "debug.q", "nodes": 1}
        return request("POST", f"{hub.url}/hub/api/hpc-spawner/preview", values, hub.user_token(user)).json
    wait_for(lambda: check("alice").get("wait"), 30, lambda: "the Hub learns nothing of Grid Engine", pause=0.2)
    assert check("alice")["errors"] == {}
    assert check("bob")["errors"] == {"queue": "debug.q is for others; choose one of main.q"}
