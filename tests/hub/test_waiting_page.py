"""The waiting page in a real browser: live steps, cancel of this server and no other, failures with the log."""
import pytest
from support import browser as chrome
from support.running_hub import wait_for

LIGHT = {"environment": "light"}


@pytest.fixture(scope="module")
def hub(environment, make_toy_hub, tmp_path_factory):
    hub = make_toy_hub(tmp_path_factory.mktemp("waiting"), environment, "slurm", {})
    hub.start()
    hub.add_user(hub.user)
    yield hub
    hub.clean()
    hub.stop()


@pytest.fixture
def idle(hub):
    hub.clean()
    yield hub
    hub.clean()


@pytest.mark.parametrize(("dark", "phone"), [(False, False), (True, False), (False, True)])
def test_a_job_in_the_queue(idle, browser, dark, phone):
    idle.toy.control(hold="busy")
    idle.begin(**LIGHT)
    with chrome.page(browser, dark, phone) as page:
        chrome.log_in(page, idle.url, idle.user)
        page.goto(f"{idle.url}/hub/spawn-pending/{idle.user}")
        page.wait_for_selector("li[data-step=queue].now")
        assert "waiting in the queue" in page.inner_text("#hpc-now")
        assert page.get_attribute("li[data-step=queue]", "aria-current") is not None
        chrome.picture(page, f"waiting-queue{'-dark' if dark else ''}{'-phone' if phone else ''}")


def test_it_leads_to_the_session(idle, browser):
    idle.toy.control(hold="busy")
    idle.begin(**LIGHT)
    with chrome.page(browser) as page:
        chrome.log_in(page, idle.url, idle.user)
        page.goto(f"{idle.url}/hub/spawn-pending/{idle.user}")
        page.wait_for_selector("li[data-step=queue].now")
        idle.toy.control()
        page.wait_for_url(f"{idle.url}/user/{idle.user}/**", timeout=60000)


def begin(hub, server, hold="busy"):
    hub.toy.control(hold=hold)
    answer = hub.api("POST", f"/users/{hub.user}/servers/{server}" if server else f"/users/{hub.user}/server",
                     {"user_options": LIGHT})
    assert answer.status in (201, 202), answer


@pytest.mark.parametrize("server", ["", "second"])
def test_cancel_ends_this_server_and_no_other(idle, browser, server):
    begin(idle, "" if server else "second")
    begin(idle, server)
    with chrome.page(browser) as page:
        chrome.log_in(page, idle.url, idle.user)
        page.goto(f"{idle.url}/hub/spawn-pending/{idle.user}/{server}".rstrip("/"))
        page.wait_for_selector("li[data-step=queue].now")
        page.click("#hpc-cancel")
        page.wait_for_url(f"{idle.url}/hub/home")
    assert set(idle.servers(idle.user)) == {"" if server else "second"}
    idle.api("DELETE", f"/users/{idle.user}/servers/second")
    wait_for(lambda: "second" not in idle.servers(idle.user), 30, lambda: "the named server does not stop")


def test_change_leads_back_to_the_form_with_what_was_chosen(idle, browser):
    idle.toy.control(hold="busy")
    idle.begin(**LIGHT, nodes=2, walltime="2h")
    with chrome.page(browser) as page:
        chrome.log_in(page, idle.url, idle.user)
        page.goto(f"{idle.url}/hub/spawn-pending/{idle.user}")
        page.wait_for_selector("li[data-step=queue].now")
        page.click("#hpc-change")
        page.wait_for_url(f"{idle.url}/hub/spawn/{idle.user}")
        assert page.input_value("#hpc-nodes") == "2" and page.input_value("#hpc-walltime") == "2h"
    assert not idle.toy.jobs()


@pytest.mark.parametrize("dark", [False, True])
def test_a_failure_says_what_and_shows_the_end_of_the_log_as_text(idle, browser, dark):
    (idle.home / ".jupyterhub.env").write_text("echo 'module <script>alert(1)</script> is not there'\nfalse\n")
    idle.toy.control(hold="busy")
    idle.begin(**LIGHT)
    with chrome.page(browser, dark) as page:
        chrome.log_in(page, idle.url, idle.user)
        page.goto(f"{idle.url}/hub/spawn-pending/{idle.user}")
        page.wait_for_selector("li[data-step=queue].now")
        idle.toy.control()
        page.wait_for_selector("#hpc-failed:visible", timeout=60000)
        assert "could not start your session" in page.inner_text(".hpc-failed-what")
        page.click("#hpc-failed summary")
        assert "module <script>alert(1)</script> is not there" in page.inner_text("#hpc-failed pre")
        assert page.locator("li.failed").count() == 1
        chrome.picture(page, f"waiting-failed{'-dark' if dark else ''}")
