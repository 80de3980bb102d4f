"""What the form says of cost and wait."""
import re
from datetime import datetime, timedelta, timezone
from itertools import product

import pytest
from jupyterhub_hpc_spawner import form
from jupyterhub_hpc_spawner.model import ClusterInfo, Estimate, NodeKind, Offer, Queue
from jupyterhub_hpc_spawner.offers import offer
from jupyterhub_hpc_spawner.options import Options, Policy, Profile
from jupyterhub_hpc_spawner.outlook import Outlook, _with_room, brief, by_estimate, outlook, price
from jupyterhub_hpc_spawner.script import make_templates

NOW = datetime(2026, 11, 21, 13, 45, tzinfo=timezone.utc)
INFO = ClusterInfo(
    queues=(Queue("normal", default=True, default_walltime=1800, max_walltime=86400, total_nodes=3, idle_nodes=2),
            Queue("long", max_walltime=172800, total_nodes=3, idle_nodes=0), Queue("open")),
    accounts={"alice": ("geo",), "bob": ("geo", "bio")}, balances={"geo": {"": 1200}, "bio": {"": 0}})


def options(**values):
    return Options.model_validate(values)


def offered(info):
    """All of it."""
    return Offer(**vars(info))


@pytest.mark.parametrize("values, expected", [
    ({"nodes": 2, "walltime": "4h", "cores": 8}, "At most 8 node-hours, 64 core-hours"),
    ({"walltime": "1h"}, "At most 1 node-hour"),
    ({"walltime": "30:00", "cores": 1}, "At most 0.5 node-hours, 0.5 core-hours"),
    ({"nodes": 100, "walltime": "1d", "cores": 128}, "At most 2,400 node-hours, 307,200 core-hours"),
    # The queue's own where none is chosen: its default, or its limit.
    ({}, "Up to 0.5 node-hours, in the 00:30:00 that normal gives"),
    ({"queue": "long", "cores": 2}, "Up to 48 node-hours, 96 core-hours, in the 2-00:00:00 that long gives"),
    ({"queue": "open"}, ""), ({"queue": "unheard-of"}, ""),
])
def test_the_price_is_the_most_that_it_can_be(values, expected):
    assert price(options(**values), INFO) == expected


@pytest.mark.parametrize("values, expected", [
    ({"nodes": 2}, "Should start at once: 2 of 3 nodes are idle (estimate)"),
    ({"nodes": 3}, "Will wait for nodes: 2 of 3 nodes are idle (estimate)"),
    ({"queue": "open"}, ""),
])
def test_idle_nodes_tell_whether_it_will_wait(values, expected):
    assert outlook(options(**values), offered(INFO), "alice").wait == expected


GIB = 1024 ** 3
MIXED = ClusterInfo(queues=(
    Queue("normal", default=True, total_nodes=8, idle_nodes=5, kinds=(
        NodeKind(("mc",), 64, 256 * GIB, total=5, idle=4), NodeKind(("mc", "gpu"), 32, 512 * GIB, {"a100": 4}, 2, 0),
        NodeKind(("gpu",), 32, 512 * GIB, {"h100": 8}, 1, 1))),
    Queue("told-by-the-site", total_nodes=3, idle_nodes=1, kinds=(NodeKind(("mc",), 8),)),
    Queue("half-known", total_nodes=3, idle_nodes=2, kinds=(NodeKind(total=3, idle=2),))))


@pytest.mark.parametrize("values, expected", [
    ({}, "Should start at once: 5 of 8 nodes are idle (estimate)"),
    ({"node_type": "mc", "nodes": 4}, "Should start at once: 4 of 7 such nodes are idle (estimate)"),
    ({"node_type": "gpu", "nodes": 2}, "Will wait for nodes: 1 of 3 such nodes are idle (estimate)"),
    ({"gpu_type": "a100"}, "Will wait for nodes: 0 of 2 such nodes are idle (estimate)"),
    ({"node_type": "gpu", "gpu_type": "h100"}, "Should start at once: 1 of 1 such nodes are idle (estimate)"),
    # What a node must have tells as well.
    ({"gpus": 1}, "Should start at once: 1 of 3 such nodes are idle (estimate)"),
    ({"gpus": 5, "gpu_type": "h100", "nodes": 2}, "Will wait for nodes: 1 of 1 such nodes are idle (estimate)"),
    ({"cores": 64}, "Should start at once: 4 of 5 such nodes are idle (estimate)"),
    ({"memory": "300G", "node_type": "mc"}, "Will wait for nodes: 0 of 2 such nodes are idle (estimate)"),
    ({"memory": "300G", "cores": 64}, ""), ({"gpus": 5, "gpu_type": "a100"}, ""),
    ({"queue": "told-by-the-site", "node_type": "mc"}, "Should start at once: 1 of 3 nodes are idle (estimate)"),
    ({"queue": "half-known", "node_type": "x", "cores": 9}, "Should start at once: 2 of 3 nodes are idle (estimate)"),
])
def test_only_idle_nodes_that_could_run_it_count(values, expected):
    assert outlook(options(**values), offered(MIXED), "alice").wait == expected


