"""The spawn page and the waiting page, by a real user's hands on the real cluster."""
import re
import shutil
from importlib.resources import files
from pathlib import Path

import pytest
from support import browser as chrome
from support.kernel import run_code

ONLY = ("slurm",)


@pytest.mark.parametrize("javascript", [True, False])
def test_from_the_form_to_a_connected_notebook(idle, browser, javascript):
    with chrome.page(browser, javascript=javascript) as page:
        chrome.log_in(page, idle.url, "alice")
        page.goto(f"{idle.url}/hub/spawn/alice")
        page.select_option("#hpc-account", "geo")
        page.fill("#hpc-nodes", "2")
        page.fill("#hpc-walltime", "30m")
        page.fill("#hpc-dask_workers_per_node", "1")
        page.check("#hpc-dask")
        page.click("#spawn_form button[type=submit]")
        if javascript:
            page.wait_for_selector("#hpc-now, #jp-main-dock-panel", timeout=30000)
            chrome.picture(page, "waiting")
            page.wait_for_selector("#jp-main-dock-panel", timeout=60000)
            chrome.picture(page, "lab")
        else:
            events = idle.progress("alice")
            assert events[-1].get("ready"), events
    code = "from dask.distributed import Client; c = Client(); c.wait_for_workers(2, 60); print(len(c.nthreads()))"
    assert run_code(idle.server_url("alice"), idle.user_token("alice"), code).strip() == "2"


def test_a_refused_form_comes_back_with_everything_and_the_reasons(idle, browser):
    with chrome.page(browser) as page:
        chrome.log_in(page, idle.url, "alice")
        page.goto(f"{idle.url}/hub/spawn/alice")
        page.select_option("#hpc-queue", "debug")
        page.fill("#hpc-walltime", "3h")
        page.fill("#hpc-memory", "lots")
        page.fill("#hpc-working_dir", "~/a 'b' <i>")
        page.check("#hpc-dask")
        page.click("#spawn_form button[type=submit]")
        page.wait_for_selector("#hpc-memory-error:visible")
        chrome.picture(page, "form-refused")
        assert "write memory as a number" in page.inner_text("#hpc-memory-error")
        assert page.input_value("#hpc-working_dir") == "~/a 'b' <i>"
        assert page.input_value("#hpc-walltime") == "3h" and page.is_checked("#hpc-dask")
        assert page.input_value("#hpc-queue") == "debug"
        page.fill("#hpc-memory", "1G")
        page.click("#spawn_form button[type=submit]")
        page.wait_for_selector("#hpc-walltime-error")
        assert "at most 00:30:00 in queue debug" in page.inner_text("#hpc-walltime-error")
    assert not idle.servers("alice")


def test_a_link_fills_in_the_form_and_starts_nothing(idle, browser):
    with chrome.page(browser) as page:
        chrome.log_in(page, idle.url, "alice")
        page.goto(f"{idle.url}/hub/spawn/alice?opt-nodes=3&opt-dask=on&opt-walltime=2h")
        assert page.input_value("#hpc-nodes") == "3" and page.is_checked("#hpc-dask")
        assert page.input_value("#hpc-walltime") == "2h"
        assert not page.locator(".spawn-error-msg").count()
        chrome.picture(page, "form-link")
    assert not idle.servers("alice") and not idle.cluster.jobs("alice")


def test_a_failed_start_shows_the_log_as_text(idle, browser):
    (Path("~alice").expanduser() / ".jupyterhub.env").write_text("echo '<script>alert(1)</script>' >&2\nreturn 5\n")
    with chrome.page(browser) as page:
        page.on("dialog", lambda dialog: pytest.fail("a script of the log ran"))
        chrome.log_in(page, idle.url, "alice")
        page.goto(f"{idle.url}/hub/spawn/alice")
        page.click("#spawn_form button[type=submit]")
        page.click("text=The end of the job's log", timeout=30000)
        page.wait_for_selector("text=ended with status 5")
        chrome.picture(page, "failed")
        assert "<script>alert(1)</script>" in page.inner_text("body")


def test_the_welcome_notebook_runs_on_two_nodes(idle, browser):
    home = Path("~alice").expanduser()
    notebook = home / "welcome.ipynb"
    notebook.write_text(files("jupyterhub_hpc_spawner.templates").joinpath("demo/welcome.ipynb").read_text())
    shutil.chown(notebook, "alice")
    assert idle.spawn("alice", {"nodes": 2, "cores": 2, "dask": True, "account": "geo", "queue": "normal",
                                "walltime": "1h"})[-1].get("ready")
    with chrome.page(browser) as page:
        page.set_viewport_size({"width": 1280, "height": 1300})
        chrome.log_in(page, idle.url, "alice")
        page.goto(f"{idle.server_url('alice')}lab/tree/welcome.ipynb")
        outputs = chrome.run_all_cells(page)
        chrome.picture(page, "notebook")
    notebook.unlink()
    assert "/user/alice/dask-dashboard/status" in outputs[0]
    assert 3.1 < float(outputs[1]) < 3.2
    assert re.search(r"Nodes\s+2: n\d, n\d\s+Account\s+geo\s+Queue\s+normal", outputs[2])
