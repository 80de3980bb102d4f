"""One session's whole life in a real Hub, with batch_system = "local"."""
import json
import os
import re
import shutil
import signal
import time
from pathlib import Path

import pytest
from support.kernel import KernelError, run_code
from support.running_hub import request, wait_for

CONNECT = """
import os
from dask.distributed import Client
client = Client()
client.wait_for_workers(2, timeout=30)
print(len(client.scheduler_info()["workers"]), client.submit(lambda x: x + 1, 41).result())
print(client.dashboard_link)
"""
READ_SESSION_FILE = "import os; print(open(os.environ['HPC_SESSION_FILE']).read())"


def test_client_without_arguments_has_the_sessions_workers(session):
    token = session.user_token(session.user)
    workers, result, link = run_code(session.server_url, token, CONNECT).split()
    assert (workers, result) == ("2", "42")
    assert link == f"/user/{session.user}/dask-dashboard/status"
    assert request("GET", session.url + link, token=token).status == 200


def test_the_dashboard_answers_nobody_else(session):
    link = f"{session.server_url}dask-dashboard/status"
    answer = request("GET", link, follow=False)
    assert answer.status == 302 and "/hub/api/oauth2/authorize" in answer.headers["Location"]


def test_the_session_file_tells_what_runs(session):
    token = session.user_token(session.user)
    facts = json.loads(run_code(session.server_url, token, READ_SESSION_FILE))
    assert facts["runtimes"]["dask"]["state"] == "running"
    assert facts["runtimes"]["dask"]["address"].startswith("tls://")
    assert facts["job_id"] == session.state(session.user)["job_id"]


def test_stop_leaves_nothing(session):
    session.stop_server(session.user)
    session.assert_nothing_left()


def test_no_secret_is_readable_or_listed(session):
    directory = session.home / "sessions" / session.state(session.user)["name"]
    assert directory.stat().st_mode & 0o777 == 0o700
    for name in ("environment.sh", "plan.json", "tls.pem"):
        assert (directory / name).stat().st_mode & 0o777 == 0o600
    secret = json.loads((directory / "plan.json").read_text())["secret"]
    token = re.search(r"JUPYTERHUB_API_TOKEN=(\S+)", (directory / "environment.sh").read_text())[1]
    log = session.log.read_text() + (directory / "job.log").read_text()
    assert "[D " in log and secret not in log and token not in log
    assert secret not in json.dumps(session.state(session.user))
    key = (directory / "tls.pem").read_text().splitlines()[1]
    kept = {path: path.read_bytes() for path in session.directory.rglob("*")
            if path.is_file() and session.home not in path.parents}
    state = session.state(session.user)["name"].encode()
    assert any(state in text for path, text in kept.items() if path.name.startswith("hub.sqlite")), list(kept)
    for text in (secret, token, key):
        assert not [path for path, found in kept.items() if text.encode() in found]


def test_the_progress_names_the_job_and_the_steps(idle):
    events = idle.spawn(idle.user, {})
    text = " ".join(event["message"] for event in events)
    assert re.search(r"Job \d+ is submitted", text) and "the server is starting" in text
    percents = [event["progress"] for event in events]
    assert percents == sorted(percents)


@pytest.mark.parametrize(("options", "words"), [
    ({"nodes": "many"}, "nodes: must be a whole number"),
    ({"queue": "normal"}, "queue: cannot be chosen on this cluster"),
    ({"environment": "other"}, "environment: there is no 'other' here; choose one of test, gone"),
    ({"working_dir": "/tmp\n#SBATCH -p x"}, "working_dir: may not hold line breaks"),
    ({"cmd": "id"}, "cmd: is not an option here"),
    (["nodes"], "object"),
])
def test_a_bad_option_is_a_400_that_names_the_field(idle, options, words):
    answer = idle.api("POST", f"/users/{idle.user}/server", {"user_options": options})
    assert answer.status == 400 and words in answer.json["message"]
    assert not idle.servers(idle.user)


def failure(hub, options):
    events = hub.spawn(hub.user, options)
    assert events[-1].get("failed"), events
    return events[-1]


