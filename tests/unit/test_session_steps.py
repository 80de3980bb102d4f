"""A session's steps: of each the last line and since when it is; what comes late or twice changes nothing."""
import asyncio
import logging
from ipaddress import ip_address
from types import SimpleNamespace

import pytest
from jupyterhub_hpc_spawner.hub import session as module
from jupyterhub_hpc_spawner.hub.session import Session
from jupyterhub_hpc_spawner.model import JobState, JobStatus

LOG = logging.getLogger("test")
WAITS = JobStatus(JobState.PENDING, "PENDING", "Priority", "others come first", queue="normal", ahead=3)
RUNS = JobStatus(JobState.RUNNING, "RUNNING", host="n1", nodes="n[1-2]")
STARTED = SimpleNamespace(phase="started", address=ip_address("10.0.0.1"), port=0, message="")


class Poller:
    """A batch system's answers, and when they were asked for."""

    def __init__(self):
        self.now = 1000.0
        self.answer = JobStatus(JobState.UNKNOWN), 0
        self.round = asyncio.Event()

    def status(self, job_id):
        return self.answer[0]

    def asked(self, job_id):
        return self.answer[1]

    async def next_round(self):
        await self.round.wait()

    async def answers(self, status, ago=0):
        self.now += 10
        self.answer = status, self.now - ago
        self.round.set()
        self.round = asyncio.Event()
        for _ in range(10):
            await asyncio.sleep(0)


@pytest.fixture
def poller(monkeypatch):
    made = Poller()
    monkeypatch.setattr(module.time, "time", lambda: made.now)
    return made


async def begin(poller):
    saved = []
    session = Session.new("/s", LOG, lambda: saved.append(session.dump()))
    session.saved = saved
    session.tell(5, "Submitting the job.")
    session.state.job_id = "7"
    session.tell(20, "Job 7 is submitted.")
    session.task = asyncio.ensure_future(session.listening(poller))
    return session


def steps(session):
    return [(event["step"], event["since"]) for event in session.state.steps]


async def replayed(session):
    """What somebody who comes now is told at once."""
    events, told = [], session.follow()
    try:
        while True:
            events.append(await asyncio.wait_for(told.__anext__(), 0.05))
    except asyncio.TimeoutError:
        return events


async def test_of_a_step_the_last_line_is_kept_and_since_when_it_is(poller):
    session = await begin(poller)
    await poller.answers(WAITS)
    await poller.answers(JobStatus(JobState.PENDING, "PENDING", "Resources", "nodes", queue="normal", ahead=0))
    await poller.answers(RUNS)
    assert steps(session) == [("submit", 1000), ("queue", 1010), ("node", 1030)]
    said = session.state.steps[1]["message"]
    assert said == "Job 7 is waiting in the queue: it is next in line in queue normal; nodes."
    assert session.state.steps[2]["nodes"] == "n[1-2]"
    assert await replayed(session) == session.state.steps
    session.task.cancel()


async def test_what_is_saved_when_a_step_begins_is_there_after_a_restart(poller):
    session = await begin(poller)
    await poller.answers(WAITS)
    poller.now += 500
    again = Session.load(session.saved[-1], LOG)
    assert steps(again) == [("submit", 1000), ("queue", 1010)]
    assert "found job 7 again" in again.state.steps[-1]["message"]
    session.task.cancel()


async def test_an_answer_that_is_older_than_the_jobs_word_changes_nothing(poller):
    session = await begin(poller)
    await poller.answers(RUNS)
    session.report(STARTED, "10.0.0.1")
    await poller.answers(WAITS, ago=11)
    assert session.state.steps[-1]["step"] == "server"
    session.task.cancel()


async def test_a_job_that_is_put_back_goes_back_and_may_start_once_more(poller):
    session = await begin(poller)
    await poller.answers(RUNS)
    session.report(STARTED, "10.0.0.1")
    await poller.answers(WAITS)
    assert session.state.steps[-1]["message"].startswith("Job 7 was put back into the queue: 3 jobs are ahead of it")
    await poller.answers(RUNS)
    session.report(STARTED, "10.0.0.1")
    assert [name for name, _ in steps(session)] == ["submit", "node", "server", "queue", "node", "server"]
    session.task.cancel()


