"""The waiting page in a real browser: live steps, cancel of this server and no other, failures with the log."""
import os
import re
import signal
import subprocess
import time
from contextlib import contextmanager

import pytest
from support import browser as chrome
from support.running_hub import is_free, wait_for

from jupyterhub_hpc_spawner.demo import proxy_command

LIGHT = {"environment": "light"}


@pytest.fixture(scope="module")
def hub(environment, make_toy_hub, tmp_path_factory):
    hub = make_toy_hub(tmp_path_factory.mktemp("waiting"), environment, "slurm", {})
    with open(hub.directory / "jupyterhub_config.py", "a") as config:
        deaf = hub.toy.make_deaf_environment(environment / "bin/python3")
        config.write(f'c.HPCSpawner.environments["deaf"] = {{"path": "{deaf}"}}\n')
    hub.start()
    hub.add_user(hub.user)
    yield hub
    hub.clean()
    hub.stop()


@pytest.fixture
def idle(hub):
    hub.clean()
    yield hub
    hub.clean()


LOOKS = [(False, False), (True, False), (False, True)]


def look(dark, phone):
    return f"{'-dark' if dark else ''}{'-phone' if phone else ''}"


def in_the_queue(hub, page):
    chrome.log_in(page, hub.url, hub.user)
    page.goto(f"{hub.url}/hub/spawn-pending/{hub.user}")
    page.wait_for_selector("li[data-step=queue].now")


def forget(hub, *numbers):
    """Jobs that are only a record have no end."""
    for number in numbers:
        (hub.toy.store.folder / f"{number}.json").unlink()
        hub.toy.store.path(number, "script").unlink()
        hub.toy.store.path(number).rmdir()


@pytest.fixture
def others(idle):
    """Three jobs of others, two of them ahead of everybody in queue normal."""
    for number, why in ((9001, "priority"), (9002, "busy"), (9003, "held")):
        idle.toy.put(number, priority=5000000 + number, why=why, walltime=3600)
    yield idle
    forget(idle, 9001, 9002, 9003)


@pytest.mark.parametrize(("dark", "phone"), LOOKS)
def test_a_job_in_the_queue(others, browser, dark, phone):
    others.toy.control(hold="busy", estimate=time.time() + 1800)
    others.begin(**LIGHT, dask=True, ipyparallel=True)
    with chrome.page(browser, dark, phone) as page:
        in_the_queue(others, page)
        assert "2 jobs are ahead of it in queue normal" in page.inner_text("#hpc-now")
        assert page.get_attribute("li[data-step=queue]", "aria-current") == "step"
        runtimes = page.inner_text("li[data-step=runtimes]")
        assert "Dask and IPyParallel" in runtimes and "Start when the server answers" in runtimes
        page.wait_for_selector("text=/Expected to start in 0:2[0-9]:[0-9][0-9]/")
        assert page.locator("#hpc-stuck").is_hidden()
        chrome.picture(page, f"waiting-queue{look(dark, phone)}")


def test_the_clock_counts_and_says_when_the_start_is_late_and_is_not_read_aloud_each_second(idle, browser):
    idle.toy.control(hold="busy", estimate=time.time() + 4)
    idle.begin(**LIGHT)
    with chrome.page(browser) as page:
        in_the_queue(idle, page)
        page.evaluate("""window.spoken = 0; new MutationObserver((all) => { window.spoken += all.length; })
            .observe(document.getElementById("hpc-now"), { childList: true, characterData: true, subtree: true })""")
        page.wait_for_selector("text=/It is late: the batch system.s estimate was .*0:00:0[2-9] ago/", timeout=30000)
        assert page.evaluate("window.spoken") == 0
        assert page.get_attribute("#hpc-clock", "aria-hidden") == "true"
        chrome.picture(page, "waiting-late")


