"""Text of the batch system, of the site and of jobs is shown as text, whatever it holds; nothing sticks out."""
import json
import re

import pytest
from fakes import slurm_info
from support import browser as chrome
from support.running_hub import request, wait_for

ONLY = ("newest",)
# No line breaks: these are in tables that a line ends, and NUL ends a string for Slurm itself.
HOSTILE = "".join(["</script><script>window.pwned=1</script>", "<img src=x onerror=window.pwned=1>", "\"'><b>",
                   "`${1}`", "{{7*7}}{% raw %}", "&lt;i&gt;", "\u202eelttil\u2067", "\N{CROCODILE}", "\x1b[31m",
                   "e\u0301" * 10])
LONG = HOSTILE + "x" * 10000
SHORT = HOSTILE.replace(",", "")[:200]
PROFILES = {"evil": {"display_name": LONG, "description": LONG, "options": {"nodes": 1}}}
LOG = f"{LONG}\nsecond line\x00 with NUL\n"


def lines_of_sinfo():
    separator = "\x1f"
    gpus = f"gpu:{SHORT.replace(':', '')}:2"
    row = ["up", "1-00:00:00", "4", "idle", "8", "65536", f"mc,{SHORT}", gpus, "1-infinite"]
    return "".join(separator.join([name, *row]) + "\n" for name in ("normal", LONG, SHORT))


@pytest.fixture(scope="module")
def hub(environment, make_toy_hub, tmp_path_factory):
    more = f"c.HPCSpawner.profiles = {PROFILES!r}\nc.HPCSpawner.command_timeout = 30\n"
    hub = make_toy_hub(tmp_path_factory.mktemp("hostile"), environment, "slurm", {}, more)
    accounts = "".join(f"{hub.user}|{name}||{SHORT.replace('|', '')}\n" for name in ("geo", SHORT.replace("|", "")))
    reservation = slurm_info.reservation(SHORT.replace(" ", "")).replace("Accounts=bio,geo", "Accounts=(null)")
    for program, text in (("sinfo", lines_of_sinfo()), ("sacctmgr", accounts), ("scontrol-reservation", reservation)):
        (hub.toy.bin / f"{program}.txt").write_text(text)
        script = hub.toy.bin / program
        if program == "scontrol-reservation":
            own = hub.toy.bin / "scontrol"
            own.rename(hub.toy.bin / "scontrol-toy")
            own.write_text(f'#!/bin/sh\nif [ "$2" = reservation ]; then exec cat "{script}.txt"; fi\n'
                           f'exec "{hub.toy.bin}/scontrol-toy" "$@"\n')
            own.chmod(0o755)
        else:
            script.write_text('#!/bin/sh\nexec cat "$0.txt"\n')
    hub.start().add_user(hub.user)
    yield hub
    hub.clean()
    hub.stop()


@pytest.fixture(params=["wide", "phone"])
def page(request, hub, browser):
    hub.clean()
    with chrome.page(browser, phone=request.param == "phone") as page:
        page.look = request.param
        page.on("dialog", lambda dialog: pytest.fail("a script ran"))
        chrome.log_in(page, hub.url, hub.user)
        yield page
    hub.clean()


def assert_harmless(page, name):
    chrome.picture(page, f"hostile-{name}-{page.look}", whole=False)
    assert page.evaluate("window.pwned") is None
    assert not page.locator("main b, main img, main script:not([src])").count()
    assert chrome.fits(page), page.evaluate(
        "[...document.querySelectorAll('main *')].filter((e) => e.getBoundingClientRect().right > innerWidth)"
        ".map((e) => e.outerHTML.slice(0, 80))")
    assert "49" not in page.inner_text("h1")


def test_the_form(hub, page):
    page.goto(f"{hub.url}/hub/spawn/{hub.user}?opt-memory={'%22%3E%3Cb%3E' * 50}&opt-working_dir=~/{'y' * 3000}"
              "&next=/hub/%E2%80%AE%3Cb%3E" + "z" * 2000)
    page.wait_for_selector("#hpc-memory-error:visible")  # which opens its group
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert page.locator("#hpc-queue option").count() == 4 and page.locator("#hpc-account option").count() == 3
    assert "{{7*7}}{% raw %}" in page.inner_text(".hpc-card:nth-of-type(2)")
    assert_harmless(page, "form")
    page.select_option("#hpc-queue", index=2)
    page.click("#spawn_form [type=submit]")
    page.wait_for_selector(".is-invalid:focus")
    assert_harmless(page, "form-errors")


def test_a_reason(hub, page):
    hub.toy.control(hold="busy")
    hub.begin(environment="light")
    page.goto(f"{hub.url}/hub/spawn-pending/{hub.user}")
    page.wait_for_selector("li[data-step=queue].now")
    job, = hub.toy.jobs()
    hub.toy.store.write({**hub.toy.store.job(job["number"]), "reason": HOSTILE.replace("\x1b", "") + "w" * 3000})
    page.wait_for_selector("text={{7*7}}")
    assert_harmless(page, "reason")