def settled(**runtimes):
    return SimpleNamespace(phase="runtimes", address=ip_address("10.0.0.1"), port=0, message="", runtimes=runtimes,
                           seconds=2.5)


async def test_runtimes_start_when_the_server_answers_and_their_end_is_told_once(poller):
    session = await begin(poller)
    session.state.steps[0]["runtimes"] = ["Dask"]
    await poller.answers(RUNS)
    session.report(STARTED, "10.0.0.1")
    assert "beside" not in session.state.steps[-1]
    session.report(said("listening", "10.0.0.1"), "10.0.0.1")
    assert session.state.steps[-1]["beside"] == {"state": "now", "text": "Starting.", "since": 1010, "until": None}
    poller.now += 2
    session.report(settled(dask="running"), "10.0.0.1")
    session.report(settled(dask="failed"), "10.0.0.1")
    last = session.state.steps[-1]
    assert last["beside"] == {"state": "done", "text": "Dask has started.", "since": 1009.5, "until": 1012}
    assert (last["step"], last["message"]) == ("server", "The server answers; connecting.")
    assert Session.load(session.dump(), LOG).state.runtimes == {"dask": "running"}
    session.task.cancel()


async def test_runtimes_that_were_quicker_than_a_slow_server_stay_started(poller):
    session = await begin(poller)
    session.state.steps[0]["runtimes"] = ["Dask", "IPyParallel"]
    session.report(STARTED, "10.0.0.1")
    session.report(settled(dask="running", ipyparallel="failed"), "10.0.0.1")
    before = session.state.steps[-1]["beside"]
    assert before["text"] == ("Dask has started. IPyParallel did not start: session() in a notebook says why.")
    session.report(said("listening", "10.0.0.1"), "10.0.0.1")
    assert session.state.steps[-1]["beside"] == before and before["state"] == "failed"
    session.task.cancel()


async def test_a_session_without_runtimes_says_nothing_of_them(poller):
    session = await begin(poller)
    session.report(STARTED, "10.0.0.1")
    session.report(said("listening", "10.0.0.1"), "10.0.0.1")
    assert "beside" not in session.state.steps[-1]
    session.task.cancel()


async def test_suspended_and_resumed_in_the_step_where_it_was(poller):
    session = await begin(poller)
    await poller.answers(RUNS)
    session.report(STARTED, "10.0.0.1")
    await poller.answers(JobStatus(JobState.SUSPENDED, "SUSPENDED"))
    assert session.state.steps[-1]["suspended"] and session.state.steps[-1]["step"] == "server"
    await poller.answers(RUNS)
    assert "suspended" not in session.state.steps[-1] and session.state.steps[-1]["nodes"] == "n[1-2]"
    session.task.cancel()


def said(phase, address):
    return SimpleNamespace(phase=phase, address=ip_address(address), port=7, message="")


async def test_an_address_is_the_batch_systems_word_where_the_report_came_from_elsewhere(poller):
    """And stays it, whatever the job says next from where it really is."""
    session = await begin(poller)
    session.report(said("started", "10.0.0.1"), "10.0.0.1")
    assert session.host(poller) == "10.0.0.1"
    session.report(said("listening", "10.0.0.99"), "10.0.0.1")
    assert session.host(poller) == ""
    for phase in ("started", "listening", "failed", "ended"):
        session.report(said(phase, "10.0.0.1"), "10.0.0.1")
        assert session.host(poller) == ""
    await poller.answers(RUNS)
    assert session.host(poller) == "n1"
    session.task.cancel()


async def test_an_address_that_came_through_a_proxy_is_the_batch_systems_word(poller):
    session = await begin(poller)
    session.report(said("started", "10.0.0.1"), "")
    await poller.answers(RUNS)
    assert session.host(poller) == "n1"
    session.task.cancel()
