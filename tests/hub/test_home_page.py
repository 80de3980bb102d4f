"""The Hub's home page: per server its queue state, or its node and the time left, and the way there; without script."""
import re
import time

import pytest
from support import browser as chrome
from support.running_hub import wait_for

LIGHT = {"environment": "light", "walltime": "2h"}
LOOKS = [(False, False), (True, False), (False, True)]


@pytest.fixture(scope="module")
def hub(environment, make_toy_hub, tmp_path_factory):
    hub = make_toy_hub(tmp_path_factory.mktemp("home"), environment, "slurm", {})
    hub.start()
    hub.add_user(hub.user)
    yield hub
    hub.clean()
    hub.stop()


def stop_all(hub):
    for name in hub.servers(hub.user):
        hub.api("DELETE", f"/users/{hub.user}/" + (f"servers/{name}" if name else "server"), {"remove": bool(name)})
    wait_for(lambda: not hub.servers(hub.user), 60, lambda: f"servers are left: {hub.servers(hub.user)}", pause=0.3)


@pytest.fixture
def idle(hub):
    hub.toy.control()
    stop_all(hub)
    yield hub
    hub.toy.control()
    stop_all(hub)


def begin(hub, server=""):
    path = f"/users/{hub.user}/servers/{server}" if server else f"/users/{hub.user}/server"
    answer = hub.api("POST", path, {"user_options": LIGHT})
    assert answer.status in (201, 202), answer


def one_runs_and_one_waits(hub):
    """The default server runs; the one named second waits."""
    begin(hub)
    assert hub.progress(hub.user)[-1].get("ready")
    hub.toy.control(hold="busy", estimate=time.time() + 3600)
    begin(hub, "second")
    hub.progress(hub.user, "second", until=lambda event: event.get("step") == "queue")


def card(page, server):
    return page.locator(f".hpc-home li[data-server='{server}']")


def test_nothing_of_ours_without_a_session_and_jupyterhubs_page_as_it_is(idle, browser):
    with chrome.page(browser) as page:
        chrome.log_in(page, idle.url, idle.user)
        page.goto(f"{idle.url}/hub/home")
        assert page.locator(".hpc-home").count() == 0 and page.locator("#start").count() == 1


def test_what_each_server_does_where_it_leads_and_without_a_script(idle, browser):
    one_runs_and_one_waits(idle)
    for dark, phone in LOOKS:
        # What is dark is so by a script of JupyterHub's.
        with chrome.page(browser, dark, phone, javascript=dark) as page:
            chrome.log_in(page, idle.url, idle.user)
            page.goto(f"{idle.url}/hub/home")
            runs, waits = card(page, "").inner_text(), card(page, "second").inner_text()
            assert "Running" in runs and "runs on toy1" in runs and re.search(r"\b1 h 5\d min left", runs), runs
            assert "Waiting" in waits and "it is next in line in queue normal" in waits
            assert re.search(r"Expected to start at \d{4}-.* \(estimate\)", waits), waits
            # JupyterHub's own table is wider than a phone; ours is not.
            assert page.evaluate("document.querySelector('.hpc-home').scrollWidth <= window.innerWidth")
            chrome.picture(page, f"home{'-dark' if dark else ''}{'-phone' if phone else ''}")
    with chrome.page(browser) as page:
        chrome.log_in(page, idle.url, idle.user)
        page.goto(f"{idle.url}/hub/home")
        assert card(page, "").get_by_role("link").get_attribute("href") == f"/user/{idle.user}/"
        card(page, "second").get_by_role("link").click()
        page.wait_for_url(f"{idle.url}/hub/spawn-pending/{idle.user}/second")
        page.wait_for_selector("li[data-step=queue].now")


