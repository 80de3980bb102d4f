"""Slurm's word on a request before it is made: when it would start, and what is left on its account."""
from datetime import datetime, timezone

import pytest
from captured import captured
from hypothesis import given
from hypothesis import strategies as st
from jupyterhub_hpc_spawner.batch import make_batch_system
from jupyterhub_hpc_spawner.batch.base import StartEstimates
from jupyterhub_hpc_spawner.batch.slurm import Slurm
from jupyterhub_hpc_spawner.batch.slurm_shares import parse_balances
from jupyterhub_hpc_spawner.errors import ParseError, QueryError
from jupyterhub_hpc_spawner.model import ClusterInfo, Completed, Estimate, JobRequest

SLURM = Slurm()


def estimate(trouble):
    return SLURM.parse_estimate(captured(f"slurm-22.05.8/estimate-{trouble}"))


def test_the_captured_answers_are_those_to_our_own_command():
    assert captured("slurm-22.05.8/estimate-now").argv == tuple(SLURM.estimate_command(JobRequest("x", "/x")))


@pytest.mark.parametrize("name, can", [("slurm", True), ("pbs", False), ("torque", False), ("lsf", False),
                                       ("condor", False), ("local", False)])
def test_who_can_say_when_a_request_would_start(name, can):
    assert isinstance(make_batch_system(name, {}), StartEstimates) == can


@pytest.mark.parametrize("trouble, start", [
    ("now", (22, 6, 44)), ("busy", (22, 16, 45)), ("preempts", (22, 6, 47)), ("used-up", (22, 8, 6))])
def test_the_start_is_a_time_in_utc(trouble, start):
    assert estimate(trouble) == Estimate(datetime(2026, 11, 21, *start, tzinfo=timezone.utc))


@pytest.mark.parametrize("trouble, words", [
    ("invalid-feature", "Invalid feature specification"),
    ("memory-too-large", "Requested node configuration is not available"),
    ("node-drained", "Requested node configuration is not available"),
    ("max-jobs", "QOSMaxSubmitJobPerUserLimit\nJob violates accounting/QOS policy (job submit limit, user's size "
                 "and/or time limits)"),
    ("bad-directive", "sbatch: unrecognized option '--nonsense=1'\nTry \"sbatch --help\" for more information"),
])
def test_a_refusal_is_in_slurms_own_words(trouble, words):
    assert estimate(trouble) == Estimate(refusal=words)


def test_a_controller_that_does_not_answer_says_nothing():
    with pytest.raises(QueryError, match="Unable to contact slurm controller"):
        estimate("no-controller")


@pytest.mark.parametrize("stderr, expected", [
    ("", Estimate()), ("sbatch: Job 7 to start at Unknown using 1 processors\n", Estimate()),
    ("lua: hello\nsbatch: Job 7 to start at 2026-11-21T20:00:00 using 2 processors on nodes n1 in partition normal\n",
     Estimate(datetime(2026, 11, 21, 20, tzinfo=timezone.utc))),
])
def test_other_lines_do_not_matter_and_no_time_is_no_estimate(stderr, expected):
    assert SLURM.parse_estimate(Completed(("sbatch",), 0, "", stderr)) == expected


@given(st.text() | st.text().map("sbatch: Job 1 to start at ".__add__), st.integers(0, 255))
def test_garbage_is_no_estimate_or_a_query_error_and_nothing_else(text, returncode):
    try:
        found = SLURM.parse_estimate(Completed(("sbatch",), returncode, "", text))
    except QueryError:
        return
    assert found.start is None or returncode == 0
    assert bool(found.refusal) == (returncode != 0)


def balances(*lines):
    return parse_balances(Completed(("sshare",), 0, "".join(f"{line}\n" for line in lines), ""))


def test_a_real_clusters_balances():
    found = parse_balances(captured("slurm-22.05.8/info-shares"))
    left = (72000 - 11) / 60
    assert found == {"geo": {"": left, "alice": 100}, "ice": {"": left}}, "ice is below geo; bio has other limits"


def test_where_nobody_set_a_limit_nothing_is_said():
    assert parse_balances(captured("slurm-22.05.8/info-shares-no-limits")) == {}


@pytest.mark.parametrize("lines, expected", [
    ([" geo|||cpu=72000|cpu=6000,mem=1"], {"geo": {"": 1100}}),
    ([" geo|||mem=1,cpu=60|"], {"geo": {"": 1}}),
    ([" geo|||cpu=60|cpu=90"], {"geo": {"": 0}}),
    ([" geo|||billing=60|cpu=90", " bio||||cpu=1"], {}),
    ([" geo|||cpu=6000|cpu=0", "  geo|alice||cpu=60|cpu=30", "  geo|bob|||cpu=0"], {"geo": {"": 100, "alice": 0.5}}),
    # The limit of an account holds for those below it, and no longer for the one after them.
    (["root||||", " geo|||cpu=600|cpu=0", "  ice|||cpu=60|cpu=0", "   sea||||cpu=0", " bio||||"],
     {"geo": {"": 10}, "ice": {"": 1}, "sea": {"": 1}}),
    # An association of one partition says nothing about the others.
    ([" geo|alice|debug|cpu=60|cpu=0"], {}),
])
def test_core_hours_that_are_left(lines, expected):
    assert balances(*lines) == expected


def test_the_smaller_of_the_users_and_the_accounts_balance_counts():
    info = ClusterInfo(balances={"geo": {"": 100, "alice": 5}, "bio": {"bob": 7}})
    assert [info.left("alice", "geo"), info.left("bob", "geo"), info.left("bob", "bio"), info.left("alice", "bio"),
            info.left("alice", "")] == [5, 100, 7, None, None]


SHARE = st.lists(st.sampled_from(["geo", " geo", "   ", "alice", "cpu=60", "cpu=²", "cpu=", "cpu=-1", "", "="]),
                 min_size=4, max_size=6).map("|".join)


@given(st.lists(SHARE | st.text(max_size=10)).map("\n".join))
def test_garbage_about_the_accounts_is_a_parse_error_and_nothing_else(text):
    try:
        found = parse_balances(Completed(("sshare",), 0, text, ""))
    except ParseError:
        return
    assert all(hours >= 0 for users in found.values() for hours in users.values())
