"""``check`` on sites that are well and on sites that are not: each fault is a line that says what to do."""
import asyncio
import json
import os
import signal
import socket
import subprocess

import pytest
from jupyterhub_hpc_spawner import cli
from jupyterhub_hpc_spawner.hub.check import run
from jupyterhub_hpc_spawner.hub.check.findings import Findings
from jupyterhub_hpc_spawner.hub.check.job import JobCheck
from support.running_hub import wait_for

ONLY = ("newest",)


def words_of(hub, *words):
    return ["check", "--config", str(hub.directory / "jupyterhub_config.py"), *words]


def begin(hub, *words):
    """The program as it is, for what cannot be seen in this process."""
    return subprocess.Popen([hub.bin_dir / "jupyterhub-hpc-spawner", *words_of(hub, *words)], cwd=hub.directory,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env={"PATH": "/usr/bin:/bin", "HOME": str(hub.directory)})


async def check(hub, *words):
    """The findings by name; here, because a JupyterHub is slow to import."""
    findings = Findings(as_json=True)
    await run.check(cli.parse(words_of(hub, *words)), findings)
    return {finding["name"]: finding for finding in findings.all}


def failed(findings):
    return {name for name, finding in findings.items() if finding["state"] == "FAIL"}


@pytest.fixture(scope="module")
def site(environment, tmp_path_factory, make_toy_hub):
    """The configuration of a Hub that does not run, on a toy Slurm."""
    hub = make_toy_hub(tmp_path_factory.mktemp("site"), environment, "slurm", {})
    hub.usual = (hub.directory / "jupyterhub_config.py").read_text()
    return hub


@pytest.fixture
def toy(site):
    """The same, well again before each test, and without anything of the check after it."""
    (site.directory / "jupyterhub_config.py").write_text(site.usual)
    site.toy.faults()
    site.toy.control()
    yield site
    (site.home / ".jupyterhub.env").unlink(missing_ok=True)
    site.assert_nothing_left()


def configure(hub, *lines):
    (hub.directory / "jupyterhub_config.py").write_text("\n".join([hub.usual, *lines, ""]))


def test_beside_a_hub_that_runs_all_is_well(idle):
    process = begin(idle, "--user", idle.user, "--environment", "test")
    text, _ = process.communicate(timeout=100)
    assert process.returncode == 0 and [line for line in text.splitlines() if not line.startswith("OK ")] == [
        "SKIP  helper: it is where env leads to, and not looked at"], text
    for words in ("answers here at http", "test, Hub from the node", "test, node from the Hub", "through tls://",
                  "with jupyterhub 6", "and its directory are gone"):
        assert words in text
    assert not idle.servers(idle.user)
    idle.assert_nothing_left()


async def test_each_environment_is_tried_and_no_secret_is_told(toy, capsys):
    """Without a Hub; its account is not told of others' jobs, and one environment lacks nearly everything."""
    toy.toy.faults(status="hide")
    (toy.home / ".jupyterhub.env").write_text('cp "$session_dir/plan.json" "$session_dir/environment.sh" "$HOME"\n')
    findings = await check(toy, "--user", toy.user)
    told = capsys.readouterr()
    text = json.dumps(findings) + told.out + told.err
    assert failed(findings) == {"test, job is seen", "light, job is seen", "light, server"}
    assert "PrivateData" in findings["test, job is seen"]["advice"]
    assert "has no jupyterhub" in findings["light, server"]["text"]
    assert "distributed" in findings["light, runtimes"]["text"] and findings["light, runtimes"]["state"] == "SKIP"
    assert "tls://" in findings["test, Dask"]["text"]
    assert "no Hub does" in findings["Hub's address"]["text"]
    secrets = [json.loads((toy.home / "plan.json").read_text())["secret"]]
    secrets += [line.split("=", 1)[1] for line in (toy.home / "environment.sh").read_text().splitlines()
                if "API_TOKEN" in line]
    assert len(secrets) >= 2 and not [secret for secret in secrets if secret in text]


async def test_addresses_and_ports_that_lead_nowhere_are_told(toy):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        configure(toy, f"c.HPCSpawner.port_range = ({port}, {port})",
                  'c.JupyterHub.hub_connect_url = "http://127.0.0.1:9"')
        findings = await check(toy, "--user", toy.user, "--environment", "light")
    assert failed(findings) == {"light, Hub from the node", "light, job"}
    assert "Connection refused" in findings["light, Hub from the node"]["text"]
    assert "hub_connect_url" in findings["light, Hub from the node"]["advice"]
    assert "no free port on 127.0.0.1" in findings["light, job"]["text"]


async def test_an_environment_that_is_not_there_is_told(toy):
    configure(toy, 'c.HPCSpawner.environments = {"gone": {"path": "/nonexistent/environment"}}')
    findings = await check(toy, "--user", toy.user)
    assert failed(findings) == {"gone, job"}
    assert "no Python in the software environment /nonexistent/environment" in findings["gone, job"]["text"]


