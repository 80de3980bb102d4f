"""The widget of ``cluster()`` in JupyterLab, as Dask's users know it: looked at, and scaled by its buttons."""
import json

import pytest
from support import browser as chrome
from support.kernel import run_code
from support.running_hub import wait_for

ONLY = ("newest",)

SOURCE = """from dask.distributed import Client
from jupyterhub_hpc_spawner.notebook import cluster
Client().wait_for_workers(2, timeout=60)
c = cluster()
c"""
KERNEL = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
WORKERS = """
from dask.distributed import Client
print(len(Client().scheduler_info(n_workers=-1)["workers"]))
"""


@pytest.mark.browser
def test_the_widget_says_what_there_is_and_scales_by_extra_jobs(session, browser):
    cell = {"cell_type": "code", "id": "c1", "metadata": {}, "execution_count": None, "outputs": [], "source": SOURCE}
    (session.home / "widget.ipynb").write_text(
        json.dumps({"cells": [cell], "metadata": {"kernelspec": KERNEL}, "nbformat": 4, "nbformat_minor": 5}))
    with chrome.page(browser) as page:
        chrome.log_in(page, session.url, session.user)
        page.goto(f"{session.server_url}lab/workspaces/widget/tree/widget.ipynb")
        chrome.run_all_cells(page)
        widget = page.locator(".jp-OutputArea-output .widget-tab")
        widget.locator("td:visible, p:visible", has_text="Workers: 2 of the session, 0 extra").wait_for(timeout=30000)
        chrome.picture(page, "widget")
        widget.get_by_text("Scaling", exact=True).click()
        widget.get_by_text("Manual Scaling").click()
        widget.locator("input[type=number]").first.fill("1")
        widget.get_by_role("button", name="Scale", exact=True).click()
        widget.locator("td:visible, p:visible", has_text="Workers: 2 of the session, 1 extra").wait_for(timeout=60000)
        chrome.picture(page, "widget-scaled")
        widget.locator("input[type=number]").first.fill("0")
        widget.get_by_role("button", name="Scale", exact=True).click()
        widget.locator("td:visible, p:visible", has_text="Workers: 2 of the session, 0 extra").wait_for(timeout=60000)
    token = session.user_token(session.user)
    wait_for(lambda: run_code(session.server_url, token, WORKERS) == "2\n", 30, lambda: "extra workers stay")
