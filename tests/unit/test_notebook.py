"""``session()`` in a notebook: what it says of any session file, as text and as HTML."""
import json
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from jupyterhub_hpc_spawner.notebook import facts, plain, session, show, versions

NOW = 1_800_000_000
SESSION = {"job_id": "35", "nodes": ["n1", "n2"], "account": "geo", "queue": "normal", "start": NOW - 60, "end": None,
           "ends": NOW + 5000, "runtimes": {}}
DASK = {"state": "running", "address": "tls://10.0.0.1:4567", "workers": 8,
        "dashboard": "/user/alice/dask-dashboard/status"}
ENGINES = {"state": "running", "client_file": "/s/ipp/client.json", "engines": 4, "mpi": True}


@pytest.fixture
def tell(tmp_path, monkeypatch):
    """Put this into the session file; the card."""
    monkeypatch.setenv("HPC_SESSION_FILE", str(tmp_path / "session.json"))
    monkeypatch.setattr(show.time, "time", lambda: NOW)

    def tell(content=None, runtimes=None, versions=None, **fields):
        content = dict(SESSION, **fields, runtimes=runtimes or {}) if content is None else content
        (tmp_path / "session.json").write_text(content if isinstance(content, str) else json.dumps(content))
        if versions:
            (tmp_path / "dask-versions.json").write_text(json.dumps(versions))
        return session()
    return tell


