"""Metrics are registered once, whoever imports them how often; a log line names its session whatever the names are."""
import importlib
import logging
from types import SimpleNamespace

import pytest
from prometheus_client import REGISTRY

from jupyterhub_hpc_spawner.errors import QueryError, SubmitError
from jupyterhub_hpc_spawner.hub import metrics
from jupyterhub_hpc_spawner.hub.session import Session
from jupyterhub_hpc_spawner.hub.session_log import SessionLog


def value(name, **labels):
    return REGISTRY.get_sample_value(f"jupyterhub_hpc_{name}", labels)


def test_another_import_registers_nothing_twice_and_loses_nothing():
    metrics.failed("timeout")
    before = value("failures_total", cause="timeout")
    importlib.reload(metrics)
    metrics.failed("timeout")
    assert value("failures_total", cause="timeout") == before + 1


@pytest.mark.parametrize(("error", "counted"), [(None, 0), (SubmitError("no"), 0), (QueryError("no answer"), 1)])
async def test_every_command_is_timed_and_errors_are_counted(error, counted):
    @metrics.command("submit")
    async def submit():
        if error:
            raise error

    def now():
        return value("command_duration_seconds_count", command="submit"), value(
            "command_errors_total", command="submit")
    before = now()
    for _ in range(2):
        if error:
            with pytest.raises(type(error)):
                await submit()
        else:
            await submit()
    assert now() == (before[0] + 2, before[1] + 2 * counted)


def test_a_clock_that_is_set_back_takes_nothing_off():
    before = value("queue_wait_seconds_sum")
    metrics.reached("running", {"submitted": 100, "running": 40})
    assert value("queue_wait_seconds_sum") == before


@pytest.mark.parametrize(("user", "server", "end"), [
    ("ada", "", "user=ada server= job=4711.pbs1"), ("ada@site", "b-2", "user=ada@site server=b-2 job=4711.pbs1"),
    ("a b", 'x"\ny=%s', 'user="a b" server="x\\"\\ny=%s" job=4711.pbs1'),
])
def test_a_line_ends_with_what_it_is_about_and_is_one(caplog, user, server, end):
    spawner = SimpleNamespace(user=SimpleNamespace(name=user), name=server, log=logging.getLogger("hub"))
    spawner.session = session = Session.new("/s", SessionLog(spawner))
    session.state.job_id = "4711.pbs1"
    session.log.warning("%s of 100%%", "half")
    record, = caplog.records
    assert record.getMessage() == f"half of 100% {end} session={session.state.name}"
    assert record.funcName == "test_a_line_ends_with_what_it_is_about_and_is_one"
