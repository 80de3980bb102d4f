"""One question for all jobs; a job has ended only when the batch system says so or twice no longer knows it."""
import asyncio
import logging
from dataclasses import replace
from types import SimpleNamespace

import pytest
import pytest_asyncio
from jupyterhub_hpc_spawner.errors import HelperError, ParseError, QueryError
from jupyterhub_hpc_spawner.hub import poller as module
from jupyterhub_hpc_spawner.model import Completed, JobState, JobStatus

INTERVAL = 5
REST = 3 * INTERVAL
PENDING, RUNNING, FINISHED = JobStatus(JobState.PENDING, "PENDING"), JobStatus(JobState.RUNNING, "RUNNING"), JobStatus(
    JobState.FINISHED, "COMPLETED")


class World:
    """A clock that only the poller's own pauses and the questions' costs move, and a batch system that waits to be told
    what it answers."""

    def __init__(self):
        self.now = 1000.0
        self.asked = []
        self.answers = asyncio.Queue()
        # What a user is told who asks: nothing of any job, unless a test says otherwise.
        self.owners = {}
        self.owners_asked = []
        self.poller = module.Poller(self.ask, self.ask_as, INTERVAL, logging.getLogger("test"), clock=lambda: self.now)

    async def sleep(self, seconds):
        self.now += seconds
        await asyncio.sleep(0)

    async def ask(self):
        self.asked.append(self.now)
        answer, cost = await self.answers.get()
        self.now += cost
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def ask_as(self, owner):
        self.owners_asked.append(owner)
        answer = self.owners.get(owner, {})
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def answer(self, answer, cost=0):
        """One whole round."""
        done = asyncio.ensure_future(self.poller.next_round())
        await asyncio.sleep(0)
        self.answers.put_nowait((answer, cost))
        await asyncio.wait_for(done, 2)

    def states(self, *job_ids):
        return [self.poller.status(job_id).state for job_id in job_ids]

    @property
    def pauses(self):
        return [later - earlier for earlier, later in zip(self.asked, self.asked[1:])]


