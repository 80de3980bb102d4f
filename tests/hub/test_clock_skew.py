"""The nodes' clock is an hour ahead of the Hub's and the batch system's, or behind: nobody is told a wrong time."""
import re
import time
from datetime import datetime, timedelta, timezone

import pytest
from fakes.toy import nodes_can_have_names
from support import browser as chrome
from support.kernel import run_code
from support.running_hub import request, wait_for

ONLY = ("newest",)
# Imported by every Python of the job when it starts.
ANOTHER_CLOCK = """
import datetime, time
real, real_gmtime, real_date = time.time, time.gmtime, datetime.datetime
time.time = lambda: real() + {skew}
time.gmtime = lambda seconds=None: real_gmtime(time.time() if seconds is None else seconds)

class Skewed(real_date):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(time.time(), tz)

    @classmethod
    def utcnow(cls):
        return cls.utcfromtimestamp(time.time())

datetime.datetime = Skewed
"""
CARD = """
from jupyterhub_hpc_spawner.notebook import session
print(session())
"""


@pytest.fixture(scope="module")
def hub(environment, make_toy_hub, tmp_path_factory):
    if not nodes_can_have_names():
        pytest.skip("this account may not give a process a host name of its own")
    hub = make_toy_hub(tmp_path_factory.mktemp("clocks"), environment, "slurm", {},
                       'c.HPCSpawner.environment = {"JUPYTERHUB_ACTIVITY_INTERVAL": "1"}\n')
    hub.start().add_user(hub.user)
    yield hub
    hub.clean()
    hub.stop()


@pytest.mark.parametrize("skew", [3600, -3600], ids=["ahead", "behind"])
def test_steps_time_left_and_the_reason_of_the_end_are_right(hub, browser, skew):
    hub.clean()
    (hub.home / "sitecustomize.py").write_text(ANOTHER_CLOCK.format(skew=skew))
    (hub.home / ".jupyterhub.env").write_text('export PYTHONPATH="$HOME"\n')
    begin = time.time()
    events = hub.spawn(hub.user, {"environment": "test", "walltime": "30m"})
    assert events[-1].get("ready"), events
    for name in ("since", "time"):
        times = [event[name] for event in events if name in event]
        assert times and begin <= times[0] and times[-1] <= time.time() and times == sorted(times)
    card = run_code(hub.server_url, hub.user_token(hub.user), CARD)
    assert re.search(r"Time left +(29|30) min", card) and "ends soon" not in card, card
    with chrome.page(browser) as page:
        chrome.log_in(page, hub.url, hub.user)
        page.goto(f"{hub.url}/hub/home")
        assert re.search(r"\b(29|30) min left", page.inner_text(".hpc-home")), page.inner_text(".hpc-home")
    hub.toy.control(walltime=0)  # long before the job's own end of its walltime
    wait_for(lambda: not hub.servers(hub.user), 60, lambda: "the session does not end", pause=0.3)
    wait_for(lambda: "it reached its walltime" in hub.ended(hub.user)["why"], 30, lambda: hub.ended(hub.user))
    assert begin <= hub.ended(hub.user)["since"] <= time.time()
    hub.assert_nothing_left()


def test_a_session_in_use_is_not_idle_to_the_hub_where_its_node_is_behind(hub):
    hub.clean()
    (hub.home / "sitecustomize.py").write_text(ANOTHER_CLOCK.format(skew=-3600))
    (hub.home / ".jupyterhub.env").write_text('export PYTHONPATH="$HOME"\n')
    assert hub.spawn(hub.user, {"environment": "test"})[-1].get("ready")

    def known():
        return datetime.fromisoformat(hub.servers(hub.user)[""]["last_activity"])
    wait_for(lambda: known() + timedelta(seconds=4) < datetime.now(timezone.utc), 30, known, pause=0.3)  # its start
    used = datetime.now(timezone.utc)
    assert request("GET", f"{hub.server_url}api/contents", None, hub.user_token(hub.user)).status == 200
    wait_for(lambda: known() >= used, 30, lambda: f"{known()} is before {used}", pause=0.3)
    assert known() <= datetime.now(timezone.utc) + timedelta(seconds=1)
    hub.end_session()
    hub.assert_nothing_left()
