"""A real, headless Chromium; pictures of every page go to ``test-artifacts/``."""
import os
import re
import shutil
from contextlib import contextmanager
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import TimeoutError, sync_playwright

ARTIFACTS = Path(os.environ.get("HPC_TEST_ARTIFACTS", "test-artifacts"))
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync"]


@contextmanager
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@contextmanager
def page(browser, dark=False, phone=False, javascript=True):
    """A fresh page of its own session: light or dark, wide or as on a phone. What its scripts throw is a failure."""
    size = {"width": 390, "height": 844} if phone else {"width": 1280, "height": 1000}
    context = browser.new_context(viewport=size, color_scheme="dark" if dark else "light",
                                  java_script_enabled=javascript)
    opened = context.new_page()
    mistakes = []
    opened.on("pageerror", lambda error: mistakes.append(f"{opened.url}: {error}"))
    try:
        yield opened
        assert not mistakes, mistakes
    except BaseException:
        picture(opened, "failure")
        raise
    finally:
        context.close()


def picture(opened, name, whole=True):
    """``whole``: also what is below the screen, as on a screen of that height: what keeps in sight is at its place."""
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    size = opened.viewport_size
    if whole:
        height = opened.evaluate("document.documentElement.scrollHeight")
        opened.set_viewport_size({**size, "height": max(size["height"], min(height, 8000))})
    opened.screenshot(path=str(ARTIFACTS / f"{name}.png"), full_page=whole)
    opened.set_viewport_size(size)


def violations(opened, except_in=()):
    """What axe-core finds wrong with the page as it is shown now, but for these parts of it, as lines for people."""
    found = Axe().run(opened, context={"exclude": [[selector] for selector in except_in]})
    return [f"{each['id']}: {each['help']}: {node['target']} {node['failureSummary']}"
            for each in found.response["violations"] for node in each["nodes"]]


def fits(opened):
    """Whether the page has no scroll bar to the side."""
    return opened.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def log_in(opened, url, user, password="any"):
    opened.goto(f"{url}/hub/login")
    opened.fill("#username_input", user)
    opened.fill("#password_input", password)
    opened.click("#login_submit")
    opened.wait_for_url(lambda address: not address.startswith(f"{url}/hub/login"))


def run_all_cells(opened):
    """Run the notebook that JupyterLab has open and wait until its last cell has an output."""
    opened.wait_for_selector(".jp-NotebookPanel:visible .jp-CodeCell", timeout=60000)
    opened.wait_for_selector("text=/ipykernel.*\\| Idle/", timeout=60000)
    cells = opened.locator(".jp-CodeCell")
    for _ in range(10):  # JupyterLab forgets cells that are run before it has settled, without a sign of it
        opened.get_by_role("menuitem", name="Run", exact=True).click()
        opened.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        try:
            cells.last.locator(".jp-InputPrompt", has_text=re.compile(r"\[[*0-9]+]")).wait_for(timeout=3000)
            break
        except TimeoutError:
            continue
    cells.last.locator(".jp-OutputArea-output").first.wait_for(timeout=60000)
    opened.add_style_tag(content=".Toastify { display: none }")  # JupyterLab's question about its news
    return opened.locator(".jp-OutputArea-output").all_inner_texts()