@pytest.mark.parametrize(("dark", "phone"), LOOKS)
def test_a_job_that_can_never_start_is_a_warning_and_the_way_out_comes_first(idle, browser, dark, phone):
    idle.toy.control(hold="busy")
    idle.begin(**LIGHT)
    with chrome.page(browser, dark, phone) as page:
        in_the_queue(idle, page)
        idle.toy.control(hold="never")
        page.wait_for_selector("#hpc-stuck:visible")
        assert "It will not start as it stands: the request does not fit this queue." in page.inner_text("#hpc-stuck")
        assert page.locator("#hpc-change.btn-primary").count() == 1 and page.locator("li.now.halted").count() == 1
        chrome.picture(page, f"waiting-never{look(dark, phone)}")
        idle.toy.control(hold="busy")
        page.wait_for_selector("#hpc-stuck", state="hidden")
        assert page.locator("#hpc-change.btn-primary").count() == 0


def steps(page):
    return page.evaluate("""[...document.querySelectorAll("#hpc-steps li")].map((each) => [each.className.trim(),
        each.querySelector(".hpc-step-text").textContent, each.querySelector(".hpc-step-time").title])""")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_who_comes_back_sees_the_same_steps_with_the_same_times_also_after_the_hub_was_away(others, browser, number):
    others.toy.control(hold="busy")
    others.begin(**LIGHT)
    with chrome.page(browser) as page:
        in_the_queue(others, page)
        before = steps(page)
        page.goto("about:blank")
        page.goto(f"{others.url}/hub/spawn-pending/{others.user}")
        page.wait_for_selector("li[data-step=queue].now")
        assert steps(page) == before
        others.stop(number)
        others.start()
        page.goto(f"{others.url}/hub/spawn-pending/{others.user}")
        page.wait_for_selector("#hpc-now:has-text('2 jobs are ahead of it')")
        assert steps(page) == before


@contextmanager
def new_proxy(hub):
    """As a Hub that starts has it at first, instead of the last Hub's: it knows no way yet."""
    os.kill(int((hub.directory / "proxy.pid").read_text()), signal.SIGTERM)
    wait_for(lambda: is_free(hub.address, hub.port), 20, lambda: "the last proxy does not end")
    with subprocess.Popen([*proxy_command(), "--ip", hub.address, "--port", str(hub.port),
                           "--error-target", f"http://{hub.address}:{hub.hub_port}/hub/error"]) as proxy:
        try:
            yield
        finally:
            proxy.terminate()


def test_a_page_that_stays_open_goes_on_when_the_hub_is_back(idle, browser):
    idle.toy.control(hold="busy")
    idle.begin(**LIGHT)
    with chrome.page(browser) as page:
        in_the_queue(idle, page)
        idle.stop(signal.SIGKILL)  # the proxy lives on
        page.wait_for_selector("#hpc-now:has-text('The Hub does not answer just now')", timeout=60000)
        with new_proxy(idle):
            for _ in range(2):
                page.wait_for_event("response", lambda response: response.status == 404, timeout=60000)
        idle.start()
        page.wait_for_selector("#hpc-now:has-text('next in line')", timeout=60000)
        idle.toy.control()
        page.wait_for_url(f"{idle.url}/user/{idle.user}/**", timeout=60000)


def test_suspended_and_put_back_before_the_start_show_as_such(idle, browser):
    (idle.home / ".jupyterhub.env").write_text("until [ -e ~/go ]; do sleep 0.1; done\n")
    idle.begin(**LIGHT)
    with chrome.page(browser) as page:
        chrome.log_in(page, idle.url, idle.user)
        page.goto(f"{idle.url}/hub/spawn-pending/{idle.user}")
        page.wait_for_selector("li[data-step=node].now")
        assert page.inner_text("li[data-step=node] .hpc-step-text") == "toy1"
        idle.toy.control(suspend=True)
        page.wait_for_selector("li[data-step=node].now.halted")
        assert "is suspended by the batch system" in page.inner_text("#hpc-now")
        chrome.picture(page, "waiting-suspended")
        idle.toy.control(code="PENDING")
        page.wait_for_selector("li[data-step=queue].now")
        assert "was put back into the queue" in page.inner_text("#hpc-now")
        assert not page.inner_text("li[data-step=node] .hpc-step-text")
        chrome.picture(page, "waiting-put-back")
        idle.toy.control()
        page.wait_for_selector("li[data-step=node].now")
        (idle.home / "go").touch()
        page.wait_for_url(f"{idle.url}/user/{idle.user}/**", timeout=60000)
    (idle.home / "go").unlink()


