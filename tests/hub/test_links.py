"""Links that fill in the form: made on the form, followed by somebody else, on to a notebook or a git repository."""
import json
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from support import browser as chrome

NOTEBOOK = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """The address of a git repository ``course`` with ``lab 1.ipynb`` in it."""
    directory = tmp_path_factory.mktemp("git")

    def git(*words, cwd):
        subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *words], cwd=cwd, check=True,
                       capture_output=True)
    work = directory / "work"
    work.mkdir()
    git("init", "-b", "main", cwd=work)
    (work / "lab 1.ipynb").write_text(json.dumps(NOTEBOOK))
    git("add", ".", cwd=work)
    git("commit", "-m", "the course", cwd=work)
    git("clone", "--bare", str(work), "course", cwd=directory)
    git("update-server-info", cwd=directory / "course")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=directory))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/course"
    server.shutdown()
    server.server_close()


@pytest.fixture
def page(shown, browser):
    with chrome.page(browser) as page:
        yield page


@pytest.fixture(autouse=True)
def idle(shown):
    shown.clean()
    yield
    shown.clean()


def make_link(shown, browser, opens, server=""):
    """As a lecturer makes it: fill in the form and copy."""
    with chrome.page(browser) as page:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        chrome.log_in(page, shown.url, shown.user)
        page.goto(f"{shown.url}/hub/spawn/{shown.user}/{server}".rstrip("/"))
        page.check("text=Dask on two nodes")
        page.click("summary:has-text('Resources')")
        page.fill("#hpc-walltime", "90m")
        page.click("summary:has-text('Share')")
        page.fill("#hpc-open", opens)
        page.click("#hpc-copy-link")
        page.wait_for_selector("text=Link copied")
        link = page.evaluate("navigator.clipboard.readText()")
        assert link == page.input_value("#hpc-link")
    assert not shown.servers(shown.user)
    return link


def test_open_this_repository_on_two_nodes_with_dask(shown, browser, page, repository):
    link = make_link(shown, browser, f"{repository}/blob/main/lab 1.ipynb")
    assert shown.user not in link, "a link for everybody"
    page.goto(link)
    page.fill("#username_input", shown.user)
    page.fill("#password_input", "any")
    page.click("#login_submit")
    page.wait_for_selector(".hpc-opens:visible")
    assert page.input_value("#hpc-walltime") == "90m" and page.input_value("#hpc-nodes") == "2"
    assert page.is_checked("#hpc-dask") and not shown.servers(shown.user)
    chrome.picture(page, "form-link-opens")
    page.click("summary:has-text('Resources')")
    page.fill("#hpc-nodes", "1")
    page.click("#spawn_form [type=submit]")
    page.wait_for_url("**/lab/tree/course/lab%201.ipynb", timeout=90000)
    assert urlsplit(page.url).path == f"/user/{shown.user}/lab/tree/course/lab%201.ipynb"
    assert (shown.home / "course/lab 1.ipynb").exists()


def test_a_named_servers_link_opens_a_notebook_there(shown, browser, page):
    """Through a refused form and a reload of the waiting page."""
    (shown.home / "täglich").mkdir(exist_ok=True)
    (shown.home / "täglich/a?b.ipynb").write_text(json.dumps(NOTEBOOK))
    link = make_link(shown, browser, "täglich/a?b.ipynb", "second")
    shown.toy.control(hold="busy")
    chrome.log_in(page, shown.url, shown.user)
    page.goto(link)
    page.click("summary:has-text('Resources')")
    page.fill("#hpc-memory", "lots")
    page.evaluate("document.getElementById('spawn_form').submit()")
    page.wait_for_selector(".spawn-error-msg")
    page.wait_for_selector(".hpc-opens:visible")
    page.fill("#hpc-memory", "")
    page.fill("#hpc-nodes", "1")
    page.click("#spawn_form [type=submit]")
    page.wait_for_selector("li[data-step=queue].now")
    assert set(shown.servers(shown.user)) == {"second"}
    page.reload()
    page.wait_for_selector("li[data-step=queue].now")
    page.click("#hpc-change")
    page.wait_for_selector(".hpc-opens:visible")
    assert page.input_value("#hpc-nodes") == "1" and page.input_value("#hpc-walltime") == "01:30:00"
    shown.toy.control()
    page.click("#spawn_form [type=submit]")
    page.wait_for_url(f"{shown.url}/user/{shown.user}/second/lab/tree/**", timeout=90000)
    assert urlsplit(page.url).path.endswith("/second/lab/tree/t%C3%A4glich/a%3Fb.ipynb")


