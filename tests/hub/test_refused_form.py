"""What the batch system refuses comes back to the form: its words, beside their field where they have one, and all that
was filled in; for the default server and a named one, also where the refusal comes late."""
import pytest
from support import browser as chrome

ONLY = ("newest",)
TYPED = {"nodes": "2", "memory": "2G", "walltime": "90m", "working_dir": "~/a 'b' <i>"}
SLOW = """#!/bin/sh
sleep 5
echo "sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified" >&2
exit 1
"""


@pytest.fixture(scope="module")
def hub(environment, make_toy_hub, tmp_path_factory):
    """With the Hub's own patience: a start that fails within a second is answered by the form itself."""
    more = 'c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 10}\nc.HPCSpawner.command_timeout = 30\n'
    hub = make_toy_hub(tmp_path_factory.mktemp("refused"), environment, "slurm", {}, more)
    hub.start().add_user(hub.user)
    yield hub
    hub.stop()


@pytest.fixture(params=["", "second"])
def sent(request, hub, browser):
    """A page with the form filled in, and what sends it off."""
    with chrome.page(browser) as page:
        chrome.log_in(page, hub.url, hub.user)

        def send():
            page.goto("/".join(filter(None, [hub.url, "hub/spawn", hub.user, request.param])) + "?next=/hub/token")
            page.select_option("#hpc-account", "geo")
            page.check("#hpc-dask")
            for name, value in TYPED.items():
                page.fill(f"#hpc-{name}", value)
            page.click("#spawn_form [type=submit]")
            return page
        yield send
    hub.clean()


def assert_back(hub, page):
    page.wait_for_selector("#hpc-account-error:visible, #start", timeout=60000)
    late = page.locator("#start").count()  # refused before the waiting page was there: JupyterHub's own page
    if late:
        page.click("#start")
    page.wait_for_selector(".hpc-outlook:visible")  # the Hub's own check has nothing against it
    assert "Invalid account or account/partition" in page.inner_text("#hpc-account-error")
    assert page.evaluate("document.activeElement.id") == "hpc-account"
    assert "The batch system refused the job" in page.inner_text(".alert")
    assert page.input_value("#hpc-account") == "geo" and page.is_checked("#hpc-dask")
    assert {name: page.input_value(f"#hpc-{name}") for name in TYPED} == TYPED
    assert late or page.inner_text(".hpc-opens") == "Opens /hub/token when it has started."
    assert not hub.servers(hub.user) and not hub.toy.jobs()


def test_a_refusal_is_answered_by_the_form(hub, sent):
    hub.toy.faults(submit="refuse")
    page = sent()
    assert_back(hub, page)
    chrome.picture(page, "form-refused-by-slurm")
    hub.toy.faults()
    hub.toy.control(hold="busy")
    page.click("#spawn_form [type=submit]")
    page.wait_for_selector("li[data-step=queue].now", timeout=60000)
    job, = hub.toy.jobs()
    assert (job["account"], job["nodes"], job["walltime"]) == ("geo", 2, 5400)


def test_a_late_refusal_leads_back_from_the_waiting_page(hub, sent):
    sbatch = hub.toy.bin / "sbatch"
    own = sbatch.read_text()
    sbatch.write_text(SLOW)
    try:
        page = sent()
        assert_back(hub, page)
    finally:
        sbatch.write_text(own)
    page.reload()
    assert page.locator("#hpc-account-error").is_hidden(), "said once"
    assert page.input_value("#hpc-nodes") == "2"