def test_dask_is_a_step_with_its_time_that_the_session_does_not_wait_for(idle, browser):
    """The server answers its job, and the Hub only when there is a file: so the page stays while Dask starts."""
    go = idle.home / "go"
    go.unlink(missing_ok=True)
    idle.begin(environment="deaf", dask=True, dask_workers_per_node=1)
    with chrome.page(browser) as page:
        chrome.log_in(page, idle.url, idle.user)
        page.goto(f"{idle.url}/hub/spawn-pending/{idle.user}")
        page.wait_for_selector("li[data-step=runtimes].now .hpc-step-time:text-matches('0:00:0.')", timeout=60000)
        page.wait_for_selector("li[data-step=runtimes].done:has-text('Dask has started.')", timeout=60000)
        took = page.inner_text("li[data-step=runtimes] .hpc-step-time")
        assert re.fullmatch("0:00:[0-5].", took) and page.locator("li[data-step=server].now").count() == 1
        for each in LOOKS:
            with chrome.page(browser, *each) as later:
                chrome.log_in(later, idle.url, idle.user)
                later.goto(f"{idle.url}/hub/spawn-pending/{idle.user}")
                later.wait_for_selector(f"li[data-step=runtimes].done:has-text('{took}')")
                chrome.picture(later, f"waiting-dask{look(*each)}")
        go.touch()
        page.wait_for_url(f"{idle.url}/user/{idle.user}/**", timeout=60000)
        page.goto(f"{idle.url}/hub/home")
        assert "runs on toy1. Dask has started." in page.inner_text(".hpc-home li")
        chrome.picture(page, "home-dask")


def test_without_runtimes_there_is_no_such_step(idle, browser):
    idle.toy.control(hold="busy")
    idle.begin(**LIGHT)
    with chrome.page(browser) as page:
        in_the_queue(idle, page)
        assert page.locator("li[data-step=runtimes]").is_hidden()


def test_it_leads_to_the_session(idle, browser):
    idle.toy.control(hold="busy")
    idle.begin(**LIGHT)
    with chrome.page(browser) as page:
        chrome.log_in(page, idle.url, idle.user)
        page.goto(f"{idle.url}/hub/spawn-pending/{idle.user}")
        page.wait_for_selector("li[data-step=queue].now")
        idle.toy.control()
        page.wait_for_url(f"{idle.url}/user/{idle.user}/**", timeout=60000)


# Notifications as they are, and what was said in them; the page as when another one is looked at.
LISTEN = """
window.Notification = class extends Notification {
  constructor(title, options) {
    super(title, options);
    window.heard(`${title}: ${options.body}`);
  }
};
Object.defineProperty(document, "hidden", { get: () => true });
"""


@pytest.mark.parametrize(("last_word", "told"), [("", "Your session is ready"),
                                                 ("false\n", "Your session could not start")])
def test_who_wants_to_be_told_is(idle, browser, last_word, told):
    idle.toy.control(hold="busy")
    (idle.home / ".jupyterhub.env").write_text(last_word)
    idle.begin(**LIGHT)
    heard = []
    with chrome.page(browser) as page:
        page.context.grant_permissions(["notifications"], origin=idle.url)
        page.expose_function("heard", lambda text: heard.append(text))
        page.add_init_script(LISTEN)
        in_the_queue(idle, page)
        page.click("#hpc-notify")
        assert page.inner_text("#hpc-notify:disabled") == "You will be told"
        page.reload()
        assert page.inner_text("#hpc-notify:disabled") == "You will be told"
        idle.toy.control()
        wait_for(lambda: page.wait_for_timeout(50) or heard, 60, lambda: "nothing was told")
        assert [text.startswith(f"{told}: ") for text in heard] == [True]
        idle.clean()
        idle.toy.control(hold="busy")
        idle.begin(**LIGHT)
        page.goto(f"{idle.url}/hub/spawn-pending/{idle.user}")
        assert page.inner_text("#hpc-notify:enabled") == "Tell me when it is ready", "the wish was for that start"


