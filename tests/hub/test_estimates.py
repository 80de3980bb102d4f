"""When would it start, and what is left to pay for it: asked of a toy Slurm while users fill in the form."""
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from support import browser as chrome
from support.running_hub import request, wait_for

ONLY = ("newest",)
PROFILES = """
c.HPCSpawner.profiles = {
    "small": {"display_name": "Small", "description": "One core for an hour.",
              "options": {"cores": 1, "walltime": "1h"}},
    "wide": {"display_name": "Wide", "description": "Many nodes with Dask.",
             "options": {"nodes": 4, "cores": 8, "dask": True}},
    "gone": {"display_name": "Of old", "options": {"queue": "nowhere"}},
}
"""
LEFT = "1,100 core-hours left"


@pytest.fixture(scope="module")
def hub(environment, make_toy_hub, tmp_path_factory):
    hub = make_toy_hub(tmp_path_factory.mktemp("estimates"), environment, "slurm", {})
    with open(hub.directory / "jupyterhub_config.py", "a") as config:
        config.write(PROFILES)
    try:
        hub.start()
        hub.add_user(hub.user)
        token = hub.user_token(hub.user)
        wait_for(lambda: settled(hub, {}, token)["wait"], 60, lambda: "the Hub learns nothing of Slurm", pause=0.3)
        yield hub
    finally:
        hub.clean()
        hub.stop()


@pytest.fixture(scope="module")
def numbers():
    """Walltimes that no other test asks for."""
    return iter(range(61, 1000))


def preview(hub, values, token):
    begin = time.monotonic()
    answer = request("POST", f"{hub.url}/hub/api/hpc-spawner/preview", values, token)
    assert answer.status == 200 and not answer.json["errors"], answer
    return {**answer.json, "took": time.monotonic() - begin}


def settled(hub, values, token):
    return wait_for(lambda: (found := preview(hub, values, token)) and not found["asking"] and found, 60,
                    lambda: f"no estimate; the Hub's log:\n{hub.log.read_text()[-2000:]}", pause=0.3)


def questions(hub):
    return len(hub.toy.calls("estimate"))


def test_it_comes_after_the_first_answer_and_leaves_nothing_behind(hub, numbers):
    token, values = hub.user_token(hub.user), {"walltime": next(numbers), "nodes": 2, "account": "geo"}
    hub.toy.control(estimate=1205)
    before = questions(hub)
    first = preview(hub, values, token)
    assert first["asking"] and first["start"] is None and "nodes are idle (estimate)" in first["wait"]
    later = settled(hub, values, token)
    assert later["wait"] == "Would start at about {time}, in 20 min (Slurm's estimate)"
    assert abs(later["start"] - time.time() - 1205) < 60 and later["cost"].endswith(f"{LEFT} on geo")
    assert preview(hub, values, token)["start"] == later["start"] and questions(hub) == before + 1
    assert not hub.toy.store.jobs() and not hub.servers(hub.user) and not list(hub.home.glob("sessions/*"))
    assert not hub.toy.strange


def test_a_class_that_types_does_not_load_the_batch_system(hub, numbers):
    tokens = [hub.add_user(f"student{number}").user_token(f"student{number}") for number in range(12)]
    before, begin = questions(hub), time.monotonic()
    with ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(preview, hub, {"walltime": next(numbers)}, token) for _ in range(10) for token in tokens]
        answers = [each.result() for each in asked]
    same = {"walltime": next(numbers), "account": "geo"}
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda token: settled(hub, same, token), tokens))
    most = time.monotonic() - begin + 1
    assert all(answer["asking"] for answer in answers) and max(answer["took"] for answer in answers) < 10
    assert 1 <= questions(hub) - before <= most < 60
    times = [call["time"] for call in hub.toy.calls("estimate")[before:]]
    assert all(later - earlier >= 1 for earlier, later in zip(times, times[1:])), "one at a time, with a pause"


def test_the_same_request_of_a_whole_account_is_one_question(hub, numbers):
    tokens = [hub.add_user(f"pupil{number}").user_token(f"pupil{number}") for number in range(6)]
    before, same = questions(hub), {"walltime": next(numbers), "account": "geo"}
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda token: settled(hub, same, token), tokens))
    assert questions(hub) == before + 1 and all(answer["start"] for answer in found)


PROBLEM = "Slurm would not start this as it stands: Requested node configuration is not available"