@pytest_asyncio.fixture(loop_scope="function")
async def world(monkeypatch):
    world = World()
    monkeypatch.setattr(module, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": world.sleep}))
    yield world
    if world.poller._task:
        world.poller._task.cancel()
        await asyncio.wait([world.poller._task])


async def test_one_question_answers_for_all_jobs(world):
    jobs = [str(number) for number in range(200)]
    for job in jobs:
        world.poller.watch(job, "alice")
    await world.answer(dict.fromkeys(jobs, PENDING))
    await world.answer({**dict.fromkeys(jobs, RUNNING), "someone else's": PENDING})
    assert world.states(*jobs) == [JobState.RUNNING] * 200
    assert len(world.asked) <= 3 and set(world.pauses) <= {INTERVAL, REST}
    assert world.poller.status("someone else's").state == JobState.UNKNOWN


async def test_watching_again_begins_no_second_loop_and_forgets_nothing(world):
    world.poller.watch("7", "alice")
    await world.answer({"7": RUNNING})
    world.poller.watch("7", "alice")
    assert world.states("7") == [JobState.RUNNING]
    await world.answer({"7": PENDING})
    await world.answer({"7": PENDING})
    assert set(world.pauses) == {INTERVAL, REST}


@pytest.mark.parametrize("error", [QueryError("no answer"), ParseError("odd", Completed(("squeue",), 0, "?", "")),
                                   ValueError("a mistake of ours")])
async def test_a_failed_question_keeps_the_last_state_and_is_asked_again(world, error):
    world.poller.watch("7", "alice")
    await world.answer({"7": RUNNING})
    for _ in range(5):
        await world.answer(error)
    assert world.states("7") == [JobState.RUNNING]
    assert world.poller.failures == 5 and str(error) in world.poller.error
    await world.answer({"7": FINISHED})
    assert world.states("7") == [JobState.FINISHED] and (world.poller.failures, world.poller.error) == (0, "")


async def test_pauses_grow_with_every_failure_up_to_a_minute_and_shrink_at_the_first_answer(world):
    world.poller.watch("7", "alice")
    for _ in range(7):
        await world.answer(QueryError("no answer"))
    await world.answer({"7": PENDING})
    await world.answer({"7": PENDING})
    assert world.pauses[:8] == [10, 20, 40, 60, 60, 60, 60, INTERVAL]


async def test_a_slow_batch_system_is_asked_for_a_fifth_of_the_time_at_most(world):
    world.poller.watch("7", "alice")
    for cost in (1, 4, 30, 0.1):
        await world.answer({"7": PENDING}, cost)
    await world.answer({"7": PENDING})
    assert world.pauses[:4] == [5, 20, 150, 5]


async def test_while_all_run_and_nobody_waits_it_asks_less_often(world):
    for job in "78":
        world.poller.watch(job, "alice")
    await world.answer({"7": RUNNING, "8": PENDING})
    await world.answer({"7": RUNNING, "8": RUNNING})
    await world.answer({"7": RUNNING, "8": RUNNING})
    await world.answer({"7": RUNNING})
    await world.answer({"7": RUNNING})
    # One runs, one waits; both run, twice; one has vanished, which is looked into.
    assert world.pauses[:4] == [INTERVAL, REST, REST, INTERVAL]


@pytest.mark.parametrize("wait", [lambda poller: poller.watch("8", "bob"), lambda poller: poller.expect_end("7")])
async def test_whoever_comes_ends_the_rest(monkeypatch, wait):
    """With the loop's own clock: a rest of an hour."""
    monkeypatch.setattr(module, "_REST", 36000)
    asked = asyncio.Queue()

    async def ask():
        asked.put_nowait(None)
        return {"7": RUNNING}
    poller = module.Poller(ask, None, 0.1, logging.getLogger("test"))
    poller.watch("7", "alice")
    await asyncio.wait_for(asked.get(), 5)
    done, _ = await asyncio.wait([asyncio.ensure_future(asked.get())], timeout=0.5)
    assert not done
    wait(poller)
    await asyncio.wait_for(poller.next_round(), 5)
    poller._task.cancel()


async def test_a_command_that_hung_does_not_stop_the_questions_for_minutes(world):
    world.poller.watch("7", "alice")
    await world.answer({"7": PENDING})
    await world.answer(QueryError("squeue did not answer within 60 s"), cost=60)
    await world.answer({"7": FINISHED})
    assert world.pauses[1] == 60 + 2 * INTERVAL and world.states("7") == [JobState.FINISHED]


async def test_failures_are_logged_once_and_not_every_time(world, caplog):
    world.poller.watch("7", "alice")
    with caplog.at_level(logging.INFO):
        for _ in range(9):
            await world.answer(QueryError("no answer"))
        await world.answer({"7": RUNNING})
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "no answer" in caplog.text and "answers again, after 9 failures" in caplog.text


async def test_a_job_that_two_answers_lack_has_ended(world):
    world.poller.watch("7", "alice")
    seen = []
    for answer in (*[{"7": RUNNING}] * 3, {}, {"7": RUNNING}, {}, {}, {}):
        await world.answer(answer)
        seen.append(world.poller.status("7").state)
    assert seen == [JobState.RUNNING] * 6 + [JobState.FINISHED] * 2
    assert world.poller.status("7").code == "RUNNING"


async def test_a_failed_question_between_does_not_count_as_missing(world):
    world.poller.watch("7", "alice")
    for answer in (*[{"7": RUNNING}] * 3, {}, QueryError("no answer"), QueryError("no answer")):
        await world.answer(answer)
    assert world.states("7") == [JobState.RUNNING]


async def test_a_job_is_not_missing_just_after_its_submission(world):
    world.poller.watch("1", "alice")
    await world.answer({"1": RUNNING})
    world.poller.watch("7", "alice")
    seen = []
    for _ in range(4):
        await world.answer({"1": RUNNING})
        seen.append(world.poller.status("7"))
    # The first answer comes at once, the second an interval later: neither says that the job is gone.
    assert [status.state for status in seen[:3]] == [JobState.UNKNOWN] * 3
    assert (seen[3].state, seen[3].code) == (JobState.FINISHED, "GONE")


async def test_a_job_that_only_its_owner_is_shown_lives(world, caplog):
    world.poller.watch("7", "alice")
    world.poller.watch("8", "bob")
    world.owners = {"alice": {"7": RUNNING}, "bob": {}}
    for _ in range(6):
        await world.answer({})
    assert world.states("7", "8") == [JobState.RUNNING, JobState.FINISHED]
    # Bob's job has ended: he is not asked again.
    assert world.owners_asked.count("bob") == 1 and world.owners_asked.count("alice") >= 3
    assert len([r for r in caplog.records if "hides other users' jobs" in r.getMessage()]) == 1
    world.owners["alice"] = {}
    await world.answer({})
    assert world.states("7") == [JobState.FINISHED]


async def test_a_place_that_only_the_owner_is_told_is_none(world):
    world.poller.watch("7", "alice")
    world.owners = {"alice": {"7": replace(PENDING, ahead=0)}}
    for _ in range(4):
        await world.answer({})
    assert world.poller.status("7") == PENDING
    await world.answer({"7": replace(PENDING, ahead=3)})
    assert world.poller.status("7").ahead == 3


async def test_a_job_is_not_gone_while_its_owner_cannot_be_asked(world, caplog):
    world.poller.watch("7", "alice")
    await world.answer({"7": RUNNING})
    world.owners["alice"] = HelperError("no sudo")
    for _ in range(5):
        await world.answer({})
    assert world.states("7") == [JobState.RUNNING] and "no sudo" in caplog.text
    world.owners["alice"] = ValueError("a mistake of ours")
    await world.answer({})
    await world.answer({"7": FINISHED})
    assert world.states("7") == [JobState.FINISHED]


async def test_many_owners_are_asked_a_few_at_a_time(world, monkeypatch):
    running, most = 0, 0

    async def ask_as(owner):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return {}

    monkeypatch.setattr(world.poller, "_ask_as", ask_as)
    for number in range(50):
        world.poller.watch(str(number), f"user{number}")
    for _ in range(5):
        await world.answer({})
    assert set(world.states(*map(str, range(50)))) == {JobState.FINISHED}
    assert 1 < most <= 4


async def test_an_end_that_is_reported_counts_at_once(world):
    world.poller.watch("7", "alice")
    await world.answer({"7": FINISHED})
    assert world.poller.status("7") == FINISHED


async def test_an_unknown_code_is_logged_once_and_the_job_lives(world, caplog):
    world.poller.watch("7", "alice")
    for _ in range(3):
        await world.answer({"7": JobStatus(JobState.UNKNOWN, "BRAND_NEW")})
    assert world.poller.status("7").code == "BRAND_NEW" and world.states("7") == [JobState.UNKNOWN]
    assert len([record for record in caplog.records if "BRAND_NEW" in record.getMessage()]) == 1


async def test_nothing_is_asked_when_nothing_is_watched_and_again_when_something_is(world):
    world.poller.watch("7", "alice")
    await world.answer({"7": RUNNING})
    first = world.poller._task
    world.poller.forget("7")
    world.answers.put_nowait(({}, 0))
    await asyncio.wait_for(first, 5)
    assert len(world.asked) == 2
    world.poller.watch("8", "alice")
    await world.answer({"8": RUNNING})
    assert world.states("7", "8") == [JobState.UNKNOWN, JobState.RUNNING]
    assert min(world.pauses) >= INTERVAL


async def test_who_asks_for_a_job_first_waits_for_the_first_answer(world):
    status = asyncio.ensure_future(world.poller.answered("7", "alice", timeout=5))
    await asyncio.sleep(0)
    await world.answer({"7": RUNNING})
    assert await status == RUNNING
    assert await world.poller.answered("7", "alice", timeout=0) == RUNNING


async def test_who_asks_for_a_job_does_not_wait_for_ever(world):
    assert (await world.poller.answered("7", "alice", timeout=0.01)).state == JobState.UNKNOWN


async def test_who_asks_for_a_job_that_an_answer_lacks_waits_until_that_is_sure(world):
    """As a Hub does that was restarted: what it takes to be there it knocks at, for minutes."""
    status = asyncio.ensure_future(world.poller.answered("7", "alice", timeout=60))
    await asyncio.sleep(0)
    await world.answer({"8": RUNNING})
    assert not status.done()
    await world.answer({"8": RUNNING})
    assert (await asyncio.wait_for(status, 2)).state == JobState.FINISHED


async def test_who_asks_for_a_job_is_told_when_the_batch_system_does_not_answer(world):
    status = asyncio.ensure_future(world.poller.answered("7", "alice", timeout=600))
    await asyncio.sleep(0)
    await world.answer(QueryError("no controller"))
    assert (await asyncio.wait_for(status, 2)).state == JobState.UNKNOWN


async def test_who_waits_for_a_cancelled_job_is_told_of_its_end_though_its_session_forgets_it(world):
    world.poller.watch("7", "alice")
    await world.answer({"7": RUNNING})
    gone = asyncio.ensure_future(world.poller.is_gone("7", "alice"))
    await world.answer({"7": RUNNING})
    world.poller.forget("7")
    await world.answer({"7": RUNNING})
    assert not gone.done()
    await world.answer({"7": FINISHED})
    assert await asyncio.wait_for(gone, 2)
    assert world.states("7") == [JobState.UNKNOWN], "nobody asks for it any more"


async def test_who_waits_for_a_cancelled_job_that_lives_on_is_told_so(world, monkeypatch):
    monkeypatch.setattr(module, "GONE_WITHIN", 2 * INTERVAL)
    gone = asyncio.ensure_future(world.poller.is_gone("7", "alice"))
    for _ in range(4):
        if not gone.done():
            await world.answer({"7": RUNNING})
    assert not await asyncio.wait_for(gone, 2)
