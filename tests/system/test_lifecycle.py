"""Sessions on a real cluster, from the form or REST to JupyterLab and back to nothing."""
import ast
import json
import os
import pwd
import socket
import struct
from contextlib import suppress
from pathlib import Path

import pytest
from support.kernel import run_code
from support.running_hub import request, wait_for

from jupyterhub_hpc_spawner.batch import make_batch_system

WORKERS = """
import socket
from dask.distributed import Client
client = Client()
client.wait_for_workers(4, timeout=60)
print(sorted(client.run(socket.gethostname).values()))
print(sum(client.gather(client.map(lambda x: x * x, range(1000)))))
print(client.scheduler.address, client.dashboard_link)
"""


def test_client_has_workers_on_both_nodes(session):
    token = session.user_token("alice")
    hosts, total, line = run_code(session.server_url("alice"), token, WORKERS).splitlines()
    nodes = ast.literal_eval(hosts)
    assert len(nodes) == 4 and len(set(nodes)) == 2
    assert int(total) == sum(x * x for x in range(1000))
    address, link = line.split()
    assert address.startswith("tls://10.") and link == "/user/alice/dask-dashboard/status"
    assert request("GET", session.url + link, token=token).status == 200


def test_the_session_file_names_job_nodes_and_end(session):
    text = run_code(session.server_url("alice"), session.user_token("alice"),
                    "import os; print(open(os.environ['HPC_SESSION_FILE']).read())")
    facts = json.loads(text)
    assert facts["job_id"] in session.cluster.jobs("alice")
    assert len(facts["nodes"]) == 2 and facts["account"] == "geo"
    assert facts["runtimes"]["dask"]["state"] == "running"
    assert facts.get("ends", facts["start"] + 1) > facts["start"]


REFUSED = """
import sys
from distributed import Client
try:
    Client(sys.argv[1], timeout=5)
except Exception as error:
    print("refused", type(error).__name__)
else:
    print("connected")
"""


# Every port of the node that listens, asked for the scheduler's page as another user of that node would.
OPEN_DASHBOARDS = """
import http.client, socket, struct
listening = [line.split()[1].split(":") for line in open("/proc/net/tcp") if line.split()[3] == "0A"]
found = []
for host, port in listening:
    address = socket.inet_ntoa(struct.pack("=I", int(host, 16)))
    connection = http.client.HTTPConnection("127.0.0.1" if address == "0.0.0.0" else address, int(port, 16), timeout=3)
    try:
        connection.request("GET", "/status")
        found += [port] if connection.getresponse().status == 200 else []
    except (OSError, http.client.HTTPException):
        pass
print(len(listening), "ports, open:", found)
"""


@pytest.mark.parametrize("protocol", ["tls", "tcp"])
def test_another_user_cannot_reach_the_scheduler(session, protocol):
    address = json.loads(scheduler_facts(session))["address"].replace("tls://", f"{protocol}://")
    for node in (None, *session.cluster.nodes):
        done = session.cluster.run("bob", session.bin_dir / "python", "-c", REFUSED, address, node=node)
        assert done.stdout.startswith("refused"), (node, done.stdout, done.stderr)


def scheduler_facts(hub):
    code = "import os, json; print(json.dumps(json.load(open(os.environ['HPC_SESSION_FILE']))['runtimes']['dask']))"
    return run_code(hub.server_url("alice"), hub.user_token("alice"), code)


def test_the_dashboard_answers_nobody_but_its_owner(session):
    link = session.server_url("alice") + "dask-dashboard/status"
    assert request("GET", link, follow=False).status == 302
    assert request("GET", link, token=session.user_token("bob"), follow=False).status in (302, 403)
    for node in session.cluster.nodes:
        done = session.cluster.run("bob", session.bin_dir / "python", "-c", OPEN_DASHBOARDS, node=node)
        assert done.stdout.strip().endswith("ports, open: []"), (node, done.stdout, done.stderr)


def test_the_job_shows_no_secret_to_anybody(session):
    """Neither the scheduler's records nor the process list hold the token, the report's secret or the key."""
    home = Path("~alice").expanduser()
    directory = home / ".local/share/jupyterhub-hpc-spawner" / session.state("alice")["name"]
    secrets = [json.loads((directory / "plan.json").read_text())["secret"]]
    secrets += [line.split("=", 1)[1] for line in (directory / "environment.sh").read_text().splitlines()
                if "API_TOKEN" in line]
    job = session.state("alice")["job_id"]
    seen = session.cluster.records(job)
    assert job.split(".")[0] in seen
    for node in (None, *session.cluster.nodes):
        everything = "ps -ef www; cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ; true"
        seen += session.cluster.run("bob", "sh", "-c", everything, node=node, errors="replace").stdout
    seen += session.log.read_text() + (directory / "job.log").read_text()
    secrets += (directory / "tls.pem").read_text().splitlines()[1:4]  # of the key
    assert len(secrets) >= 5 and not [secret for secret in secrets if secret in seen]
    assert session.cluster.run("bob", "ls", directory).returncode != 0


def programs_of_sockets():
    """{inode: name of a program that has this socket}, of all processes of this machine and so of all nodes."""
    found = {}
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):  # the process has ended
            kind, _, inode = os.readlink(link).partition(":")
            if kind == "socket":
                found[inode.strip("[]")] = link.parents[1].joinpath("comm").read_text().strip()
    return found