def shared(partly, free, waiting=None, idle=0):
    kind = NodeKind(("mc",), 8, 64 * GIB, {"a100": 1}, total=5, idle=idle, partly=partly, free=free)
    queue = Queue("q", default=True, total_nodes=5, idle_nodes=idle, kinds=(kind,), waiting=waiting)
    return ClusterInfo(queues=(queue,))


AT_ONCE, MAY_WAIT, WAITS = "Should start at once", "May have to wait", "Will wait for nodes"


@pytest.mark.parametrize("values, state, start, words", [
    ({}, shared(2, 3), AT_ONCE, "0 of 5 nodes are idle, 1 more is in use but has room"),
    ({"cores": 4}, shared(1, 4), AT_ONCE, "0 of 5 nodes are idle, 1 more is in use but has room"),
    ({"cores": 5}, shared(1, 4), WAITS, "0 of 5 nodes are idle"),
    # However the free cores are spread: 7 and 1, 4 and 4.
    ({"cores": 4}, shared(2, 8), AT_ONCE, "0 of 5 nodes are idle, 1 more is in use but has room"),
    ({"cores": 4, "nodes": 2}, shared(2, 8), WAITS, "0 of 5 nodes are idle, 1 more is in use but has room"),
    ({"cores": 2, "nodes": 2}, shared(2, 9, idle=1), AT_ONCE, "1 of 5 nodes are idle, 2 more are in use but have room"),
    ({"cores": 8}, shared(2, 14), WAITS, "0 of 5 nodes are idle"),
    # Of memory and GPUs nobody tells what is left there.
    ({"memory": "1G"}, shared(2, 14), WAITS, "0 of 5 nodes are idle"),
    ({"gpus": 1}, shared(2, 14), WAITS, "0 of 5 nodes are idle"),
    ({}, shared(0, 0, 1, idle=2), MAY_WAIT, "2 of 5 nodes are idle, 1 job waits already"),
    ({}, shared(0, 0, 0, idle=2), AT_ONCE, "2 of 5 nodes are idle"),
    ({"nodes": 3}, shared(0, 0, 4, idle=2), WAITS, "2 of 5 nodes are idle, 4 jobs wait already"),
])
def test_nodes_in_use_with_room_count_and_jobs_that_wait_may_come_first(values, state, start, words):
    assert outlook(options(**values), offered(state), "alice").wait == f"{start}: {words} (estimate)"


@pytest.mark.parametrize("values, expected", [
    ({}, "Should start at once: 1 of 4 nodes are idle in large (estimate)"),
    ({"nodes": 2}, "Should start at once: 2 of 2 nodes are idle in small (estimate)"),
    ({"nodes": 3}, "Will wait for nodes: 2 of 2 nodes are idle in small (estimate)"),
    # The others do not allow so much, or take no jobs.
    ({"nodes": 2, "walltime": "2h"}, "Will wait for nodes: 1 of 4 nodes are idle (estimate)"),
    ({"nodes": 2, "queue": "large"}, "Will wait for nodes: 1 of 4 nodes are idle (estimate)"),
])
def test_without_a_queue_the_one_counts_that_has_most_room_for_it(values, expected):
    info = ClusterInfo(queues=(Queue("large", total_nodes=4, idle_nodes=1),
                               Queue("small", max_walltime=3600, total_nodes=2, idle_nodes=2),
                               Queue("closed", up=False, total_nodes=9, idle_nodes=9)))
    assert outlook(options(**values), offer(Policy(), info, "alice"), "alice").wait == expected


@pytest.mark.parametrize("cores, partly, free", [(c, p, f) for c in range(1, 5) for p in range(1, 4)
                                                 for f in range(p, 3 * p + 1)])
def test_so_many_nodes_have_room_however_the_cores_are_spread(cores, partly, free):
    """Against all spreads of free cores over nodes of four that have a job and a core left."""
    least = min(sum(left >= cores for left in spread) for spread in product(range(1, 4), repeat=partly)
                if sum(spread) == free)
    kind = NodeKind(cores=4, total=partly, partly=partly, free=free)
    assert 0 <= _with_room(kind, options(cores=cores)) <= least


