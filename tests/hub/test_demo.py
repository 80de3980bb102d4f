"""``make demo`` as a newcomer meets it: log in, tick Dask, run the notebook."""
import re
import subprocess

import pytest
from support import browser as chrome
from support.running_hub import ENVIRONMENTS, free_ports, wait_for


@pytest.fixture
def demo(tmp_path):
    """(URL, user, password) of a running demo."""
    if not ENVIRONMENTS or not chrome.CHROMIUM:
        pytest.skip("needs Chromium and the environments that make test makes")
    log = tmp_path / "demo.log"
    port = free_ports("127.0.0.1", 1)[0]
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [ENVIRONMENTS[0] / "bin" / "jupyterhub-hpc-spawner", "demo", "--directory", tmp_path / "demo",
             "--port", str(port)], stdout=output, stderr=output, start_new_session=True)
    wait_for(lambda: "is now running" in log.read_text(), 60, lambda: log.read_text())
    yield re.search(r"Open +(\S+)/\n +User +(\S+)\n +Password (\S+)\n", log.read_text()).groups()
    process.terminate()
    assert process.wait(60) == 0
    assert not left_over(tmp_path)


def left_over(directory):
    """Processes of the demo that are still there."""
    return [line for line in subprocess.run(["ps", "-eo", "args="], capture_output=True, text=True).stdout.splitlines()
            if str(directory) in line]


def test_the_demo_leads_to_a_connected_notebook(demo, tmp_path):
    url, user, password = demo
    with chrome.chromium() as browser, chrome.page(browser) as page:
        page.goto(f"{url}/hub/spawn")
        page.fill("#username_input", user)
        page.fill("#password_input", "guess")
        page.click("#login_submit")
        page.wait_for_selector("text=Invalid username or password")
        page.fill("#username_input", user)
        page.fill("#password_input", password)
        page.click("#login_submit")
        page.check("#hpc-dask")
        page.fill("#hpc-dask_workers_per_node", "2")
        chrome.picture(page, "demo-form")
        page.click("#spawn_form button[type=submit]")
        outputs = chrome.run_all_cells(page)
        chrome.picture(page, "demo-notebook")
    assert (tmp_path / "demo" / "notebooks" / "ensemble.ipynb").exists()
    assert "Client" in outputs[0] and f"/user/{user}/dask-dashboard/status" in outputs[0]
    assert 3.1 < float(outputs[1]) < 3.2
    assert re.search(r"Session of job \d+.*Dask\s+\S+\s+running.*Workers\s+(\d of 2|2 expected)", outputs[2], re.DOTALL)
