"""Hostile requests over HTTP to a real Hub: never its mistake (500), never a job that nobody asked for."""
import random
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote, urlencode

import pytest
from support import hostile
from support.running_hub import wait_for

ONLY = ("newest",)
CROSS = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Origin": "https://evil.example"}
BOMBS = ("{0.__class__}", "{{7*7}}", "%s", "{username}")


@pytest.fixture(scope="module")
def hub(hostile_hub):
    return hostile_hub.log_in()


def test_forms(hub):
    generator = random.Random(2)
    counts = Counter(hub.try_form(hostile.form_data(generator)) for _ in range(50))
    assert set(counts) == {"refused, 400", "submitted as asked"}


def test_links_start_nothing(hub):
    generator = random.Random(3)
    for _ in range(200):
        hub.try_link(hostile.form_data(generator))


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_options_that_were_only_stored_are_checked_at_the_start(hub, method):
    """What is no JSON object at all JupyterHub itself does not take."""
    if method == "PUT":
        options = {"account": "x\n#SBATCH --uid=0"}
        stored = hub.rest("PUT", f"/users/{hub.user}/servers/stored", {"user_options": options})
        assert stored.status == 201
    else:
        stored = hub.rest("PATCH", f"/users/{hub.user}/servers/stored", {"user_options": {"cmd": ["id"]}})
        assert stored.status == 200
    assert hub.open("/hub/spawn/mallory/stored").status == 200
    answer = hub.rest("POST", f"/users/{hub.user}/servers/stored", {})
    assert answer.status == 400 and not hub.submitted()


def test_a_form_of_another_site_starts_nothing(hub):
    """It has the user's cookies and no token; a right form goes through, so that is what is missing."""
    form = {"account": "geo", "nodes": "1"}
    for headers in ({}, CROSS):
        answer = hub.open("/hub/spawn", form, headers=headers)
        assert answer.status == 403 and not hub.submitted()
    plain = {**CROSS, "Content-Type": "text/plain"}
    body = b'{"user_options": {"nodes": 1}}'
    for headers in (plain, {"Content-Type": "application/json"}):
        for road in (f"/hub/api/users/{hub.user}/server", "/hub/api/hpc-spawner/preview"):
            answer = hub.open(road, body=body, method="POST", headers=headers)
            assert answer.status == 403 and not hub.submitted()
    assert hub.try_form({name: [text] for name, text in form.items()}) == "submitted as asked"


def test_a_form_of_another_site_cancels_nothing(hub):
    """The same form with the token does, so that is what is missing."""
    (hub.directory / "take").touch()
    cancelled, road = hub.directory / "cancelled", f"/hub/api/hpc-spawner/cancel/{hub.user}"
    with ThreadPoolExecutor() as pool:
        start = pool.submit(hub.rest, "POST", f"/users/{hub.user}/server", {"user_options": {"account": "geo"}})
        try:
            wait_for(lambda: (hub.state(hub.user) or {}).get("job_id") == "7", 30, lambda: "nothing is submitted")
            for headers in ({}, CROSS, {"Content-Type": "text/plain"}):
                for path in (road, f"{road}/other", f"{road}?_xsrf=x"):
                    assert hub.open(path, {}, headers=headers).status == 403, (path, headers)
            assert hub.servers(hub.user)[""]["pending"] == "spawn" and not cancelled.exists()
        finally:
            (hub.directory / "take").unlink()
            hub.open(f"{road}?_xsrf={quote(hub.xsrf('/hub/'))}", {})
        start.result()
    wait_for(cancelled.exists, 30, lambda: "the session is not cancelled")
    wait_for(lambda: not hub.servers(hub.user), 30, lambda: "the session does not end")
    assert cancelled.read_text() == "7\n"
    (hub.directory / "taken").unlink()


@pytest.mark.parametrize("bomb", BOMBS)
def test_no_text_of_a_user_is_a_pattern_in_a_script_a_log_or_a_page(hub, bomb):
    """As a value and as a name: what comes out is what went in. Files and variables: see the function's own tests."""
    before = hub.log.stat().st_size
    for raw in ({"account": bomb}, {"working_dir": f"~/{bomb}"}, {"environment": f"~/{bomb}"}, {bomb: "x"}):
        hub.try_rest(raw)
        page = hub.open(f"/hub/spawn?{urlencode({f'opt-{name}': text for name, text in raw.items()})}").body.decode()
        assert bomb in raw or bomb in page
        assert "<class" not in page and ">49<" not in page
    log = hub.log.read_bytes()[before:].decode()
    assert f"{bomb}: is not an option here" in log
    assert not re.search(r"<class|KeyError|ValueError|TypeError|Logging error|\b49: is not", log), log[-3000:]
