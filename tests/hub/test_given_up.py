"""A start that JupyterHub gives up while the job is still being submitted: why it failed, or that it was cancelled."""
from support import browser as chrome

ONLY = ("newest",)
LIGHT = {"environment": "light"}


def test_a_submission_that_fails_when_jupyterhub_has_given_up_says_why(impatient, browser):
    impatient.toy.faults(submit="hang")
    with chrome.page(browser) as page:
        chrome.log_in(page, impatient.url, impatient.user)
        impatient.begin(**LIGHT)
        assert impatient.progress(impatient.user)[-1].get("failed")
        page.goto(f"{impatient.url}/hub/spawn-pending/{impatient.user}")
        assert "could not be submitted" in page.inner_text(".hpc-failed-what")
    impatient.toy.faults()
    impatient.assert_nothing_left()


def test_a_cancel_during_a_submission_that_takes_too_long_is_a_cancel(impatient, browser):
    impatient.toy.control(hold="busy")
    impatient.toy.faults(submit="slow 12")
    impatient.begin(**LIGHT)
    impatient.stop_server(impatient.user)
    with chrome.page(browser) as page:
        chrome.log_in(page, impatient.url, impatient.user)
        page.goto(f"{impatient.url}/hub/spawn/{impatient.user}")
        page.wait_for_selector("#hpc-nodes", state="attached")
        assert page.locator("#hpc-failed").count() == 0
    impatient.assert_nothing_left()