def test_a_card_has_both_without_details():
    assert brief(options(walltime="1h"), offered(INFO)) == ("At most 1 node-hour", "Should start at once (estimate)")
    assert brief(options(queue="long"), offered(INFO)) == ("Up to 48 node-hours", "Will wait for nodes (estimate)")
    assert brief(options(queue="open"), offered(INFO)) == ()


@pytest.mark.parametrize("last, limits, expected", [
    ({}, {}, ["Up to 2 node-hours", "Will wait for nodes (estimate)"]),
    ({"walltime": "3h"}, {}, ["At most 3 node-hours", "Should start at once (estimate)",
                              "Up to 2 node-hours", "Will wait for nodes (estimate)"]),
    # What would be refused has none; a site's limit is the walltime where none is chosen.
    ({"queue": "unheard-of"}, {"walltime": 900}, ["At most 1 node-hour", "Will wait for nodes (estimate)"]),
    ({"nodes": "<b>"}, {"nodes": 2}, []),
])
def test_the_cards_of_the_form_have_it_for_last_time_and_each_preset(last, limits, expected):
    policy = Policy(profiles={"wide": Profile({"nodes": 4})}, limits=limits)
    html = form.render(make_templates(), policy, offer(policy, INFO, "alice"), last, {})
    assert re.findall('hpc-card-outlook">(.*?)</span>', html) == expected


def test_the_accounts_say_what_is_left():
    html = form.render(make_templates(), Policy(), offer(Policy(), INFO, "bob"), {}, {})
    assert ">geo (1,200 core-hours left)<" in html and ">bio (0 core-hours left)<" in html


@pytest.mark.parametrize("user, values, expected", [
    ("alice", {"walltime": "1h"}, "At most 1 node-hour; 1,200 core-hours left on geo"),
    ("alice", {"queue": "open"}, "1,200 core-hours left on geo"),
    ("bob", {"walltime": "1h"}, "At most 1 node-hour"),
    ("bob", {"walltime": "1h", "account": "geo"}, "At most 1 node-hour; 1,200 core-hours left on geo"),
])
def test_what_is_left_on_the_account_where_it_is_known_which_pays(user, values, expected):
    assert outlook(options(**values), offered(INFO), user).cost == expected


@pytest.mark.parametrize("values, expected", [
    ({"account": "geo", "nodes": 3, "walltime": "50h", "cores": 8}, ""),
    ({"account": "geo", "nodes": 3, "walltime": "51h", "cores": 8}, "Too little is left on geo for 1,224 core-hours."),
    ({"account": "geo", "nodes": 3, "walltime": "51h"}, ""),
    ({"account": "bio", "walltime": "1h"}, "Too little is left on bio."),
    ({"account": "other", "nodes": 3, "walltime": "51h", "cores": 8}, ""),
])
def test_more_than_is_left_is_a_problem(values, expected):
    assert outlook(options(**values), offered(INFO), "bob").problem == expected


@pytest.mark.parametrize("seconds, expected", [
    (-5, "Would start at once (Slurm's estimate)"), (59, "Would start at once (Slurm's estimate)"),
    (1200, "Would start at about {time}, in 20 min (Slurm's estimate)"),
    (12000, "Would start at about {time}, in 3 h 20 min (Slurm's estimate)"),
    (10800, "Would start at about {time}, in 3 h (Slurm's estimate)"),
    (90000, "Would start at about {time}, in 1 day 1 h (Slurm's estimate)"),
    (180000, "Would start at about {time}, in 2 days 2 h (Slurm's estimate)"),
])
def test_the_systems_own_estimate_comes_before_ours(seconds, expected):
    known = Outlook("cheap", "idle nodes", problem="broke")
    start = NOW + timedelta(seconds=seconds)
    assert by_estimate(known, Estimate(start), "Slurm", NOW) == Outlook("cheap", expected, start, "broke")


def test_a_refusal_is_the_problem_and_no_wait():
    found = by_estimate(Outlook("cheap", "idle nodes"), Estimate(refusal="no such thing"), "Slurm", NOW)
    assert found == Outlook("cheap", problem="Slurm would not start this as it stands: no such thing")


def test_a_system_that_cannot_say_changes_nothing():
    assert by_estimate(Outlook("cheap", "idle"), Estimate(), "Slurm", NOW) == Outlook("cheap", "idle")