def test_names_of_servers_and_nodes(hub, page):
    """JupyterHub lets people name a server as they like, up to 255 characters."""
    title = f"</script><script>window.pwned=1</script><img src=x onerror=window.pwned=1>\"'><b>{{{{7*7}}}}{'x' * 150}"
    body = {"display_name": title, "user_options": {"environment": "light"}}
    (hub.home / ".jupyterhub.env").write_text("until [ -e ~/go ]; do sleep 0.1; done\nreturn 5\n")
    assert hub.api("POST", f"/users/{hub.user}/servers/second", body).status < 300
    page.goto(f"{hub.url}/hub/spawn-pending/{hub.user}/second")
    page.wait_for_selector("li[data-step=node].now")
    assert "{{7*7}}" in page.inner_text("h1")
    job, = hub.toy.jobs()
    hub.toy.store.write({**hub.toy.store.job(job["number"]), "hosts": [f"{SHORT}{'n' * 300}"]})
    page.wait_for_selector("li[data-step=node] .hpc-step-text:has-text('{{7*7}}')")
    assert_harmless(page, "names")
    page.goto(f"{hub.url}/hub/home")
    assert "{{7*7}}" in page.inner_text(".hpc-home h3")
    assert_harmless(page, "names-home")
    (hub.home / "go").touch()
    page.goto(f"{hub.url}/hub/spawn-pending/{hub.user}/second")
    page.wait_for_selector("#hpc-failed:visible", timeout=60000)
    assert "{{7*7}}" in page.inner_text("h1") and "{{7*7}}" in page.text_content("#hpc-report")
    assert_harmless(page, "names-failure")
    (hub.home / "go").unlink()


def test_a_log(hub, page):
    text = json.dumps(LOG).replace("\\u0000", "\\u0001")
    (hub.home / "log.txt").write_text(json.loads(text))
    (hub.home / ".jupyterhub.env").write_text('cat "$HOME/log.txt" >&2\nreturn 5\n')
    hub.toy.control(hold="busy")
    hub.begin(environment="light")
    page.goto(f"{hub.url}/hub/spawn-pending/{hub.user}")
    page.wait_for_selector("li[data-step=queue].now")
    hub.toy.control()
    page.wait_for_selector("#hpc-failed:visible", timeout=60000)
    page.click("#hpc-failed summary")
    assert "</script><script>window.pwned=1</script>" in page.inner_text("#hpc-failed pre")
    assert_harmless(page, "log")
    page.reload()
    page.wait_for_selector("#start")
    assert page.evaluate("window.pwned") is None


# As long as a report may be: 1000 characters.
SAID = f"{HOSTILE}\nsecond line\r\n\u2028third{'z' * 1000}"[:1000]


def report(hub, phase):
    """What the job says to the Hub in its own words, whatever it is."""
    directory = hub.home / "sessions" / hub.state(hub.user)["name"]
    plan = json.loads((directory / "plan.json").read_text())
    token = re.search(r"JUPYTERHUB_API_TOKEN=(\S+)", (directory / "environment.sh").read_text())[1]
    body = {"session": plan["session"], "secret": plan["secret"], "phase": phase, "address": "127.0.0.1",
            "message": SAID}
    assert request("POST", f"{hub.url}/hub/api/hpc-spawner/report", body, token).status == 204


def test_what_a_job_says_of_its_failure(hub, page):
    (hub.home / ".jupyterhub.env").write_text("until [ -e ~/go ]; do sleep 0.1; done\n")
    hub.begin(environment="light")
    page.goto(f"{hub.url}/hub/spawn-pending/{hub.user}")
    page.wait_for_selector("li[data-step=node].now")
    report(hub, "failed")
    page.wait_for_selector("#hpc-failed:visible >> text={{7*7}}", timeout=60000)
    assert "<script>window.pwned=1</script>" in page.inner_text("#hpc-failed")
    assert_harmless(page, "said-failed")
    page.goto(f"{hub.url}/hub/spawn-pending/{hub.user}")
    page.wait_for_selector("main >> text={{7*7}}")
    assert_harmless(page, "said-failed-again")


def test_what_a_job_says_of_its_end(hub, page):
    """On the home page and above the form, with the end of its log."""
    text = json.dumps(LOG).replace("\\u0000", "\\u0001")
    (hub.home / "log.txt").write_text(json.loads(text))
    (hub.home / ".jupyterhub.env").write_text('cat "$HOME/log.txt" >&2\n')
    assert hub.spawn(hub.user, {"environment": "light"})[-1].get("ready")
    report(hub, "ended")
    wait_for(lambda: not hub.servers(hub.user), 60, lambda: "the session does not end", pause=0.3)
    for path, place in (("home", ".hpc-home"), (f"spawn/{hub.user}", "main")):
        page.goto(f"{hub.url}/hub/{path}")
        page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        assert "<script>window.pwned=1</script>" in page.inner_text(place)
        assert_harmless(page, f"said-ended-{path[:5]}")


def test_a_refusal(hub, page):
    sbatch = hub.toy.bin / "sbatch"
    own = sbatch.read_text()
    sbatch.write_text('#!/bin/sh\nsleep 3; cat "$0.txt" >&2; exit 1\n')
    (hub.toy.bin / "sbatch.txt").write_text(f"sbatch: error: Batch job submission failed: {LONG}\n")
    try:
        page.goto(f"{hub.url}/hub/spawn/{hub.user}")
        with page.expect_navigation(timeout=60000):  # the form may show the failure before
            page.click("#spawn_form [type=submit]")
        page.wait_for_selector("[role=alert]:visible >> text={{7*7}}", timeout=60000)
    finally:
        sbatch.write_text(own)
    assert_harmless(page, "refusal")
