"""How many jobs are ahead of one: by the batch system's own order, of the jobs that stand in line."""
import time

import pytest
from captured import captured, print_jobs, read_jobs
from hypothesis import given
from hypothesis import strategies as st
from jupyterhub_hpc_spawner.batch.base import places
from jupyterhub_hpc_spawner.batch.slurm import Slurm
from jupyterhub_hpc_spawner.hub.session import place
from jupyterhub_hpc_spawner.model import JobState, JobStatus

SLURM = Slurm()
JOB = {"T": "PENDING", "r": "Priority", "B": "n/a", "N": "", "S": "N/A", "L": "30:00", "P": "normal", "Q": "1"}


def line(*jobs):
    """(queue, ahead) by id of jobs that are ``JOB`` but for these fields."""
    found = SLURM.parse_status(print_jobs([{**JOB, **job} for job in jobs], SLURM.status_command()))
    return {job_id: (status.queue, status.ahead) for job_id, status in found.items()}


def test_higher_priority_comes_first_and_then_the_older_job_and_each_queue_is_its_own():
    assert line({"i": "9", "Q": "50"}, {"i": "10", "Q": "50"}, {"i": "3", "Q": "7"}, {"i": "11", "Q": "4294901760"},
                {"i": "1", "Q": "9", "P": "debug"}) == {
        "11": ("normal", 0), "9": ("normal", 1), "10": ("normal", 2), "3": ("normal", 3), "1": ("debug", 0)}


def test_a_job_of_several_queues_stands_in_each_and_shows_its_best_place():
    assert line({"i": "1", "Q": "9"}, {"i": "2", "Q": "8", "P": "normal,low"}, {"i": "3", "Q": "7", "P": "low"},
                {"i": "4", "Q": "6"}) == {
        "1": ("normal", 0), "2": ("low", 0), "3": ("low", 1), "4": ("normal", 2)}


@pytest.mark.parametrize("reason", [
    "JobHeldUser", "JobHeldAdmin", "BeginTime", "Dependency", "DependencyNeverSatisfied", "PartitionTimeLimit",
    "PartitionNodeLimit", "BadConstraints", "QOSMaxJobsPerUserLimit", "AssocGrpCpuLimit", "MaxJobsPerAccount",
    "Reservation", "JobArrayTaskLimit"])
def test_what_cannot_start_or_waits_for_something_of_its_own_is_ahead_of_nobody_and_has_no_place(reason):
    assert line({"i": "1", "Q": "9", "r": reason}, {"i": "2"}) == {"1": ("normal", None), "2": ("normal", 0)}


@pytest.mark.parametrize("reason", ["None", "Priority", "Resources", "ReqNodeNotAvail, UnavailableNodes:n3",
                                    "SomethingNew"])
def test_what_waits_for_its_turn_is_ahead_of_the_next(reason):
    assert line({"i": "1", "Q": "9", "r": reason}, {"i": "2"})["2"] == ("normal", 1)


@pytest.mark.parametrize("state", ["RUNNING", "SUSPENDED", "CONFIGURING", "COMPLETED", "NEW_STATE"])
def test_what_has_its_nodes_is_ahead_of_nobody(state):
    assert line({"i": "1", "Q": "9", "T": state}, {"i": "2"}) == {"1": ("normal", None), "2": ("normal", 0)}


def test_waiting_tasks_of_an_array_are_one_job():
    assert line({"i": "21_[1-300%5]", "Q": "9"}, {"i": "22"})["22"] == ("normal", 1)


@pytest.mark.parametrize("priority", ["", "N/A", "1.5", "-3", "²"])
def test_a_job_without_a_priority_has_no_place(priority):
    assert line({"i": "1", "Q": priority}, {"i": "2"}) == {"1": ("normal", None), "2": ("normal", 0)}


def test_real_jobs_stand_in_the_order_in_which_slurm_expects_to_start_them():
    real = captured("slurm-22.05.8/squeue-waiting-by-priority")
    jobs = SLURM.parse_status(print_jobs(read_jobs(real), SLURM.status_command()))
    assert {job_id: (job.queue, job.ahead) for job_id, job in jobs.items()} == {
        "4": ("normal", 0), "8_[1-3]": ("normal", 1), "3": ("normal", 2), "2": ("normal", 3), "5": ("low", 1),
        "1": ("normal", None), "6": ("normal", None), "7": ("normal", None), "9": ("normal", None)}
    normal = sorted((job for job in jobs.values() if job.queue == "normal" and job.ahead is not None),
                    key=lambda job: job.ahead)
    assert normal == sorted(normal, key=lambda job: job.start_estimate)
    assert jobs["4"].explanation == "its nodes are down, or kept for queues of a higher priority"


QUEUES = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3, unique=True).map(tuple)
WAITING = st.lists(st.tuples(st.tuples(st.integers(-9, 0), st.integers(1, 99)), st.uuids().map(str), QUEUES),
                   max_size=40, unique_by=lambda job: job[0])


@given(WAITING, st.randoms())
def test_a_place_is_what_counting_gives_whatever_the_answers_order(waiting, random):
    found = places(waiting)
    assert set(found) == {job_id for _, job_id, _ in waiting}
    for rank, job_id, queues in waiting:
        counts = {queue: sum(queue in other[2] and other[0] < rank for other in waiting) for queue in queues}
        assert found[job_id] == (min(queues, key=counts.get), min(counts.values()))
    random.shuffle(waiting)
    assert places(waiting) == found


def test_ten_thousand_jobs_are_cheap():
    jobs = [{**JOB, "i": str(number), "Q": str(number * 7919 % 1000), "P": f"q{number % 20},q{number % 7}"}
            for number in range(10000)]
    answer = print_jobs(jobs, SLURM.status_command())
    begun = time.process_time()
    assert len(SLURM.parse_status(answer)) == 10000
    assert time.process_time() - begun < 2  # 0.1 s on a quiet machine


@pytest.mark.parametrize(("ahead", "queue", "words"), [
    (None, "normal", ""), (0, "normal", "it is next in line in queue normal"), (0, "", "it is next in line"),
    (1, "normal", "1 job is ahead of it in queue normal"), (12, "", "12 jobs are ahead of it"),
])
def test_the_place_in_words(ahead, queue, words):
    assert place(JobStatus(JobState.PENDING, ahead=ahead, queue=queue)) == words
