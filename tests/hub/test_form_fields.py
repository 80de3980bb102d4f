"""The form's fields in a real browser: they follow each other, show the site's names, and say what is gone."""
import time
from collections import Counter

import pytest
from support import browser as chrome
from support.running_hub import request, wait_for

ONLY = ("newest",)
INTERVAL = 2
SITE = """
c.HPCSpawner.info_interval = {interval}
c.HPCSpawner.choices = {
    "queue": {"normal": {"title": "Standard", "description": "for most work"}, "*": {}},
    "node_type": {"mc": {"title": "Multicore"}, "himem": {"title": "Large memory", "cores": 4}},
}
c.HPCSpawner.profiles = {"big": {"display_name": "Big", "options": {"queue": "low", "cores": 8}}}
"""


@pytest.fixture(scope="module")
def hub(environment, make_toy_hub, tmp_path_factory):
    hub = make_toy_hub(tmp_path_factory.mktemp("fields"), environment, "slurm", {})
    with open(hub.directory / "jupyterhub_config.py", "a") as config:
        config.write(SITE.replace("{interval}", str(INTERVAL)))
    hub.start().add_user(hub.user)
    yield hub
    hub.clean()
    hub.stop()


@pytest.fixture
def idle(hub):
    hub.clean()
    yield hub
    hub.clean()


def preview(hub, values, token):
    return request("POST", f"{hub.url}/hub/api/hpc-spawner/preview", values, token).json


def open_form(page, hub, query=""):
    chrome.log_in(page, hub.url, hub.user)
    page.goto(f"{hub.url}/hub/spawn/{hub.user}{query}")


def unfold(page):
    page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")


def offered(page, name):
    """The values that can be chosen, without the open one."""
    return page.eval_on_selector_all(f"#hpc-{name} option", "all => all.filter(o => o.value && !o.disabled)"
                                                            ".map(o => o.value)")


def test_to_look_at_a_preset_loses_nothing_that_was_typed(idle, browser):
    with chrome.page(browser) as page:
        open_form(page, idle)
        unfold(page)
        page.fill("#hpc-cores", "3")
        page.click("label:has-text('Big')")
        assert page.input_value("#hpc-cores") == "8"
        page.click("label:has-text('My own choice')")
        assert page.input_value("#hpc-cores") == "3"


def test_limits_and_choices_follow_the_queue_and_the_node_type(idle, browser):
    with chrome.page(browser) as page:
        open_form(page, idle)
        unfold(page)
        page.wait_for_selector("#hpc-cores[max='8']")
        page.select_option("#hpc-node_type", "himem")
        page.wait_for_selector("#hpc-cores[max='4']")
        assert page.inner_text("#hpc-cores-help") == "At most 4 on Large memory nodes in queue Standard."
        assert page.get_attribute("#hpc-nodes", "max") == "2" and offered(page, "gpu_type") == ["a100"]
        assert page.get_attribute("#hpc-walltime", "placeholder") == "00:30:00", "what an open walltime means"
        chrome.picture(page, "form-node-type")
        assert page.inner_text(".hpc-free [aria-current=true] th") == "Standard", "the default queue"
        page.select_option("#hpc-queue", "debug")
        assert page.inner_text(".hpc-free [aria-current=true]").split() == "debug 1 of 1 8 of 8 –".split()
        page.wait_for_selector("#hpc-node_type-error:not([hidden])")
        assert "Large memory does not go with this queue" in page.inner_text("#hpc-node_type-error")
        assert page.input_value("#hpc-node_type") == "himem", "nothing that was chosen is lost"
        assert "choose one of Multicore (mc)" in page.inner_text("#hpc-node_type-error")
        assert page.locator(".hpc-theme-facts").all_text_contents()[1] == "Large memory"
        chrome.picture(page, "form-does-not-fit")
        page.select_option("#hpc-node_type", "mc")
        page.wait_for_selector("#hpc-node_type-error", state="hidden")
        assert offered(page, "node_type") == ["mc"] and not offered(page, "gpu_type")