@pytest.mark.parametrize(("dark", "phone"), [(False, False), (True, False), (False, True)])
def test_the_page_shows_it_and_what_slurm_refuses(hub, browser, numbers, dark, phone):
    name = f"{'-dark' if dark else ''}{'-phone' if phone else ''}"
    hub.toy.control(estimate=1205)
    with chrome.page(browser, dark, phone) as page:
        chrome.log_in(page, hub.url, hub.user)
        page.goto(f"{hub.url}/hub/spawn/{hub.user}")
        page.eval_on_selector_all("details", "all => all.forEach((each) => { each.open = true; })")
        assert LEFT in page.inner_text("#hpc-account option[value=geo]")
        page.select_option("#hpc-account", "geo")
        page.fill("#hpc-cores", "8")
        page.fill("#hpc-walltime", f"{next(numbers)}m")
        page.wait_for_selector(".hpc-outlook-wait:has-text('in 20 min')", timeout=60000)
        assert re.search(r"Would start at about .*\d\d.*, in 20 min", page.inner_text(".hpc-outlook-wait"))
        chrome.picture(page, f"estimate{name}")
        hub.toy.faults(estimate="refuse")
        page.fill("#hpc-walltime", f"{next(numbers)}m")
        page.wait_for_selector(f".hpc-outlook-problem:has-text('{PROBLEM}')", timeout=60000)
        assert page.locator("#start-spawn, [type=submit]").first.is_enabled()
        chrome.picture(page, f"estimate-refused{name}")
        hub.toy.faults()
        page.fill("#hpc-nodes", "4")
        page.fill("#hpc-walltime", "1d")
        page.fill("#hpc-cores", "8")
        page.wait_for_selector(".hpc-outlook-cost:has-text('768 core-hours; 1,100 core-hours left on geo')")


def test_what_slurm_refuses_of_one_field_is_said_beside_it_and_may_be_started(hub, browser, numbers):
    said = "Slurm would not start this as it stands: Invalid account or account/partition combination specified"
    hub.toy.faults(estimate="refuse account")
    with chrome.page(browser) as page:
        chrome.log_in(page, hub.url, hub.user)
        page.goto(f"{hub.url}/hub/spawn/{hub.user}")
        page.click("summary:has-text('Resources')")
        page.fill("#hpc-walltime", f"{next(numbers)}m")
        page.wait_for_selector(f"#hpc-account-error:has-text('{said}')", timeout=60000)
        assert page.inner_text(".hpc-outlook-problem") == said and page.locator(".is-invalid").count() == 1
        described = page.get_attribute("#hpc-account", "aria-describedby").split()
        assert page.get_attribute("#hpc-account", "aria-invalid") == "true" and described[0] == "hpc-account-error"
        chrome.picture(page, "estimate-refused-account")
        hub.toy.faults()
        page.fill("#hpc-walltime", f"{next(numbers)}m")
        page.wait_for_selector("#hpc-account-error", state="hidden", timeout=60000)
        hub.toy.faults(estimate="refuse account")
        page.fill("#hpc-walltime", f"{next(numbers)}m")
        page.wait_for_selector(f"#hpc-account-error:has-text('{said}')", timeout=60000)
        page.click("#spawn_form [type=submit]")
        page.wait_for_url(lambda url: "/hub/spawn/" not in url, timeout=60000)
    hub.clean()


def test_cards_say_what_they_cost_and_whether_they_wait(hub, browser, numbers):
    settled(hub, {"walltime": next(numbers)}, hub.user_token(hub.user))  # after all that pages before still asked for
    before, lines = questions(hub), {}
    with chrome.page(browser, javascript=False) as page:
        chrome.log_in(page, hub.url, hub.user)

        def free():
            """The session of the test before may still be counted."""
            page.goto(f"{hub.url}/hub/spawn/{hub.user}")
            lines.update((card.locator("label").inner_text(), card.inner_text().splitlines())
                         for card in page.locator(".hpc-card").all())
            return lines["Wide"][-1] == "Should start at once (estimate)"
        wait_for(free, 90, lambda: lines, pause=1)
        chrome.picture(page, "estimate-cards")
    for name, cost in (("Small", "At most 1 node-hour, 1 core-hour"), ("Wide", "Up to 2 node-hours, 16 core-hours")):
        assert lines[name][-2:] == [cost, "Should start at once (estimate)"]
    assert "estimate" not in " ".join(lines["Of old"])
    assert questions(hub) == before, "cards ask nothing"


def test_a_batch_system_that_hangs_holds_no_page(hub, numbers):
    token = hub.user_token(hub.user)
    hub.toy.faults(estimate="hang")
    values = {"walltime": next(numbers)}
    assert preview(hub, values, token)["asking"]
    before = questions(hub)
    wait_for(lambda: questions(hub) > before or not preview(hub, values, token)["asking"], 60, lambda: "nobody asked")
    found = settled(hub, values, token)
    assert found["start"] is None and "nodes are idle (estimate)" in found["wait"] and found["took"] < 10
    assert "No estimates of starts for 30 s: sbatch did not answer in 2" in hub.log.read_text()
    asked = questions(hub)
    assert not preview(hub, {"walltime": next(numbers)}, token)["asking"] and questions(hub) == asked
