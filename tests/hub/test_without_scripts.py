"""Both pages in a browser that runs no scripts: fill in, be told what is wrong, wait, see where it is, cancel."""
import pytest
from support import browser as chrome
from support.running_hub import wait_for


@pytest.fixture(params=["", "second"])
def server(request):
    return request.param


@pytest.fixture
def page(shown, browser, server):
    shown.clean()
    with chrome.page(browser, javascript=False) as page:
        chrome.log_in(page, shown.url, shown.user)
        page.goto("/".join(filter(None, [shown.url, "hub/spawn", shown.user, server])))
        yield page
    shown.clean()


def start(page):
    page.select_option("#hpc-environment", "light")
    page.click("#spawn_form [type=submit]")


def test_the_form_says_what_is_wrong_and_starts(shown, page, server):
    shown.toy.control(hold="busy")
    assert not page.locator("text=requires JavaScript").is_visible() and not page.is_visible(".hpc-share")
    chrome.picture(page, "form-without-scripts")
    page.fill("#hpc-memory", "lots")
    start(page)
    page.wait_for_selector("#hpc-memory-error:visible")
    assert page.input_value("#hpc-memory") == "lots" and page.input_value("#hpc-environment") == "light"
    assert page.get_attribute("#hpc-memory", "aria-describedby").startswith("hpc-memory-error ")
    page.fill("#hpc-memory", "1G")
    start(page)
    page.wait_for_selector(".hpc-ask")
    wait_for(lambda: shown.toy.jobs(), 30, lambda: "there is no job")
    assert set(shown.servers(shown.user)) == {server}


def test_the_waiting_page_says_where_it_is_and_leads_to_the_session(shown, page):
    shown.toy.control(hold="busy")
    start(page)
    page.wait_for_selector(".hpc-ask")
    job = wait_for(lambda: shown.toy.jobs(), 30, lambda: "there is no job")[0]
    wait_for(lambda: page.click(".hpc-ask") or "in the queue" in page.inner_text("main"), 30,
             lambda: page.inner_text("main"))
    assert f"Job {job['number']} is waiting in the queue: it is next in line" in page.inner_text("main")
    assert not page.locator("text=requires JavaScript").is_visible() and not page.is_visible("#hpc-cancel")
    assert page.locator("noscript meta[http-equiv=refresh]").count() == 1
    chrome.picture(page, "waiting-without-scripts")
    shown.toy.control()
    page.wait_for_url(f"{shown.url}/user/**", timeout=60000)  # by itself


LAST = {"environment": "light", "queue": "normal", "cores": 3, "nodes": 2, "dask": True, "walltime": "1h",
        "account": "bio"}


@pytest.mark.parametrize("touched, asked", [
    ({}, {"profile": "small", "queue": "debug", "cores": 1, "nodes": 1, "walltime": "00:30:00", "dask": False}),
    ({"walltime": "10m"}, {"profile": "small", "queue": "debug", "cores": 1, "walltime": "00:10:00"}),
])
def test_who_comes_back_and_takes_another_preset_gets_what_it_says(shown, page, server, touched, asked):
    """One that fixes a value, too: the fields still hold what was chosen last time."""
    assert shown.spawn(shown.user, LAST, server)[-1].get("ready")
    shown.clean()
    shown.toy.control(hold="busy")
    page.reload()
    assert page.input_value("#hpc-cores") == "3" and page.is_checked("#hpc-dask")
    page.check("text=Small")
    for name, value in touched.items():
        page.fill(f"#hpc-{name}", value)
    page.click("#spawn_form [type=submit]")
    page.wait_for_selector(".hpc-ask")
    options = shown.api("GET", f"/users/{shown.user}").json["servers"][server]["user_options"]
    assert {name: options.get(name) for name in asked} == asked and "account" not in options


def test_cancel(shown, page, server):
    shown.toy.control(hold="busy")
    start(page)
    page.wait_for_selector(".hpc-ask")
    wait_for(lambda: shown.toy.jobs(), 30, lambda: "there is no job")
    page.click(".hpc-cancel")
    page.wait_for_url(f"{shown.url}/hub/home")
    wait_for(lambda: not shown.servers(shown.user) and not shown.toy.jobs(), 30, lambda: "the job is still there")