def test_the_sites_names_are_shown_and_the_batch_systems_are_sent(idle, browser):
    with chrome.page(browser) as page:
        open_form(page, idle)
        texts = page.locator("#hpc-queue option").all_text_contents()
        assert texts[:2] == ["Standard, the default (4 of 4 nodes idle, up to 1-00:00:00)",
                             "Standard: for most work (4 of 4 nodes idle, up to 1-00:00:00)"]
        assert offered(page, "queue") == ["normal", "debug", "low"]
        assert page.locator("#hpc-node_type option").all_text_contents()[1:] == [
            "Multicore (4 of 4 nodes idle, up to 8 cores, 64G, up to 2 a100)",
            "Large memory (2 of 2 nodes idle, 4 cores, 64G, 2 a100)"]
        assert page.locator("#hpc-gpu_type option").last.text_content() == "a100 (2 of 2 nodes idle, 2 per node)"
        unfold(page)
        page.select_option("#hpc-node_type", "himem")
        page.wait_for_selector("#hpc-cores[max='4']")
        chrome.picture(page, "form-node-facts")
    with chrome.page(browser, dark=True, phone=True) as page:
        open_form(page, idle)
        unfold(page)
        assert chrome.fits(page), "the words of a choice are cut, the page is not widened"
        chrome.picture(page, "form-node-facts-dark-phone")


def test_a_saved_choice_that_is_gone_says_so_when_the_form_opens(idle, browser):
    values = {"environment": "light", "queue": "low", "nodes": 2, "memory": "4G"}
    assert idle.spawn(idle.user, values)[-1].get("ready")
    idle.end_session()
    idle.toy.control(gone=["low"])
    said = "No longer possible: there is no 'low' here; choose one of Standard (normal), debug"
    for dark, phone in ((False, False), (True, False), (False, True)):
        with chrome.page(browser, dark, phone) as page:
            open_form(page, idle)
            # A view has the cluster asked again, and shows what was known before.
            wait_for(lambda: "No longer" in page.request.get(page.url).text(), 30, lambda: "the queue is still offered")
            with page.expect_response("**/api/hpc-spawner/preview"):
                page.reload()
            page.wait_for_selector("#hpc-cores:not([max])", state="attached")
            assert page.inner_text("#hpc-queue-error") == said, "the first check does not take it away"
            unfold(page)
            assert (page.input_value("#hpc-nodes"), page.input_value("#hpc-memory")) == ("2", "4G"), "the rest is kept"
            chrome.picture(page, f"form-gone{'-dark' if dark else ''}{'-phone' if phone else ''}")
    with chrome.page(browser) as page:
        open_form(page, idle)
        page.select_option("#hpc-queue", "debug")
        page.wait_for_selector("#hpc-queue-error", state="hidden")


def test_a_link_with_a_limit_too_high_says_so_at_once(idle, browser):
    with chrome.page(browser) as page:
        open_form(page, idle, "?opt-queue=normal&opt-cores=99&opt-profile=unheard-of&opt-memory=1G")
        assert page.inner_text("#hpc-cores-error") == "at most 8 in queue Standard"
        assert "there is no 'unheard-of' here" in page.inner_text("#hpc-profile-error")
        assert page.input_value("#hpc-memory") == "1G"


def test_looking_at_the_form_runs_no_command_but_the_refresh(idle, browser):
    """However often one looks: what is known is asked for anew after an interval, whoever looks."""
    token, views = idle.user_token(idle.user), 60
    with chrome.page(browser) as page:
        open_form(page, idle)
        before, begun = kinds(idle), time.monotonic()
        for _ in range(views):
            assert 'id="hpc-queue"' in page.request.get(page.url).text()
            assert preview(idle, {"queue": "normal", "nodes": 2}, token)["errors"] == {}
        refreshes = (time.monotonic() - begun) / INTERVAL + 2
    after = kinds(idle)
    assert after["sinfo"] - before["sinfo"] <= refreshes < views
    assert after.keys() == before.keys() and all(
        after[name] - before[name] <= 2 * refreshes for name in after)


def kinds(hub):
    """How often each of the batch system's programs was run."""
    return Counter(call["program"] for kind in ("info", "show", "submit", "cancel") for call in hub.toy.calls(kind))


def test_a_mistake_of_the_site_is_told_at_the_hubs_start_and_in_words(hub_with, browser):
    """Never as an error without words, and not to the log at every key."""
    hub = hub_with('c.HPCSpawner.choices = {"queue": {"normal": {"max_wall": "8h"}}}')
    words = "choices['queue']['normal']['max_wall']: is not a setting here"
    assert f"HPCSpawner: {words}" in hub.log.read_text(), "before anyone came"
    answer = request("POST", f"{hub.url}/hub/api/hpc-spawner/preview", {}, hub.user_token(hub.user))
    assert answer.status == 503 and words in answer.json["message"]
    with chrome.page(browser) as page:
        open_form(page, hub)
        assert words in page.inner_text("body") and "needs its administrator" in page.inner_text("body")
        chrome.picture(page, "form-configuration")
    assert "Traceback" not in hub.log.read_text()
