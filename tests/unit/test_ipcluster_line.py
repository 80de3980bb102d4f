"""The line of ``%ipcluster``: read as it is meant, or refused with the help."""
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyterhub_hpc_spawner.notebook import jobs, magics

UsageError = pytest.importorskip("IPython.core.error").UsageError


@pytest.fixture
def asked(monkeypatch):
    """What goes to the Hub."""
    calls = []
    monkeypatch.setattr(jobs, "submit", lambda *words, **settings: calls.append((words, settings)) or "7")
    return calls


@pytest.mark.parametrize(("line", "options", "engines"), [
    ("start", {"nodes": 1}, None),
    ("start -n 8 --nodes 2 --queue debug --time 30m", {"nodes": 2, "queue": "debug", "walltime": "30m"}, 4),
    ("start -N 2 -n 4 -q regular -t 60 -A m1 -C gpu -c 8 -G 4",
     {"nodes": 2, "queue": "regular", "walltime": "60", "account": "m1", "node_type": "gpu", "cores": "8", "gpus": "4"},
     2),
    ("start --engines=3 --memory 8G --qos 'high' --reservation R # why", {
        "nodes": 1, "memory": "8G", "qos": "high", "reservation": "R"}, 3),
])
def test_the_line_becomes_options(asked, line, options, engines):
    magics.run(line.replace("start", "start --no-wait"), {})
    assert asked == [(("ipyparallel", options), {"engines": engines})]


@pytest.mark.parametrize(("line", "words"), [
    ("start -n 3 -N 2", "3 engines are not the same number on each of 2 nodes"),
    ("start -n 0", "--engines must be at least 1"), ("start -N 0", "--nodes must be at least 1"),
    ("start -n", "expected one argument"), ("start --gp 1", "ambiguous option"),
    ("start 8", "unrecognized arguments: 8"),
    ("go", "invalid choice: 'go'"), ("start -q 'debug", "No closing quotation"), ("stop 1 2", "unrecognized arguments"),
])
def test_a_wrong_line_is_said_with_the_help(asked, line, words):
    with pytest.raises(UsageError, match=words):
        magics.run(line, {})
    assert not asked


@pytest.mark.parametrize("line", ["", "help", "-h", "start --help", "stop -h"])
def test_help(capsys, line):
    magics.run(line, {})
    assert capsys.readouterr().out.strip() == magics.HELP


@given(st.text(max_size=60))
def test_no_line_breaks_the_magic(line):
    try:
        assert magics.parse(line).verb in (None, "start", "stop", "status", "connect", "help")
    except UsageError:
        pass


def job(job_id, state="running", **more):
    return {"job_id": job_id, "runtime": "ipyparallel", "name": "x", "nodes": 1, "state": state, "reason": "",
            "directory": "/nowhere", **more}


@pytest.fixture
def listed(monkeypatch):
    """The Hub's list, and what is cancelled."""
    there, cancelled = [], []
    monkeypatch.setattr(jobs, "jobs", lambda: there)
    monkeypatch.setattr(jobs, "cancel", cancelled.append)
    return there, cancelled


@pytest.mark.parametrize(("line", "found", "cancelled"), [
    ("stop", ["1"], ["1"]), ("stop 2", ["1", "2"], ["2"]), ("stop all", ["1", "2"], ["1", "2"]), ("stop all", [], []),
])
def test_stop_ends_the_one_that_is_meant(listed, line, found, cancelled):
    listed[0].extend([*map(job, found), job("9", "finished"), {**job("8"), "runtime": "dask"}])
    magics.run(line, {})
    assert listed[1] == cancelled


@pytest.mark.parametrize(("line", "found", "words"), [
    ("stop", ["1", "2"], "say which one: 1, 2"), ("stop", [], "there is no cluster"), ("stop 9", [], "no cluster 9"),
    ("stop 8", [], "no cluster 8"), ("connect", [], "there is no cluster"),
])
def test_which_one_must_be_clear(listed, line, found, words):
    listed[0].extend([*map(job, found), job("9", "finished"), {**job("8"), "runtime": "dask"}])
    with pytest.raises(UsageError, match=words):
        magics.run(line, {})
    assert not listed[1]


def test_a_hub_that_is_away_is_waited_for(monkeypatch, capsys):
    answers = [jobs.HubUnreachable("the Hub cannot be reached"), [job("7", "finished", reason="no licence")]]

    def ask():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer
    monkeypatch.setattr(jobs, "jobs", ask)
    monkeypatch.setattr(magics, "PAUSE", 0)
    with pytest.raises(UsageError, match="job 7 gives no cluster. no licence"):
        magics._wait("7")
    assert capsys.readouterr().out == "Job 7: the Hub cannot be reached\n"


def test_the_hubs_words_are_the_error(monkeypatch):
    monkeypatch.setattr(jobs, "jobs", lambda: (_ for _ in ()).throw(jobs.JobError("not allowed here")))
    with pytest.raises(UsageError, match="not allowed here"):
        magics.run("status", {})