def begin(hub, server, hold="busy"):
    hub.toy.control(hold=hold)
    answer = hub.api("POST", f"/users/{hub.user}/servers/{server}" if server else f"/users/{hub.user}/server",
                     {"user_options": LIGHT})
    assert answer.status in (201, 202), answer


@pytest.mark.parametrize("server", ["", "second"])
def test_cancel_ends_this_server_and_no_other(idle, browser, server):
    begin(idle, "" if server else "second")
    begin(idle, server)
    with chrome.page(browser) as page:
        chrome.log_in(page, idle.url, idle.user)
        page.goto(f"{idle.url}/hub/spawn-pending/{idle.user}/{server}".rstrip("/"))
        page.wait_for_selector("li[data-step=queue].now")
        page.click("#hpc-cancel")
        page.wait_for_url(f"{idle.url}/hub/home")
    assert set(idle.servers(idle.user)) == {"" if server else "second"}
    idle.api("DELETE", f"/users/{idle.user}/servers/second")
    wait_for(lambda: "second" not in idle.servers(idle.user), 30, lambda: "the named server does not stop")


def test_change_leads_back_to_the_form_with_what_was_chosen(idle, browser):
    idle.toy.control(hold="busy")
    idle.begin(**LIGHT, nodes=2, walltime="2h")
    with chrome.page(browser) as page:
        chrome.log_in(page, idle.url, idle.user)
        page.goto(f"{idle.url}/hub/spawn-pending/{idle.user}")
        page.wait_for_selector("li[data-step=queue].now")
        page.click("#hpc-change")
        page.wait_for_url(f"{idle.url}/hub/spawn/{idle.user}")
        assert page.input_value("#hpc-nodes") == "2" and page.input_value("#hpc-walltime") == "2h"
    assert not idle.toy.jobs()


HOSTILE = "module <script>alert(1)</script> {{ 7 * 7 }} 'is' \"not\" there"


@pytest.mark.parametrize(("dark", "phone"), LOOKS)
def test_a_failure_says_what_and_what_to_try_and_shows_the_end_of_the_log_as_text(idle, browser, dark, phone):
    (idle.home / ".jupyterhub.env").write_text(f"cat <<'END'\n{HOSTILE}\nEND\nfalse\n")
    idle.toy.control(hold="busy")
    idle.begin(**LIGHT)
    with chrome.page(browser, dark, phone) as page:
        in_the_queue(idle, page)
        idle.toy.control()
        page.wait_for_selector("#hpc-failed:visible", timeout=60000)
        said = page.inner_text(".hpc-failed-what")
        assert "could not start your session" in said and ".jupyterhub.env ended with status 1" in said
        assert "FAILED (NonZeroExitCode)" in page.inner_text(".hpc-failed-words")
        assert "Mend it, then try again" in page.inner_text(".hpc-failed-advice")
        assert page.locator("li.failed").count() == 1 and page.locator("li[data-step=submit].done").count() == 1
        assert page.locator("#hpc-failed pre:visible").count() == 0
        page.click("#hpc-failed .hpc-log summary")
        assert HOSTILE in page.inner_text("#hpc-failed .hpc-log pre")
        page.click("#hpc-failed .hpc-help-desk summary")
        report = page.inner_text("#hpc-report")
        assert re.search(r"Job: \d+\nServer: the default one\nTime: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", report)
        assert HOSTILE in report and f"Hub: {idle.url}/hub/" in report
        assert page.locator("#hpc-copy:visible").count() == 1
        chrome.picture(page, f"waiting-failed{look(dark, phone)}")


def fails(hub):
    """A session that ended before its start, while nobody looked."""
    hub.begin(**LIGHT)
    event = hub.progress(hub.user)[-1]
    assert event.get("failed"), event