async def test_a_refusal_is_told_in_the_systems_own_words(toy):
    toy.toy.faults(submit="refuse")
    findings = await check(toy, "--user", toy.user, "--environment", "light")
    assert "Invalid account" in findings["light, job"]["text"] and "--options" in findings["light, job"]["advice"]


async def test_a_job_that_stays_in_the_queue_is_given_up(toy, capsys):
    toy.toy.control(hold="busy")
    findings = await check(toy, "--user", toy.user, "--environment", "light", "--timeout", "4")
    assert failed(findings) == {"light, job"}
    assert "waiting in the queue: it is next in line" in findings["light, job"]["text"]
    assert "...   light, Job " in capsys.readouterr().err and "--timeout" in findings["light, job"]["advice"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_is_broken_off_leaves_nothing(toy, number):
    toy.toy.control(hold="busy")
    process = begin(toy, "--json", "--user", toy.user, "--environment", "light")
    wait_for(toy.toy.jobs, 60, lambda: "no job was submitted")
    process.send_signal(number)
    out, _ = process.communicate(timeout=100)
    findings = {finding["name"]: finding for finding in json.loads(out)}
    assert process.returncode == 1 and failed(findings) == {"check"}
    assert findings["light, end"]["state"] == "OK"


@pytest.mark.parametrize(("line", "name", "words"), [
    ("c.HPCSpawner.prot_range = (1, 2)", "configuration", "did you mean port_range?"),
    ("c.JupyterHub.hub_conect_url = ''", "configuration", "did you mean hub_connect_url?"),
    ("c.HPCSpawner.port_range = 'all'", "configuration", "port_range"),
    ("c.JupyterHub.spawner_class = 'simple'", "configuration", 'c.JupyterHub.spawner_class = "hpc"'),
    ("c.HPCSpawner.limits = {'nodes': 'lots'}", "configuration", "limits['nodes']"),
    ("c.HPCSpawner.batch_settings = {'mip': []}", "configuration", "it has mpi"),
    ("1 / 0", "configuration", "ZeroDivisionError"),
    ("c.HPCSpawner.profiles = {'big': {'options': {'nodes': 999}}}", "requests", "profiles['big'] is refused: nodes"),
    ("c.HPCSpawner.helper_prefix = ['/nonexistent/sudo']", "acting as the user", "/nonexistent/sudo cannot be run"),
    ("c.HPCSpawner.helper_prefix = []; c.HPCSpawner.helper = '/nonexistent/helper'", "helper", "c.HPCSpawner.helper"),
    ("c.HPCSpawner.session_root = '/proc/sessions'", "session directory", "c.HPCSpawner.session_root"),
])
async def test_what_needs_no_job_is_told_before_one(toy, line, name, words):
    configure(toy, line)
    findings = await check(toy, "--user", toy.user, "--environment", "none such")
    assert findings[name]["state"] == "FAIL"
    assert words in findings[name]["text"] + findings[name].get("advice", "")


async def test_without_a_user_nothing_is_submitted(toy):
    before = len(toy.toy.calls("submit"))
    findings = await check(toy)
    assert not failed(findings) and findings["user"]["state"] == "SKIP" and len(toy.toy.calls("submit")) == before


async def test_a_batch_system_that_does_not_answer_is_told(toy):
    toy.toy.faults(status="down", info="hang")
    findings = await check(toy)
    assert "Unable to contact slurm controller" in findings["batch system, status"]["text"]
    assert "did not answer within 2 s" in findings["batch system, queues"]["text"]
    assert "command_environment" in findings["batch system, status"]["advice"]


async def test_a_user_that_is_not_there_is_told(toy):
    configure(toy, "c.HPCSpawner.helper_prefix = []")
    findings = await check(toy, "--user", "nobody-of-that-name")
    assert failed(findings) == {"user"}


async def test_a_hub_of_another_account_is_told(toy):
    if os.getuid() != 0:
        pytest.skip("only root can give a file away")
    cookie = toy.directory / "cookie_secret"
    cookie.touch()
    os.chown(cookie, 12345, 12345)
    try:
        findings = await check(toy)
    finally:
        cookie.unlink()
    assert failed(findings) == {"account"} and "12345" in findings["account"]["advice"]


async def test_a_node_that_this_machine_cannot_reach_is_told(toy):
    """As a firewall does it: the job says where it listens, and who connects there meets nobody, or somebody else."""
    arguments = cli.parse(words_of(toy, "--user", toy.user))
    findings = Findings(as_json=True)
    job = JobCheck(run.load(arguments, findings), "light", arguments, findings, None)
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = other.getsockname()
        answer = asyncio.get_running_loop().run_in_executor(None, lambda: other.accept()[0].close())
        await job.back(*address)
        await answer
    await job.back(*address)
    told = [finding for finding in findings.all if finding["name"] == "light, node from the Hub"]
    assert [finding["state"] for finding in told] == ["FAIL", "FAIL"]
    assert "somebody else answers" in told[0]["text"] and "Connect call failed" in told[1]["text"]
    assert "c.HPCSpawner.port_range" in told[1]["advice"]