def test_the_page_asks_the_batch_system_nothing(idle, browser):
    """The batch system does not answer, so the Hub's own questions are few: a page's would come on top of them."""
    def calls():
        return sum(len(idle.toy.calls(kind)) for kind in ("status", "info", "estimate"))

    one_runs_and_one_waits(idle)
    with chrome.page(browser) as page:
        chrome.log_in(page, idle.url, idle.user)
        page.goto(f"{idle.url}/hub/home")
        before = calls()
        idle.toy.faults(status="hang", info="hang")
        try:
            wait_for(lambda: calls() > before, 20, lambda: "the Hub does not ask")
            before = calls()
            for _ in range(10):
                assert "runs on toy1" in page.request.get(f"{idle.url}/hub/home").text()
            assert calls() - before < 5
        finally:
            idle.toy.faults()


def test_a_job_that_can_never_start_and_one_that_is_suspended_say_so(idle, browser):
    with chrome.page(browser) as page:
        chrome.log_in(page, idle.url, idle.user)
        begin(idle)
        assert idle.progress(idle.user)[-1].get("ready")
        idle.toy.control(hold="never", suspend=True)
        begin(idle, "second")
        idle.progress(idle.user, "second", until=lambda event: event.get("can_start") is False)

        def shown(server):
            page.goto(f"{idle.url}/hub/home")
            return card(page, server).inner_text()

        wait_for(lambda: "Suspended" in shown(""), 30, lambda: shown(""))
        assert "Will not start" in shown("second") and "Change the request" in shown("second")
        chrome.picture(page, "home-never-and-suspended")


def test_a_session_that_ended_by_itself_says_why_until_the_next_start_also_on_the_form(idle, browser):
    begin(idle, "second")
    assert idle.progress(idle.user, "second")[-1].get("ready")
    job, = idle.toy.jobs()
    idle.toy.control(code="PREEMPTED")
    idle.toy.store.order(job["number"], "kill")
    wait_for(lambda: not idle.servers(idle.user), 60, lambda: "the session does not end", pause=0.3)
    idle.toy.control()
    told = f"Your last session (job {job['number']}) ended at "
    for dark, phone in LOOKS:
        with chrome.page(browser, dark, phone, javascript=dark) as page:
            chrome.log_in(page, idle.url, idle.user)
            page.goto(f"{idle.url}/hub/home")
            shown = card(page, "second").inner_text()
            assert "Ended" in shown and told in shown and "a more important job took its nodes" in shown, shown
            chrome.picture(page, f"home-ended{'-dark' if dark else ''}{'-phone' if phone else ''}")
            card(page, "second").get_by_role("link", name="Start again").click()
            page.wait_for_url(f"{idle.url}/hub/spawn/{idle.user}/second**")
            assert told in page.inner_text("#hpc-failed .hpc-failed-what")
            assert "PREEMPTED" in page.inner_text(".hpc-failed-words")
            chrome.picture(page, f"form-ended{'-dark' if dark else ''}{'-phone' if phone else ''}")
    begin(idle, "second")
    assert idle.progress(idle.user, "second")[-1].get("ready")
    with chrome.page(browser) as page:
        chrome.log_in(page, idle.url, idle.user)
        page.goto(f"{idle.url}/hub/home")
        assert "Running" in card(page, "second").inner_text()


def test_jupyterhubs_own_buttons_work(idle, browser):
    one_runs_and_one_waits(idle)
    with chrome.page(browser) as page:
        chrome.log_in(page, idle.url, idle.user)
        page.goto(f"{idle.url}/hub/home")
        page.click("#stop-second")
        wait_for(lambda: set(idle.servers(idle.user)) == {""}, 60, lambda: f"{idle.servers(idle.user)}")
        page.click("#stop")
        wait_for(lambda: not idle.servers(idle.user), 60, lambda: f"{idle.servers(idle.user)}")
        page.goto(f"{idle.url}/hub/home")
        assert page.locator(".hpc-home").count() == 0
        page.click("#start")
        page.wait_for_url(f"{idle.url}/hub/spawn/**")
