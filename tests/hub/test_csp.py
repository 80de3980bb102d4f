"""Under a strict Content-Security-Policy (``shown``'s), our pages work, and break none of it themselves."""
import pytest
from support import browser as chrome

LISTEN = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => window.violations.push(
    `${event.effectiveDirective} ${event.blockedURI} ${event.sourceFile} ${event.lineNumber}`));
"""
# The only ones: page.html's inline scripts (require.config and jhdata; JupyterHub has no nonce for them).
JUPYTERHUBS = "script-src-elem inline"


@pytest.fixture
def opened(shown, browser):
    with chrome.page(browser) as page:
        page.add_init_script(LISTEN)
        chrome.log_in(page, shown.url, shown.user)
        yield page


def own_violations(page, scripts=1):
    """(those that are not of JupyterHub's pages; how many in all). All have an inline script in their head, some have
    more: ``scripts``."""
    found = page.evaluate("window.violations")
    inline = page.locator("script:not([src])")
    assert inline.count() == scripts and "window.jhdata" in inline.first.text_content()
    assert not page.locator("style, [onclick], [onsubmit], [href^=javascript]").count()
    assert not page.evaluate("[...document.querySelectorAll('[src], link[href]')].some("
                             "(e) => new URL(e.src || e.href).origin !== location.origin)")
    return [each for each in found if not each.startswith(JUPYTERHUBS)], len(found)


def test_the_policy_is_there_and_bites(shown, opened):
    """Or the other tests would prove nothing."""
    opened.goto(f"{shown.url}/hub/spawn/{shown.user}")
    assert opened.evaluate("window.jhdata") is None
    opened.evaluate("document.body.insertAdjacentHTML('beforeend', '<b style=top:1px>')")
    opened.wait_for_function("window.violations.some((each) => each.startsWith('style-src'))")


def test_the_form_works_and_leads_to_the_waiting_page_and_the_session(shown, opened):
    shown.clean()
    shown.toy.control(hold="busy")
    opened.goto(f"{shown.url}/hub/spawn/{shown.user}")
    opened.check("text=Small")
    opened.wait_for_selector(".hpc-outlook:visible")
    opened.click("summary:has-text('Resources')")
    opened.fill("#hpc-memory", "lots")
    opened.wait_for_selector("#hpc-memory-error:visible")
    opened.fill("#hpc-memory", "1G")
    opened.wait_for_selector("#hpc-memory-error", state="hidden")
    opened.click("summary:has-text('Software')")
    opened.select_option("#hpc-environment", "light")
    assert own_violations(opened) == ([], 1)
    opened.click("#spawn_form [type=submit]")
    opened.wait_for_selector("li[data-step=queue].now")
    assert opened.evaluate("document.getElementById('hpc-bar').getBoundingClientRect().width") > 10
    assert own_violations(opened) == ([], 1)
    shown.toy.control()
    opened.wait_for_url(f"{shown.url}/user/{shown.user}/**", timeout=60000)


def test_cancel_and_change_work(shown, opened):
    shown.clean()
    shown.toy.control(hold="busy")
    shown.begin(environment="light", nodes=2)
    opened.goto(f"{shown.url}/hub/spawn-pending/{shown.user}")
    opened.wait_for_selector("li[data-step=queue].now")
    opened.click("#hpc-change")
    opened.wait_for_url(f"{shown.url}/hub/spawn/{shown.user}")
    assert opened.input_value("#hpc-nodes") == "2" and not shown.toy.jobs()
    assert own_violations(opened) == ([], 1)


def test_the_home_page_and_that_of_a_failure_are_whole(shown, opened):
    shown.clean()
    shown.toy.faults(submit="down")
    shown.begin("second", environment="light")
    assert shown.progress(shown.user, "second")[-1].get("failed")
    shown.clean()
    opened.goto(f"{shown.url}/hub/spawn-pending/{shown.user}/second")
    opened.click(".hpc-help-desk summary")
    assert opened.is_visible("#hpc-copy") and "Hub: http" in opened.inner_text("#hpc-report")
    assert own_violations(opened, scripts=2) == ([], 2)
    shown.toy.control(hold="busy")
    shown.begin(environment="light")
    shown.progress(shown.user, until=lambda event: event.get("step") == "queue")
    opened.goto(f"{shown.url}/hub/home")
    assert own_violations(opened, scripts=2) == ([], 2)
    opened.click(".hpc-home a")
    opened.wait_for_selector("li[data-step=queue].now")
    shown.clean()