class Page(HTMLParser):
    """The elements, links and text of a card."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.links, self.text = set(), set(), [], ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attributes)
        self.links += [value for name, value in attributes if name == "href"]

    def handle_data(self, data):
        self.text += data


def assert_harmless(card):
    """Both forms can be shown anywhere, and hold no markup but ours."""
    text, html = repr(card), card._repr_html_()
    assert all(letter.isprintable() or letter == "\n" for letter in text + html)
    page = Page(html)
    assert page.tags <= {"div", "span", "pre", "a"}
    assert page.attributes <= {"style", "aria-hidden", "href", "target", "rel"}
    assert all(link.startswith("/") and link[1:2] not in ("/", "\\") for link in page.links)
    return page


def test_a_session_with_both_runtimes(tell):
    card = tell(runtimes={"dask": DASK, "ipyparallel": ENGINES})
    until = plain.clock(NOW + 5000, NOW)
    expected = f"""Session of job 35, running
  Nodes       2: n1, n2
  Account     geo
  Queue       normal
  Started     {plain.clock(NOW - 60, NOW)}
  Time left   1 h 23 min, until {until}
  Dask, running
    Connect     from dask.distributed import Client; client = Client()
    Address     tls://10.0.0.1:4567
    Workers     8 expected
    Dashboard   /user/alice/dask-dashboard/status
  IPyParallel, running
    Connect     import os, ipyparallel as ipp; rc = ipp.Client(os.environ["IPP_CLIENT_FILE"])
    Client file /s/ipp/client.json
    Engines     4 expected
    MPI         yes"""
    assert repr(card) == expected
    page = assert_harmless(card)
    assert page.links == ["/user/alice/dask-dashboard/status"]
    for words in ("Session of job 35", "2: n1, n2", "1 h 23 min, until", "tls://10.0.0.1:4567", "8 expected"):
        assert words in page.text


@pytest.mark.parametrize(("state", "count", "shown"), [
    ("running", {"own": 7, "extra": 0}, "7 of 8\n"),
    ("running", {"own": 8, "extra": 12}, "8 of 8, 12 extra\n"),
    ("starting", {"own": 2}, "2 of 8\n"),
    ("running", None, "8 expected\n"),
    ("running", "no JSON", "8 expected\n"),
    ("running", {"own": ["<b>"], "extra": {}}, "? of 8\n"),
    ("failed", {"own": 8}, "8\n"),
])
def test_how_many_workers_there_are_is_what_the_scheduler_tells_in_its_file(tell, tmp_path, state, count, shown):
    if count is not None:
        (tmp_path / "dask-workers.json").write_text(count if isinstance(count, str) else json.dumps(count))
    card = tell(runtimes={"dask": {**DASK, "state": state}})
    assert "    Workers     " + shown in repr(card)
    assert shown.strip() in assert_harmless(card).text


def test_how_many_engines_there_are_is_what_the_controller_tells(tell, tmp_path):
    (tmp_path / "ipp").mkdir()
    (tmp_path / "ipp/engines.json").write_text('{"own": 3}')
    assert "    Engines     3 of 4\n" in repr(tell(runtimes={"ipyparallel": ENGINES}))


@pytest.mark.parametrize(("ends", "told"), [
    (f"{NOW - 500}\n{NOW - 60}\n", f"no task for long: 2, the last at {plain.clock(NOW - 60, NOW)}."),
    ("", None), ("soon\n", None), ("-5\n", None), ("9" * 400, None),
])
def test_extra_jobs_that_ended_for_want_of_tasks_are_told(tell, tmp_path, ends, told):
    (tmp_path / "idle-ends").write_text(ends)
    text = repr(tell())
    assert told in text if told else "Extra jobs" not in text


def test_the_time_left_is_that_of_the_moment_of_showing(tell, monkeypatch):
    card = tell()
    assert "1 h 23 min" in repr(card) and "1 h 23 min" in card._repr_html_()
    monkeypatch.setattr(show.time, "time", lambda: NOW + 4960)
    assert "40 s, until" in repr(card) and "40 s, until" in card._repr_html_()


@pytest.mark.parametrize("left, warned", [(5000, False), (600, False), (599, True), (-5, True)])
def test_who_has_little_time_left_is_told_to_save(tell, left, warned):
    assert ("save your work" in repr(tell(ends=NOW + left))) is warned


@pytest.mark.parametrize("fields, present, absent", [
    ({"account": None, "queue": None}, "Started", "Account"),
    ({"ends": None}, "Time left   not known", "until"),
    ({"end": NOW - 5}, "Session of job 35, ended", "Time left"),
    ({"job_id": ""}, "Session, running", "job"),
    ({"nodes": [f"n{n}" for n in range(100)]}, "100: n0, n1, n2, n3, n4, n5, n6, n7 and 92 more", "n8"),
    ({"nodes": ["n1.site.org", "n2.site.org"]}, "2: n1, n2\n", "site"),
    ({"nodes": ["n1.site.org", "n1.cloud.org"]}, "2: n1.site.org, n1.cloud.org", "n2"),
    ({"nodes": ["10.0.0.1"]}, "1: 10.0.0.1\n", "n1"),
    ({"nodes": [".", "..", "n1"]}, "3: ., .., n1", "None"),
    ({"start": NOW - 200_000}, "Started     2027-", "None"),
    ({}, "Runtimes    none was asked for", "Dask"),
])
def test_what_does_not_apply_is_left_out(tell, fields, present, absent):
    text = repr(tell(**fields))
    assert present in text and absent not in text


@pytest.mark.parametrize("error, words", [
    ("the scheduler ended with status 1\nModuleNotFoundError: No module named 'distributed'",
     "Client() does not connect. The session's software environment has no distributed: install it"),
    ("the scheduler did not answer within 60 s\n", "try once more"),
    ("the workers ended with status 137\n", "Client() connects, but workers are missing. The job's memory may be too"),
    ("[Errno 122] Disk quota exceeded: '/home/alice/x'", "look at your quota"),
    ("the stars are wrong", "Client() does not connect."),
])
def test_an_error_comes_with_its_reason_and_what_to_do(tell, tmp_path, error, words):
    card = tell(runtimes={"dask": {"state": "failed", "error": error}})
    text = " ".join(repr(card).split())
    assert error.split("\n")[0] in text and words in text
    assert f"The logs are in {tmp_path}" in text and "session().restart() starts it again" in text
    assert words in assert_harmless(card).text


def test_the_end_of_a_long_log_is_shown_not_its_middle(tell):
    error = "the scheduler ended with status 1\n" + "noise\n" * 2000 + "ValueError: the cause"
    text = repr(tell(runtimes={"dask": {"state": "failed", "error": error}}))
    assert "| the scheduler ended with status 1\n" in text and "| ValueError: the cause\n" in text
    assert len(text) < 10_000


def test_engines_without_mpi_say_why(tell):
    text = repr(tell(runtimes={"ipyparallel": dict(ENGINES, mpi=False, mpi_error="mpi4py is not installed")}))
    assert "MPI         no: mpi4py is not installed" in text


def test_a_runtime_that_starts_says_so(tell):
    text = repr(tell(runtimes={"dask": dict(DASK, state="starting")}))
    assert "Dask, starting" in text and "Show this again in some seconds" in text and "Connect" not in text


def test_a_runtime_of_tomorrow_is_shown_as_well_as_can_be(tell):
    text = repr(tell(runtimes={"spark": {"state": "running", "address": "spark://n1:7077", "moons": 3}}))
    assert "spark, running" in text and "spark://n1:7077" in text


def test_outside_a_session_it_says_so(monkeypatch):
    monkeypatch.delenv("HPC_SESSION_FILE", raising=False)
    assert "Not in a session" in repr(session()) and "HPC_SESSION_FILE is not set" in repr(session())
    assert "Not in a session" in assert_harmless(session()).text


@pytest.mark.parametrize("content, words", [
    (None, "No such file"), ("", "Expecting value"), ("[1]", "not a JSON object"), ("[" * 100_000, "nested too deeply"),
    ('{"a": 1', "Expecting"), ('{"a": "' + "x" * 2_000_000 + '"}', "Unterminated"),
])
def test_a_file_that_cannot_be_read_is_said(tell, tmp_path, content, words):
    card = tell(content or "")
    if content is None:
        (tmp_path / "session.json").unlink()
    assert "The session cannot be read" in repr(card) and words in repr(card) and "session.json" in repr(card)
    assert_harmless(card)


HOSTILE = ("<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "' onmouseover='alert(1)", "</pre></div><b>",
           "\x1b[31mred\x1b[0m\x1b]0;title\x07", "\u202egnp.exe", "\ud800", "a\0b", "&lt;b&gt;", "{0} %s {x!r}")


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_as_text(tell, text):
    runtime = dict.fromkeys(("state", "address", "error", "workers", "client_file", "engines", "dashboard"), text)
    everything = dict.fromkeys(("job_id", "account", "queue", "start", "ends", "end"), text)
    card = tell(dict(everything, nodes=[text], runtimes={text: runtime, "dask": runtime}), versions={text: text})
    page = assert_harmless(card)
    if text.isprintable():
        assert text in page.text and text in repr(card)


@pytest.mark.parametrize("link, followed", [
    ("/user/a/dask-dashboard/status", True), ("javascript:alert(1)", False), ("//elsewhere/x", False),
    ("/\\elsewhere", False), ("https://elsewhere/", False), ("/a\n//b", False), (7, False), (None, False),
    ("/\u202eevil", False)])
def test_only_a_path_of_this_server_is_a_link(tell, link, followed):
    page = assert_harmless(tell(runtimes={"dask": dict(DASK, dashboard=link)}))
    assert page.links == ([link] if followed else [])


NAMES = some.sampled_from([*SESSION, *DASK, *ENGINES, "error", "mpi_error", "dask", "ipyparallel", "python", "numpy"])
LEAVES = some.none() | some.booleans() | some.integers() | some.floats() | some.text() | some.sampled_from(HOSTILE)
ANY_JSON = some.recursive(LEAVES, lambda inner: some.lists(inner, max_size=3)
                          | some.dictionaries(NAMES | some.text(), inner, max_size=6), max_leaves=20)
RUNTIME = some.dictionaries(some.sampled_from([*DASK, *ENGINES, "error", "mpi_error"]), ANY_JSON)
LIKELY = some.fixed_dictionaries({}, optional=dict({name: ANY_JSON for name in SESSION}, runtimes=some.dictionaries(
    some.sampled_from(["dask", "ipyparallel", "<b>"]), RUNTIME)))


@settings(max_examples=300)
@given(content=LIKELY | ANY_JSON, versions=ANY_JSON, now=some.integers(0, 4_000_000_000))
def test_no_session_file_whatever_is_in_it_breaks_the_card(tmp_path_factory, content, versions, now):
    directory = tmp_path_factory.getbasetemp()
    (directory / "session.json").write_text(json.dumps(content))
    (directory / "dask-versions.json").write_text(json.dumps(versions))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HPC_SESSION_FILE", str(directory / "session.json"))
        patch.setattr(show.time, "time", lambda: now)
        assert_harmless(session())


@given(content=some.binary())
def test_no_bytes_break_the_card(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "bytes.json"
    path.write_bytes(content)
    assert facts.look({"HPC_SESSION_FILE": str(path)}, NOW)[0].title


HERE = {"python": "3.11.2", "distributed": "2026.8.0", "dask": "2026.8.0", "msgpack": "1.1.0", "numpy": "2.4.6"}


@pytest.fixture
def kernel(monkeypatch):
    """Set what this kernel has."""
    def kernel(found):
        monkeypatch.setattr(versions.platform, "python_version", lambda: found["python"])
        monkeypatch.setattr(versions, "installed", found.get)
    return kernel


@pytest.mark.parametrize("change, words", [
    ({}, ""),
    ({"python": "3.11.9"}, ""),
    ({"python": "3.12.0"}, "Python 3.12.0 here, 3.11.2 there"),
    ({"distributed": "2024.1.0"}, "distributed 2024.1.0 here, 2026.8.0 there"),
    ({"python": "3.13.1", "numpy": "1.26.4"}, "Python 3.13.1 here, 3.11.2 there; numpy 1.26.4 here, 2.4.6 there"),
    ({"distributed": None}, "distributed missing here, 2026.8.0 there"),
    ({"numpy": None}, ""),
])
def test_other_versions_than_the_workers_are_one_line(tell, kernel, change, words):
    kernel(dict(HERE, **change))
    text = repr(tell(runtimes={"dask": DASK}, versions=dict(HERE)))
    found = [line for line in text.splitlines() if "not that of the Dask workers" in line]
    assert len(found) == bool(words) and words in text
    assert words in assert_harmless(session()).text


def test_what_only_the_kernel_has_will_be_missed_by_the_workers(tell, kernel):
    kernel(HERE)
    assert "numpy 2.4.6 here, missing there" in repr(tell(runtimes={"dask": DASK}, versions=dict(HERE, numpy=None)))


def test_the_workers_versions_are_compared_with_what_is_really_installed(tell):
    """The scheduler's list in the same environment: no difference."""
    from jupyterhub_hpc_spawner.node import dask_preload
    assert dask_preload.versions()["distributed"]
    assert "not that of" not in repr(tell(runtimes={"dask": DASK}, versions=dask_preload.versions()))
    assert versions.installed("no-such-package") is None and versions.installed("") is None


@pytest.mark.parametrize("seconds, text", [
    (0, "0 s"), (59.9, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h 0 min"), (86399, "23 h 59 min"),
    (86400, "1 d 0 h"), (8 * 86400 + 7200, "8 d 2 h")])
def test_durations_are_short(seconds, text):
    assert plain.duration(seconds) == text
