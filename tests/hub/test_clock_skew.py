"""The nodes' clock is an hour ahead of the Hub's and the batch system's, or behind: nobody is told a wrong time."""
import re
import time

import pytest
from fakes.toy import nodes_can_have_names
from support import browser as chrome
from support.kernel import run_code
from support.running_hub import wait_for

ONLY = ("newest",)
# Imported by every Python of the job when it starts.
ANOTHER_CLOCK = """
import time
real = time.time
time.time = lambda: real() + {skew}
"""
CARD = """
from jupyterhub_hpc_spawner.notebook import session
print(session())
"""


@pytest.fixture(scope="module")
def hub(environment, make_toy_hub, tmp_path_factory):
    if not nodes_can_have_names():
        pytest.skip("this account may not give a process a host name of its own")
    hub = make_toy_hub(tmp_path_factory.mktemp("clocks"), environment, "slurm", {})
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
