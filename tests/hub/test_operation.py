"""What an operator has of a session's life: metrics on the Hub's own endpoint, and log lines by job id."""
import json
import re
from pathlib import Path

import pytest
import yaml
from support.prometheus import PREFIX, samples

from jupyterhub_hpc_spawner.hub.metrics import CAUSES, COMMANDS, STATES

ONLY = ("newest",)
EXAMPLES = Path(__file__).parents[2] / "example_config"
DOCUMENTATION = Path(__file__).parents[2] / "docs/operation.md"
OURS = re.compile(r"\bjupyterhub_hpc_\w+")
# A metric, and what is asked of its label.
SELECTOR = re.compile(r"\b(jupyterhub_hpc_\w+)(?:\{(\w+)(=~?)\"([^\"]*)\"\})?")
FACTS = re.compile(r" user=(\S*) server=(\S*) job=(\S*) session=(jupyter-\w+)$")


def sessions(hub):
    found = samples(hub)
    return {state: found["jupyterhub_hpc_sessions", state] for state in STATES.values()}


@pytest.fixture(scope="module")
def life(hub):
    """A session that could not start and one that did, and is over; what was measured in between."""
    hub.before = samples(hub)
    assert hub.spawn(hub.user, {"environment": "gone"})[-1].get("failed")
    assert hub.spawn(hub.user, {})[-1].get("ready")
    hub.job_id = hub.state(hub.user)["job_id"]
    hub.name = hub.state(hub.user)["name"]
    hub.secret = json.loads((hub.home / "sessions" / hub.name / "plan.json").read_text())["secret"]
    hub.during = sessions(hub)
    hub.stop_server(hub.user)
    hub.after = samples(hub)
    return hub


def gained(life, name, *labels):
    return life.after[PREFIX + name, *labels] - life.before[PREFIX + name, *labels]


def test_durations_are_of_every_step(life):
    total = gained(life, "start_duration_seconds_sum", "total")
    parts = [gained(life, "start_duration_seconds_sum", phase) for phase in ("submit", "server")]
    assert all(part > 0 for part in parts)
    # The failed start has a submission and a wait, too; the other's parts make up its total.
    assert 0 < total <= sum(parts) + gained(life, "queue_wait_seconds_sum") + 0.01
    assert gained(life, "start_duration_seconds_count", "submit") == 2
    assert gained(life, "start_duration_seconds_count", "server") == 1
    assert gained(life, "start_duration_seconds_count", "total") == 1
    assert gained(life, "queue_wait_seconds_count") in (1, 2)


def test_a_failure_has_one_cause(life):
    assert {cause: gained(life, "failures_total", cause) for cause in CAUSES} == {
        **dict.fromkeys(CAUSES, 0), "ended": 1}


def test_commands_are_counted_by_kind(life):
    counts = {kind: gained(life, "command_duration_seconds_count", kind) for kind in COMMANDS}
    assert counts["submit"] == 2 and counts["cancel"] >= 1 and counts["status"] >= 1
    assert not any(gained(life, "command_errors_total", kind) for kind in COMMANDS)


def test_sessions_are_counted_by_state(life):
    none = dict.fromkeys(STATES.values(), 0)
    assert life.during == {**none, "running": 1}
    assert sessions(life) == none


def test_labels_name_nobody_and_no_job(life):
    labels = {word for name, *words in life.after if name.startswith("jupyterhub_hpc_") for word in words}
    numbers = {word for word in labels if re.fullmatch(r"[\d.]+|\+Inf", word)}  # histograms' bounds
    assert labels - numbers == {*CAUSES, *COMMANDS, *STATES.values(), "submit", "server", "total"}


def test_every_line_about_the_session_is_found_by_its_job_and_says_whose_it_is(life):
    lines = [line for line in life.log.read_text().splitlines() if f"job={life.job_id} " in line]
    assert {FACTS.search(line).groups() for line in lines} == {(life.user, "", life.job_id, life.name)}
    text = "\n".join(lines)
    for step in ("pending", "starting", "running", "ending"):
        assert f"The session is {step} user=" in text
    assert text.index("is pending") < text.index("is running") < text.index("is stopped")
    # The line before there was a job.
    assert f"The session is submitting user={life.user} server= job= session={life.name}\n" in life.log.read_text()
    assert re.search("The session could not start: .Job [0-9]+ could.* user=", life.log.read_text())
    # No other line of ours is about this session.
    assert [line for line in life.log.read_text().splitlines()
            if life.name in line and not FACTS.search(line) and "/hpc-spawner/" not in line] == []
    assert life.secret not in life.log.read_text()


def dashboard():
    panels = json.loads((EXAMPLES / "grafana-dashboard.json").read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def alerts():
    groups = yaml.safe_load((EXAMPLES / "prometheus-alerts.yml").read_text())["groups"]
    return {rule["alert"]: rule["expr"] for group in groups for rule in group["rules"]}


def families(names):
    """Histograms and what is read of them are one metric."""
    return {re.sub(r"_(bucket|count|sum)$", "", name) for name in names}


def ours(life):
    # Prometheus' client library adds when a counter began.
    return {name for name, *_ in life.after if OURS.fullmatch(name) and not name.endswith("_created")}


def test_dashboard_and_alerts_ask_for_what_there_is(life):
    for expression in [*dashboard(), *alerts().values()]:
        found = SELECTOR.findall(expression)
        assert found, expression
        for name, label, operator, wanted in found:
            assert name in ours(life), expression
            match = re.fullmatch if operator == "=~" else str.__eq__
            values = [words[0] for found, *words in life.after if found == name and words]
            assert not label or any(match(wanted, value) for value in values), expression


def test_dashboard_and_documentation_have_every_metric(life):
    assert families(OURS.findall(" ".join(dashboard()))) == families(ours(life))
    text = DOCUMENTATION.read_text()
    assert set(re.findall(r"^\| `(jupyterhub_hpc_\w+)` \|", text, re.MULTILINE)) == families(ours(life))
    for value in (*CAUSES, *COMMANDS, *STATES.values()):
        assert f"`{value}`" in text


def test_what_to_do_is_written_of_every_alert():
    assert re.findall(r"^\| ([A-Z]\w+) \|", DOCUMENTATION.read_text(), re.MULTILINE) == list(alerts())
