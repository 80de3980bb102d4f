"""A real Slurm's word on a request before it is made, and on what is left to pay for it; nothing is left behind."""
import time
from pathlib import Path

import pytest
from support import system_hub
from support.running_hub import request, wait_for

ONLY = ("slurm",)


@pytest.fixture(scope="module")
def hub(cluster):
    with system_hub.hub_directory() as directory:
        hub = system_hub.SystemHub(directory, cluster, "c.HPCSpawner.info_interval = 1\n").start().add_user("alice")
        yield hub
        hub.stop()


def settled(hub, token, until=lambda answer: not answer["asking"], **values):
    def preview():
        return request("POST", f"{hub.url}/hub/api/hpc-spawner/preview", values, token).json
    return wait_for(lambda: (found := preview()) and until(found) and found, 60, preview, pause=0.3)


def test_slurm_says_when_and_has_no_job_and_no_file_of_it(hub, cluster):
    token, root = hub.user_token("alice"), Path("~alice/.local/share/jupyterhub-hpc-spawner").expanduser()
    before = sorted(root.glob("*")), cluster.jobs("alice")
    now = settled(hub, token, account="geo", walltime="5m")
    assert now["wait"] == "Would start at once (Slurm's estimate)" and abs(now["start"] - time.time()) < 60
    job = cluster.fill("alice")
    wait_for(lambda: "RUNNING" in cluster.run("alice", "squeue", "-h", "-j", job, "-o", "%T").stdout, 60,
             lambda: "the job that fills the cluster does not run")
    later = settled(hub, token, account="geo", walltime="6m", nodes=2)
    cluster.cancel("alice", job)
    assert later["wait"].startswith("Would start at about {time}, in ") and 500 < later["start"] - time.time() < 700
    wait_for(lambda: not cluster.jobs("alice"), 60, lambda: "a job is left")
    assert (sorted(root.glob("*")), cluster.jobs("alice")) == (before[0], [])


def test_slurm_says_why_it_would_not_start(hub):
    found = settled(hub, hub.user_token("alice"), reservation="nores")
    assert found["problem"] == "Slurm would not start this as it stands: Requested reservation is invalid"
    assert found["wait"] == ""


def test_what_is_left_on_the_account(hub, cluster):
    token, many = hub.user_token("alice"), {"account": "geo", "nodes": 3, "cores": 4, "walltime": "1d"}

    def limit(minutes):
        cluster.admin("sacctmgr", "-i", "modify", "account", "geo", "set", f"GrpTRESMins=cpu={minutes}")
    try:
        limit(72000)
        settled(hub, token, lambda found: found["cost"].endswith("; 1,200 core-hours left on geo"), **many)
        limit(6000)
        settled(hub, token, lambda found: found["problem"] == "Too little is left on geo for 288 core-hours.", **many)
    finally:
        limit(-1)
