"""``check`` as the Hub's account on a real cluster: a site that is well, and one whose fault only shows there."""
import json
import subprocess

import pytest
from support import system_hub
from support.running_hub import free_ports


def check(hub, user="alice", environment="jupyter", config=None, patience=150):
    """(exit status, findings by name) of one run, with a job of one software environment."""
    argv = [*hub.become, str(hub.bin_dir / "jupyterhub-hpc-spawner"), "check", "--json", "--user", user,
            "--config", str(config or hub.directory / "jupyterhub_config.py"), "--environment", environment]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=patience, cwd=hub.directory,
                          env={"PATH": "/usr/bin:/bin", "HOME": str(hub.directory)})
    return done.returncode, {finding["name"]: finding for finding in json.loads(done.stdout)}


def failed(findings):
    return {name: finding for name, finding in findings.items() if finding["state"] == "FAIL"}


@pytest.fixture
def no_hub(hub):
    """The site's configuration with a port where no Hub is."""
    lines = (hub.directory / "jupyterhub_config.py").read_text().splitlines()
    port, = free_ports(hub.address, 1)
    config = hub.directory / "no_hub.py"
    config.write_text("\n".join([*lines, f'c.JupyterHub.hub_bind_url = "http://{hub.address}:{port}"', ""]))
    return config


@pytest.mark.parametrize("running", [True, False], ids=["hub", "no-hub"])
def test_a_site_that_is_well_is_found_so(idle, no_hub, running):
    if running and idle.cluster.system == "sge":
        pytest.skip("shown on Slurm, and jobs here take their time")
    status, findings = check(idle, config=None if running else no_hub)
    assert (status, failed(findings)) == (0, {})
    assert ("JupyterHub" if running else "no Hub does") in findings["Hub's address"]["text"]
    assert "tls://10." in findings["jupyter, Dask"]["text"]
    assert findings["jupyter, node from the Hub"]["text"].startswith("10.")
    idle.assert_nothing_left("alice")


@pytest.mark.parametrize(("line", "user", "words"), [
    ("", "alice", 'NOPASSWD: {helper} ""'),
    ("hubuser ALL=(ALL) NOPASSWD: ALL\n", "bob", "{helper} as root and /bin/sh as bob"),
])
def test_a_sudoers_line_that_gives_too_little_or_too_much_is_told(hub, line, user, words):
    system_hub.SUDOERS.write_text(line)
    try:
        status, findings = check(hub, user, "none such")
    finally:
        system_hub.allow_helper()
    finding = failed(findings)["acting as the user"]
    assert status == 1
    assert words.format(helper=hub.bin_dir / "jupyterhub-hpc-spawner-helper") in finding["text"] + finding["advice"]


def test_hidden_jobs_are_told(idle):
    if idle.cluster.system == "sge":
        pytest.skip("Grid Engine shows all jobs to everybody")
    idle.cluster.hide_jobs(True)
    try:
        status, findings = check(idle)
    finally:
        idle.cluster.hide_jobs(False)
    assert status == 1 and failed(findings).keys() == {"jupyter, job is seen"}
    assert "PrivateData" in failed(findings)["jupyter, job is seen"]["advice"]
    idle.assert_nothing_left("alice")