@pytest.mark.parametrize("javascript", [True, False])
def test_a_failure_while_the_page_was_closed_waits_for_who_comes_back(idle, browser, javascript):
    (idle.home / ".jupyterhub.env").write_text("false\n")
    with chrome.page(browser, javascript=javascript) as page:
        chrome.log_in(page, idle.url, idle.user)
        fails(idle)
        for address in (f"hub/spawn-pending/{idle.user}", f"user/{idle.user}/lab"):
            page.goto(f"{idle.url}/{address}")
            assert ".jupyterhub.env ended with status 1" in page.inner_text(".hpc-failed-what")
        page.click("#start")
        page.wait_for_url(f"{idle.url}/hub/spawn/{idle.user}**")
        assert ".jupyterhub.env ended with status 1" in page.inner_text("#hpc-failed")
        chrome.picture(page, "form-after-a-failure")
    (idle.home / ".jupyterhub.env").unlink()
    idle.begin(**LIGHT)
    assert idle.progress(idle.user)[-1].get("ready")
    idle.end_session()
    with chrome.page(browser) as page:
        chrome.log_in(page, idle.url, idle.user)
        page.goto(f"{idle.url}/hub/spawn/{idle.user}")
        page.wait_for_selector("#hpc-nodes", state="attached")
        assert page.locator("#hpc-failed").count() == 0


@pytest.mark.parametrize(("trouble", "words", "advice", "button"), [
    ("refuse", "Invalid account or account/partition combination specified", "Change the request",
     "Change the request"),
    ("down", "Unable to contact slurm controller", "Nothing is wrong with your request", "Try again"),
])
def test_what_the_scheduler_refused_or_did_not_take(idle, browser, trouble, words, advice, button):
    idle.toy.faults(submit=trouble)
    with chrome.page(browser) as page:
        chrome.log_in(page, idle.url, idle.user)
        fails(idle)
        page.goto(f"{idle.url}/hub/spawn-pending/{idle.user}")
        assert words in page.inner_text(".hpc-failed-words") and advice in page.inner_text(".hpc-failed-advice")
        assert page.inner_text("#start") == button
        chrome.picture(page, f"waiting-{trouble}")


@pytest.mark.parametrize(("submit", "step"), [("", "queue"), ("slow 12", "submit")])
def test_what_takes_too_long_ends_with_advice_and_without_a_job(impatient, browser, submit, step):
    """Also where JupyterHub gives up first, since there is no job yet."""
    impatient.toy.control(hold="busy")
    impatient.toy.faults(submit=submit)
    with chrome.page(browser) as page:
        chrome.log_in(page, impatient.url, impatient.user)
        impatient.begin(**LIGHT)
        page.goto(f"{impatient.url}/hub/spawn-pending/{impatient.user}")
        page.wait_for_selector(f"li[data-step={step}].now")  # and looked at until the end
        page.wait_for_selector(".hpc-failed-what", timeout=30000)
        assert "did not start your session within" in page.inner_text(".hpc-failed-what")
        assert "Choose a queue with idle nodes" in page.inner_text(".hpc-failed-advice")
        assert page.inner_text("#start") == "Change the request"
        assert page.locator(f"li[data-step={step}].failed").count() == 1
    impatient.assert_nothing_left()


def test_a_server_that_the_hub_does_not_reach_is_told_with_advice(impatient, browser):
    impatient.begin("second", environment="deaf")
    assert impatient.progress(impatient.user, "second")[-1].get("failed")
    with chrome.page(browser) as page:
        chrome.log_in(page, impatient.url, impatient.user)
        page.goto(f"{impatient.url}/hub/spawn-pending/{impatient.user}/second")
        assert "did not start" in page.inner_text("h1") and "second" in page.inner_text("h1")
        said = page.inner_text(".hpc-failed-what")
        assert re.search(r"Job \d+ runs your server, but the Hub got no answer from it at \S+:\d+ within", said), said
        assert "another node may do" in page.inner_text(".hpc-failed-advice")
        assert page.inner_text("#start") == "Try again" and page.locator("li[data-step=server].failed").count() == 1
        chrome.picture(page, "waiting-unreachable")
        page.click("#start")
        page.wait_for_selector("#hpc-failed:has-text('no answer from it')")
    impatient.assert_nothing_left()