LAST = {"environment": "light", "profile": "small", "queue": "debug", "cores": 1, "walltime": "20m", "dask": True,
        "account": "bio", "memory": "1G"}


@pytest.mark.parametrize("query, card, fields", [
    ("opt-nodes=2", "As in the link", {"nodes": "2", "walltime": "", "cores": ""}),
    ("opt-profile=dask", "Dask on two nodes", {"nodes": "2", "walltime": "4h", "cores": ""}),
])
def test_of_the_last_session_only_the_account_comes_under_a_link(shown, page, query, card, fields):
    assert shown.spawn(shown.user, LAST)[-1].get("ready")
    shown.end_session()
    chrome.log_in(page, shown.url, shown.user)
    page.goto(f"{shown.url}/hub/spawn")
    assert page.input_value("#hpc-walltime") == "20m" and page.is_checked("text=Small"), "there is a last time"
    page.goto(f"{shown.url}/hub/spawn?{query}")
    assert page.is_checked(f"text={card}") and "As last time" not in page.inner_text(".hpc-presets")
    assert {name: page.input_value(f"#hpc-{name}") for name in fields} == fields
    assert page.input_value("#hpc-account") == "bio" and page.input_value("#hpc-memory") == ""
    assert page.is_checked("#hpc-dask") == ("dask" in query) and page.is_enabled("#hpc-cores")
    chrome.picture(page, f"form-link-over-last-time-{'preset' if 'profile' in query else 'fields'}")


def test_a_box_that_its_preset_ticks_and_the_link_does_not_stays_off(shown, browser, page):
    with chrome.page(browser) as maker:
        chrome.log_in(maker, shown.url, shown.user)
        maker.goto(f"{shown.url}/hub/spawn")
        maker.check("text=Dask on two nodes")
        assert "off" not in maker.input_value("#hpc-link")
        maker.click("summary:has-text('Parallel')")
        maker.uncheck("#hpc-dask")
        link = maker.input_value("#hpc-link")
    chrome.log_in(page, shown.url, shown.user)
    page.goto(link)
    assert page.is_checked("text=Dask on two nodes") and not page.is_checked("#hpc-dask")
    assert page.input_value("#hpc-link").endswith("&opt-dask=off")


@pytest.mark.parametrize("evil", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)"])
def test_a_link_leads_nowhere_else(shown, page, evil):
    chrome.log_in(page, shown.url, shown.user)
    page.on("request", lambda request: pytest.fail(request.url) if "evil" in urlsplit(request.url).netloc else None)
    page.goto(f"{shown.url}/hub/spawn?opt-environment=light&next={evil}")
    assert page.input_value("#hpc-environment") == "light"
    page.click("#spawn_form [type=submit]")
    page.wait_for_url(lambda url: "/hub/spawn" not in url, timeout=60000)
    assert page.url.startswith(f"{shown.url}/")


@pytest.mark.parametrize(("wanted", "next_"), [
    ("", None), ("a/b.ipynb", "/hub/user-redirect/lab/tree/a/b.ipynb"),
    ("/hub/user-redirect/tree/x", "/hub/user-redirect/tree/x"),
    ("https://github.com/o/r", "/hub/user-redirect/git-pull?repo=https%3A%2F%2Fgithub.com%2Fo%2Fr"
                               "&urlpath=lab%2Ftree%2Fr"),
    ("https://github.com/o/r.git/", "/hub/user-redirect/git-pull?repo=https%3A%2F%2Fgithub.com%2Fo%2Fr.git%2F"
                                    "&urlpath=lab%2Ftree%2Fr"),
    ("https://gitlab.com/o/r/-/tree/dev", "/hub/user-redirect/git-pull?repo=https%3A%2F%2Fgitlab.com%2Fo%2Fr&branch=dev"
                                          "&urlpath=lab%2Ftree%2Fr"),
])
def test_what_opens_afterwards(shown, page, wanted, next_):
    chrome.log_in(page, shown.url, shown.user)
    page.goto(f"{shown.url}/hub/spawn")
    page.click("summary:has-text('Share')")
    page.fill("#hpc-open", wanted)
    assert parse_qs(urlsplit(page.input_value("#hpc-link")).query).get("next", [None]) == [next_]
