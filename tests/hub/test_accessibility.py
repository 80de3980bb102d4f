"""Our pages in every state: axe-core finds nothing, nothing sticks out, a picture of each."""
import pytest
from support import browser as chrome

LOOKS = {"light": {}, "dark": {"dark": True}, "phone": {"phone": True}, "phone-dark": {"phone": True, "dark": True}}


@pytest.fixture(params=LOOKS)
def look(request):
    return request.param


@pytest.fixture
def opened(shown, browser, look):
    """A page on which the user is logged in."""
    with chrome.page(browser, **LOOKS[look]) as page:
        chrome.log_in(page, shown.url, shown.user)
        yield page


def assert_fine(page, name, except_in=()):
    """``name`` is that of the picture; some parts of the home page are JupyterHub's."""
    page.evaluate("document.activeElement.blur()")
    chrome.picture(page, name)
    assert chrome.violations(page, except_in) == []
    assert chrome.fits(page)


def test_the_form(shown, opened, look):
    opened.goto(f"{shown.url}/hub/spawn/{shown.user}")
    opened.wait_for_selector(".hpc-outlook:visible", timeout=5000)
    assert_fine(opened, f"form-folded-{look}")
    opened.check("text=Dask on two nodes")
    assert opened.input_value("#hpc-nodes") == "2"
    for summary in opened.locator("summary").all():
        summary.click()
    opened.wait_for_selector(".hpc-outlook:visible", timeout=5000)
    assert_fine(opened, f"form-unfolded-{look}")


def test_the_form_with_errors(shown, opened, look):
    """The Hub's check at Start says what is wrong; without scripts, and where it changed meanwhile, its answer does."""
    opened.goto(f"{shown.url}/hub/spawn/{shown.user}")
    opened.click("summary:has-text('Resources')")
    opened.fill("#hpc-memory", "lots")
    opened.fill("#hpc-walltime", "soon")
    opened.click("#spawn_form [type=submit]")
    opened.wait_for_selector("#hpc-walltime:focus")
    described = opened.get_attribute("#hpc-walltime", "aria-describedby").split()
    assert "write walltime" in opened.inner_text(f"#{described[0]}")
    assert opened.get_attribute("#hpc-memory", "aria-invalid") == "true"
    assert opened.inner_text("#spawn_form [type=submit]") == "Start" and not shown.servers(shown.user)
    assert_fine(opened, f"form-errors-{look}")
    opened.evaluate("document.getElementById('spawn_form').submit()")  # as without the script
    opened.wait_for_selector(".spawn-error-msg")
    said = opened.inner_text(".spawn-error-msg")
    assert "nothing was started. See what is said of: Walltime, Memory per node" in said
    assert opened.input_value("#hpc-memory") == "lots" and opened.input_value("#hpc-walltime") == "soon"
    opened.wait_for_selector("#hpc-walltime:focus")
    assert_fine(opened, f"form-refused-{look}")


def test_the_waiting_page(shown, opened, look):
    server = "second" if "phone" in look else ""
    shown.clean()
    (shown.home / ".jupyterhub.env").write_text("echo 'module climate/2026 is not there' >&2\nreturn 5\n")
    shown.toy.control(hold="busy")
    shown.begin(server, environment="light")
    opened.goto(f"{shown.url}/hub/spawn-pending/{shown.user}/{server}".rstrip("/"))
    opened.wait_for_selector("li[data-step=queue].now")
    assert_fine(opened, f"waiting-queue-{look}")
    shown.toy.control(hold="never")
    opened.wait_for_selector("#hpc-stuck:visible")
    assert "does not start" in opened.inner_text("h1")
    assert_fine(opened, f"waiting-never-{look}")
    shown.toy.control()
    opened.wait_for_selector("#hpc-failed:visible", timeout=60000)
    opened.click("#hpc-failed summary")
    assert_fine(opened, f"waiting-failed-{look}")
    shown.clean()


def test_the_home_page(shown, opened, look):
    shown.clean()
    shown.begin(environment="light", walltime="2h")
    assert shown.progress(shown.user)[-1].get("ready")
    shown.toy.control(hold="never")
    shown.begin("second", environment="light")
    shown.progress(shown.user, "second", until=lambda event: event.get("can_start") is False)
    opened.goto(f"{shown.url}/hub/home")
    assert opened.locator(".hpc-home li").count() == 2
    assert_fine(opened, f"home-{look}", except_in=["nav", "main > .container:not(.hpc-home)"])
    shown.clean()