def test_a_missing_environment_is_said_in_words(idle):
    message = failure(idle, {"environment": "gone"})["message"]
    assert "there is no Python in the software environment /nonexistent/environment" in message
    idle.assert_nothing_left()


def test_the_end_of_the_log_is_shown_escaped(idle):
    (idle.home / ".jupyterhub.env").write_text("echo '<b>loading</b> my tools' >&2\nreturn 3\n")
    event = failure(idle, {})
    assert "<b>loading</b> my tools" in event["message"] and "ended with status 3" in event["message"]
    assert "&lt;b&gt;loading" in event["html_message"] and "<b>loading" not in event["html_message"]


def test_a_working_directory_that_is_not_there_is_said_at_once(idle):
    message = failure(idle, {"working_dir": "~/nowhere"})["message"]
    assert "the working directory" in message and "nowhere cannot be used: No such file" in message


def test_the_users_own_environment_reaches_the_kernel(idle):
    (idle.home / ".jupyterhub.env").write_text("export MY_TOOL='a b'\n")
    (idle.home / "work").mkdir(exist_ok=True)
    assert idle.spawn(idle.user, {"working_dir": "~/work"})[-1].get("ready")
    code = "import os; print(os.environ['MY_TOOL'], os.getcwd())"
    printed = run_code(idle.server_url, idle.user_token(idle.user), code)
    assert printed.strip() == f"a b {idle.home}/work"


def test_client_fails_within_ten_seconds_where_dask_did_not_start(idle):
    """Never a silent LocalCluster; the reason is in the session file."""
    broken = "export DASK_DISTRIBUTED__COMM__TLS__SCHEDULER__CERT=/nonexistent.pem\n"
    (idle.home / ".jupyterhub.env").write_text(broken)
    assert idle.spawn(idle.user, {"dask": True})[-1].get("ready")
    token = idle.user_token(idle.user)
    begin = time.monotonic()
    with pytest.raises(KernelError, match="Timed out|OSError"):
        run_code(idle.server_url, token, "from dask.distributed import Client; Client()")
    assert time.monotonic() - begin < 20  # ten for the client, the rest for a kernel's start
    facts = json.loads(run_code(idle.server_url, token, READ_SESSION_FILE))
    assert facts["runtimes"]["dask"]["state"] == "failed"
    assert "FileNotFoundError" in facts["runtimes"]["dask"]["error"]


def test_a_server_that_ends_by_itself_ends_the_session(session):
    token = session.user_token(session.user)
    request("POST", f"{session.server_url}api/shutdown", {}, token)
    wait_for(lambda: not session.servers(session.user), 30, lambda: "the session is still there")
    session.assert_nothing_left()
    assert session.ended(session.user)["why"] == "its server was shut down"


@pytest.mark.parametrize("end", ["stop", "shutdown"])
def test_a_session_whose_directory_was_deleted_ends_in_order(session, end):
    """Also on the Hub's side: the job says goodbye, and why, instead of dying without a word."""
    token = session.user_token(session.user)
    code = "import os; print(os.environ['JUPYTERHUB_HPC_DASHBOARD'])"
    dashboard = Path(run_code(session.server_url, token, code).strip())
    assert dashboard.parent.is_dir()
    shutil.rmtree(session.home / "sessions")
    if end == "stop":
        session.stop_server(session.user)
    else:
        request("POST", f"{session.server_url}api/shutdown", {}, token)
        wait_for(lambda: not session.servers(session.user), 30, lambda: "the session is still there")
        assert session.ended(session.user)["why"] == "its server was shut down"
    session.assert_nothing_left()
    assert not dashboard.parent.exists()


def test_a_server_that_is_killed_ends_the_session_and_its_status_is_told(session):
    commands = {pid: Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") for pid in session.leftovers()}
    server, = [pid for pid, words in commands.items() if words[2:3] == [b"server"]]
    os.kill(server, signal.SIGKILL)
    wait_for(lambda: not session.servers(session.user), 30, lambda: "the session is still there")
    session.assert_nothing_left()
    assert session.ended(session.user)["why"] == "its server ended with status -9"
