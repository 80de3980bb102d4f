"""The waiting page and the home page on a real, full Slurm, whose every node has a job of bob's."""
import json
import re
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from support import browser as chrome
from support.running_hub import server_path, wait_for

ONLY = ("slurm",)
LOOKS = {"": {}, "-dark": {"dark": True}, "-phone": {"phone": True}}
OPTIONS = {"account": "geo", "walltime": "20m"}


@pytest.fixture(scope="module")
def bobs(cluster):
    """The jobs: one runs on all nodes, one waits for all of queue normal."""
    jobs = [cluster.fill("bob"), cluster.fill("bob")]
    wait_for(lambda: "RUNNING" in cluster.run("bob", "squeue", "-h", "-j", jobs[0], "-o", "%T").stdout, 60,
             lambda: "the job that fills the cluster does not run")
    yield jobs
    cluster.cancel("bob", *jobs)


@pytest.fixture
def full(idle, bobs):
    return idle


def begin(hub, server="", **options):
    answer = hub.api("POST", f"/users/alice/{server_path(server)}", {"user_options": {**OPTIONS, **options}})
    assert answer.status == 202, answer


def open_waiting(page, hub, server=""):
    chrome.log_in(page, hub.url, "alice")
    page.goto(f"{hub.url}/hub/spawn-pending/alice/{server}".rstrip("/"))
    page.wait_for_selector("li[data-step=queue].now", timeout=60000)


def card(page, server):
    return page.locator(f".hpc-home li[data-server='{server}']").inner_text()


def test_its_place_in_the_queue_and_the_counting_clock(full, browser):
    begin(full, dask=True)
    for look, how in LOOKS.items():
        with chrome.page(browser, **how) as page:
            open_waiting(page, full)
            page.wait_for_selector("#hpc-now:has-text('1 job is ahead of it in queue normal')", timeout=30000)
            assert "Starts when the server answers" in page.inner_text("li[data-step=runtimes]")
            page.wait_for_selector("text=/Expected to start in 0:[012][0-9]:[0-9][0-9], at /", timeout=30000)
            chrome.picture(page, f"slurm-queue{look}")
    with chrome.page(browser) as page:
        open_waiting(page, full)
        page.wait_for_selector("#hpc-clock:has-text('Expected')", timeout=30000)
        for clock in ("#hpc-clock", "li[data-step=queue] .hpc-step-time"):
            page.wait_for_function("([clock, before]) => document.querySelector(clock).textContent !== before",
                                   arg=[clock, page.inner_text(clock)], timeout=5000)
        page.goto(f"{full.url}/hub/home")
        assert "Waiting" in card(page, "") and "1 job is ahead of it in queue normal" in card(page, "")
        assert re.search(r"Expected to start at \d{4}-\d\d-\d\d .* \(estimate\)", card(page, ""))
        chrome.picture(page, "slurm-home-waiting")


@pytest.fixture
def short_queue(cluster):
    """Queue low allows less than an hour from a moment on."""
    def limit(time):
        cluster.admin("scontrol", "update", "PartitionName=low", f"MaxTime={time}")
    yield lambda: limit("10")
    limit("1-0")


def test_a_job_that_its_queue_does_not_allow_any_more_never_starts_and_can_be_changed(full, browser, short_queue):
    begin(full, queue="low")
    with chrome.page(browser) as page:
        open_waiting(page, full)
        short_queue()
        page.wait_for_selector("#hpc-stuck:visible", timeout=30000)
        assert page.inner_text("#hpc-stuck-why") == "the walltime is longer than this queue allows."
        assert "does not start" in page.inner_text("h1") and page.locator("li[data-step=queue].halted").count() == 1
        chrome.picture(page, "slurm-never")
        page.goto(f"{full.url}/hub/home")
        assert "Will not start" in card(page, "") and "Change the request" in card(page, "")
        page.click("text=Change the request")
        page.wait_for_selector("#hpc-stuck:visible", timeout=30000)
        page.click("#hpc-change.btn-primary")
        page.wait_for_url(f"{full.url}/hub/spawn/alice")
        assert (page.input_value("#hpc-queue"), page.input_value("#hpc-walltime")) == ("low", "20m")
    assert not full.cluster.jobs("alice") and not full.servers("alice")


def test_cancel_ends_the_job_of_this_server_and_no_other(full, browser):
    begin(full)
    full.progress("alice", until=lambda event: event.get("step") == "queue")
    first = full.cluster.jobs("alice")
    begin(full, "second")
    with chrome.page(browser) as page:
        open_waiting(page, full, "second")
        page.click("#hpc-cancel")
        page.wait_for_url(f"{full.url}/hub/home")
        assert "Waiting" in card(page, "") and not page.locator(".hpc-home li[data-server=second]").count()
    assert set(full.servers("alice")) == {""} and full.cluster.jobs("alice") == first


def test_from_a_link_by_the_queue_to_the_notebook_and_its_card_on_the_home_page(full, browser, bobs):
    """Last of this file: bob's jobs make room."""
    notebook = Path("~alice/lab 1.ipynb").expanduser()
    notebook.write_text(json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    shutil.chown(notebook, "alice")
    begin(full, "second", walltime="30m")
    with chrome.page(browser) as page:
        chrome.log_in(page, full.url, "alice")
        page.goto(f"{full.url}/hub/spawn?opt-account=geo&opt-walltime=20m"
                  "&next=/hub/user-redirect/lab/tree/lab%25201.ipynb")
        page.wait_for_selector(".hpc-opens:visible")
        page.click("#spawn_form button[type=submit]")
        page.wait_for_selector("li[data-step=queue].now", timeout=60000)
        full.cluster.run("alice", "scontrol", "hold", full.state("alice", "second")["job_id"])
        full.cluster.cancel("bob", *bobs)
        page.wait_for_url("**/lab/tree/**", timeout=60000)
        assert urlsplit(page.url).path == "/user/alice/lab/tree/lab%201.ipynb"
        page.goto(f"{full.url}/hub/home")
        assert re.search(r"Running[\s\S]*runs on n\d[\s\S]*1\d min left", card(page, "")), card(page, "")
        wait_for(lambda: page.reload() and "Will not start" in card(page, "second"), 20, lambda: card(page, "second"))
        chrome.picture(page, "slurm-home")
    notebook.unlink()