def test_servers_and_runtimes_listen_on_the_address_that_they_need(session):
    """Nothing of ours is on all addresses of a node, and what is not on loopback is on the one towards the Hub."""
    run_code(session.server_url("alice"), session.user_token("alice"), WORKERS)  # all of it is there
    state, found, programs = session.state("alice"), set(), programs_of_sockets()
    for node in session.cluster.nodes:
        lines = session.cluster.run("alice", "cat", "/proc/net/tcp", "/proc/net/tcp6", node=node).stdout.splitlines()
        alice = str(pwd.getpwnam("alice").pw_uid)
        rows = [line.split() for line in lines if "address" not in line]
        # The batch system's own srun or qrsh, which start the workers, listen for these on all addresses.
        found |= {row[1].partition(":")[0] for row in rows if row[3] == "0A" and row[7] == alice
                  and programs.get(row[9]) not in ("srun", "qrsh")}
    addresses = {socket.inet_ntoa(struct.pack("=I", int(each, 16))) for each in found}
    assert state["address"] in addresses
    assert all(each.startswith(("10.", "127.")) for each in addresses), addresses


def test_its_job_is_found_by_its_name_and_by_nobody_elses(session):
    system = make_batch_system(session.cluster.system, session.cluster.settings)
    state = session.state("alice")
    answers = {user: session.cluster.run(user, *system.find_command(state["name"], user)) for user in ("alice", "bob")}
    assert system.parse_found(state["name"], answers["alice"]) == state["job_id"]
    assert system.parse_found(state["name"], answers["bob"]) is None
    none = session.cluster.run("alice", *system.find_command("jupyter-000000000000", "alice"))
    assert system.parse_found("jupyter-000000000000", none) is None


def test_two_users_have_sessions_side_by_side(session):
    """That one question serves both is shown in unit/test_poller.py."""
    session.spawn("bob", {})
    settings = session.api("GET", "/users").json
    assert {user["name"] for user in settings if user["servers"]} >= {"alice", "bob"}
    session.stop_server("bob")
    session.assert_nothing_left("bob")


def test_stop_leaves_no_job_no_directory_no_process(session):
    session.stop_server("alice")
    session.assert_nothing_left("alice")


def test_a_request_that_cannot_be_is_refused_in_words(idle, refusal):
    options, words = refusal
    event = idle.spawn("alice", options)[-1]
    assert event.get("failed") and words in event["message"], event
    assert not idle.servers("alice")
    idle.assert_nothing_left("alice")


@pytest.mark.parametrize(("environment", "words"), [
    ("gone", "there is no Python in the software environment /nonexistent/environment"),
    ("locked", "there is no Python in the software environment"),
])
def test_a_software_environment_that_cannot_be_used_is_named(idle, environment, words):
    event = idle.spawn("alice", {"environment": environment})[-1]
    assert event.get("failed") and words in event["message"]
    idle.assert_nothing_left("alice")


def test_a_bad_environment_file_of_the_user_is_shown(idle):
    file = Path("~alice").expanduser() / ".jupyterhub.env"
    file.write_text("module load nonsense/9.9\n")
    event = idle.spawn("alice", {})[-1]
    assert event.get("failed")
    assert "module: command not found" in event["message"] and ".jupyterhub.env" in event["message"]


def test_a_job_in_the_queue_tells_why_and_can_be_cancelled(idle):
    """All nodes taken by bob: the page says so; the cancel reaches the scheduler."""
    filler = idle.cluster.fill("bob")
    try:
        idle.api("POST", "/users/alice/server", {"user_options": {"nodes": 1, "walltime": "10m"}})
        events = idle.progress("alice", until=lambda event: "waiting in the queue: " in event["message"])
        assert any(words in events[-1]["message"] for words in idle.cluster.queued), events
        idle.stop_server("alice")
        idle.assert_nothing_left("alice")
    finally:
        idle.cluster.cancel("bob", filler)


def test_two_named_servers_of_one_user_live_side_by_side(idle):
    for server in ("one", "two"):
        assert idle.spawn("alice", {"cores": 1}, server)[-1].get("ready")
    assert len(set(idle.cluster.jobs("alice"))) == 2
    idle.stop_server("alice", "one")
    wait_for(lambda: len(idle.cluster.jobs("alice")) == 1, 20, lambda: f"jobs: {idle.cluster.jobs('alice')}")
    assert idle.servers("alice").keys() == {"two"}
    idle.stop_server("alice", "two")
    idle.assert_nothing_left("alice")


def test_a_job_that_is_cancelled_outside_ends_the_session(idle):
    assert idle.spawn("alice", {"dask": True})[-1].get("ready")
    idle.cluster.cancel("alice", *idle.cluster.jobs("alice"))
    wait_for(lambda: not idle.servers("alice"), 60, lambda: "the Hub does not notice")
    words = {"slurm": "it was cancelled"}.get(idle.cluster.system, "the batch system told it to end")
    wait_for(lambda: words in idle.ended("alice")["why"], 60, lambda: idle.ended("alice"), pause=0.3)
    idle.assert_nothing_left("alice")
