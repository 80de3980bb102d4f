"""cluster() in real kernels of a real Hub with batch_system = "local": extra jobs through the Hub."""
import os
import signal

import pytest
from support.kernel import UNTIL, Kernel, KernelError, run_code
from support.running_hub import wait_for

ONLY = ("newest",)

BEGIN = UNTIL + """
import os, time
from dask.distributed import Client
from jupyterhub_hpc_spawner.notebook import cluster

def names():
    return sorted(worker["name"] for worker in client.scheduler_info(n_workers=-1)["workers"].values())

def shown():
    return names()

def slow(x):
    import time
    time.sleep(0.3)
    return x * x

client = Client()
client.wait_for_workers(2, timeout=60)
until(lambda: len(names()) == 2)
own = names()
"""
SCALE = """
c = cluster()
c.scale(2)
until(lambda: len(names()) == 4)
extra = sorted(set(names()) - set(own))
print(c)
print(own[0] in names(), all(name.startswith("extra-") for name in extra))
part = [client.submit(slow, x, workers=extra, pure=False) for x in range(4)]
print(client.gather(part))
c.scale(1)
until(lambda: len(names()) == 3)
c.scale(0)
until(lambda: names() == own)
from dask.distributed import wait
print(all(future.status == "finished" for future in part), client.gather(part), len(client.who_has(part)))
"""
ADAPT = """
c = cluster()
c.adapt(minimum=0, maximum=2, interval="0.3s", target_duration="1s")
futures = client.map(slow, range(100), pure=False)
until(lambda: len(names()) == 4)
client.gather(futures)
del futures
until(lambda: names() == own)
time.sleep(2)
print("own stay:", names() == own)
"""
LOST = """
import dask
from jupyterhub_hpc_spawner.notebook import jobs
dask.config.set({"distributed.deploy.lost-worker-timeout": "1s"})
c = cluster(processes=2)
c.adapt(minimum=1, maximum=3, interval="0.5s")
until(lambda: len(names()) == 4)
until(lambda: [job["state"] for job in jobs.jobs()].count("running") == 1)
first, = [job["job_id"] for job in jobs.jobs() if job["state"] == "running"]
jobs.cancel(first)
until(lambda: names() == own)
until(lambda: len(names()) == 4)
print(len(c.plan), len(c.own), first in [job.job_id for job in c.workers.values()])
"""
TWO = """
c, d = cluster(), cluster()
c.scale(1)
d.scale(1)
until(lambda: len(names()) == 4)
until(lambda: (len(c.own), len(c.others), len(d.own), len(d.others)) == (1, 3, 1, 3))
c.close()
until(lambda: len(names()) == 3)
d.scale(0)
until(lambda: names() == own and not d.own)
print(c.plan, sorted(d.others) == own)
"""
OTHERS = """
from distributed.deploy.adaptive import Adaptive
print(client.sync(client.scheduler.workers_to_close, n=2), client.sync(client.scheduler.retire_workers))
print(names() == own)
"""


@pytest.fixture(autouse=True)
def dask_jobqueue(environment):
    if not list(environment.glob("lib/python*/site-packages/dask_jobqueue")):
        pytest.skip("dask-jobqueue is not in this environment")


@pytest.fixture
def kernel(session):
    with Kernel(session.server_url, session.user_token(session.user)) as kernel:
        kernel.run(BEGIN)
        yield kernel


def jobs(hub):
    return [job["job_id"] for job in hub.state(hub.user)["extra"]]


def log(hub):
    return (hub.home / "sessions" / hub.state(hub.user)["name"] / "dask-scheduler.log").read_text()


def test_extra_workers_come_and_go_by_number_and_hand_on_what_they_hold(session, kernel):
    lines = kernel.run(SCALE).splitlines()
    assert lines[0].startswith("HubCluster(extra-") and lines[0].endswith("2 of the session, 2 extra)")
    assert lines[1:] == ["True True", "[0, 1, 4, 9]", "True [0, 1, 4, 9] 4"]
    wait_for(lambda: not jobs(session), 30, lambda: jobs(session))


SHOWN = """
from html.parser import HTMLParser
from IPython.display import display
from IPython.utils.capture import capture_output

def text(html):
    found = []
    parser = HTMLParser()
    parser.handle_data = found.append
    parser.feed(html)
    return " ".join(" ".join(found).split())

with cluster() as c:
    c.scale(1)
    until(lambda: len(c.own) == 1)
    with capture_output() as shown:
        display(c)
    kinds = shown.outputs[0].data
    print(*sorted(kinds))
    print(kinds["text/plain"])
    print(text(kinds["text/html"]))
"""


def test_a_notebook_shows_the_cluster_as_dask_users_know_it(kernel):
    kinds, plain, html = kernel.run(SHOWN).splitlines()
    assert "text/html" in kinds.split() and plain.startswith("HubCluster(extra-"), kinds
    assert ", workers=3, threads=" in plain and plain.endswith(", 2 of the session, 1 extra)")
    assert html.startswith("HubCluster extra-") and "/dask-dashboard/status" in html
    assert "Workers: 2 of the session, 1 extra" in html and "Total threads" in html


def test_adapt_goes_up_under_load_and_down_after_and_the_own_stay(kernel):
    assert kernel.run(ADAPT).splitlines() == ["own stay: True"]


def test_a_job_of_several_workers_that_is_lost_is_replaced(kernel):
    assert kernel.run(LOST) == "1 2 False\n"


def test_two_clusters_do_not_touch_each_other(kernel):
    assert kernel.run(TWO) == "set() True\n"


def test_nobody_scales_down_the_sessions_own_workers(kernel):
    assert kernel.run(OTHERS).splitlines() == ["() {}", "True"]


@pytest.mark.parametrize("how", ["close", "restart", "end", "kill"])
def test_the_end_of_their_owner_ends_the_jobs_and_nothing_else(session, kernel, how):
    kernel.run("c = cluster()\nc.scale(2)\nuntil(lambda: len(names()) == 4)")
    pid = int(kernel.run("print(os.getpid())"))
    assert len(jobs(session)) == 2
    if how == "close":
        kernel.run("c.close()")
    elif how == "restart":
        kernel.restart()
    elif how == "end":
        kernel.__exit__()
    else:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not jobs(session), 30, lambda: log(session))
    token = session.user_token(session.user)
    assert run_code(session.server_url, token, BEGIN + "print(len(own), client.submit(slow, 3).result())") == "2 9\n"


def test_what_the_hub_refuses_is_shown_and_not_asked_for_all_the_time(session, kernel):
    said = kernel.run("c = cluster(queue='gpu')\nc.scale(1)\nuntil(lambda: c.refusal)\nprint(c.refusal)\nprint(c.plan)")
    assert "queue: cannot be chosen on this cluster" in said and said.endswith("set()\n")
    assert "Last refusal" in kernel.run("print(c._repr_html_())")


def test_what_the_hubs_road_cannot_take_is_said(kernel):
    with pytest.raises(KernelError, match="takes no job_extra_directives; it takes queue, account"):
        kernel.run("cluster(job_extra_directives=['-q x'])")


def test_a_session_without_dask_says_so(idle):
    assert idle.spawn(idle.user, {})[-1].get("ready")
    with pytest.raises(KernelError, match="This session has no Dask that workers could join"):
        run_code(idle.server_url, idle.user_token(idle.user),
                 "from jupyterhub_hpc_spawner.notebook import cluster; cluster()")
