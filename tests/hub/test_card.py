"""What ``session()`` looks like: light and dark, in JupyterLab and on a phone."""
import json

import pytest
from jupyterhub_hpc_spawner.notebook import session as show_session
from support import browser as chrome

ONLY = ("newest",)

CARD = ".jp-OutputArea-output:has-text('Session of job')"
KERNEL = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
EVERYTHING = {
    "job_id": "123456", "nodes": [f"node{n:03}.cluster.example.org" for n in range(1, 13)], "account": "climate",
    "queue": "normal", "start": 1_800_000_000, "ends": 4_000_000_000, "runtimes": {
        "dask": {"state": "failed", "address": "tls://[2001:db8::17:1]:45671", "workers": 96,
                 "dashboard": "/user/a-rather-long-name@university.example/dask-dashboard/status",
                 "error": "the scheduler ended with status 1\nTraceback (most recent call last):\n"
                          "  File \"/opt/jupyter/lib/python3.11/site-packages/distributed/cli/dask_scheduler.py\", "
                          "line 1, in <module>\n"
                          "ModuleNotFoundError: No module named 'distributed'"},
        "ipyparallel": {"state": "starting", "client_file": "/home/alice/.local/share/ipp/client.json", "engines": 96,
                        "mpi": False, "mpi_error": "mpi4py is not installed"}}}


def theme(dark):
    return "dark" if dark else "light"


@pytest.mark.browser
@pytest.mark.parametrize("dark", [False, True], ids=theme)
def test_the_card_in_jupyterlab(session, browser, environment, dark):
    if not list(environment.glob("lib/python*/site-packages/jupyterlab")):
        pytest.skip("this environment has no JupyterLab")
    cell = {"cell_type": "code", "id": "c1", "metadata": {}, "execution_count": None, "outputs": [],
            "source": "from jupyterhub_hpc_spawner.notebook import session\nsession()"}
    (session.home / f"card-{theme(dark)}.ipynb").write_text(
        json.dumps({"cells": [cell], "metadata": {"kernelspec": KERNEL}, "nbformat": 4, "nbformat_minor": 5}))
    settings = session.home / ".jupyter/lab/user-settings/@jupyterlab/apputils-extension/themes.jupyterlab-settings"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(json.dumps({"theme": f"JupyterLab {theme(dark).title()}"}))
    with chrome.page(browser, dark) as page:
        chrome.log_in(page, session.url, session.user)
        page.goto(f"{session.server_url}lab/workspaces/{theme(dark)}/tree/card-{theme(dark)}.ipynb")
        chrome.run_all_cells(page)
        page.wait_for_selector(f"body[data-jp-theme-light='{'false' if dark else 'true'}']", state="attached")
        chrome.picture(page, f"card-{theme(dark)}")
        assert page.locator(CARD).locator("a").get_attribute("href").endswith("/dask-dashboard/status")
        assert fits(page, CARD)
        assert page.locator(CARD).get_by_text("Time left", exact=True).bounding_box()["height"] < 30


@pytest.mark.browser
@pytest.mark.parametrize("dark", [False, True], ids=theme)
def test_the_card_with_everything_on_a_phone(browser, tmp_path, monkeypatch, dark):
    (tmp_path / "session.json").write_text(json.dumps(EVERYTHING))
    monkeypatch.setenv("HPC_SESSION_FILE", str(tmp_path / "session.json"))
    style = "<meta name=viewport content='width=device-width'><style>:root { color-scheme: light dark }</style>"
    with chrome.page(browser, dark, phone=True) as page:
        page.set_content(f"{style}<body style='font-family: sans-serif'>{show_session()._repr_html_()}")
        assert fits(page, "body > div")
        chrome.picture(page, f"card-phone-{theme(dark)}")


def fits(page, selector):
    """Nothing of it is beyond the page's edge, and nothing but logs scrolls."""
    found = page.locator(selector)
    box = found.bounding_box()
    return (box["x"] + box["width"] <= page.viewport_size["width"]
            and found.evaluate("e => [e, ...e.querySelectorAll('*')].every(x => x.scrollWidth <= x.clientWidth + 1"
                               " || getComputedStyle(x).display == 'inline')"))
