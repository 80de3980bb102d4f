"""The job's call to a Hub that is away: for how long it is tried, and what the log says meanwhile."""
import io
import socket
import urllib.error
from threading import Thread
from types import SimpleNamespace

import pytest
from jupyterhub_hpc_spawner.node import report as module
from jupyterhub_hpc_spawner.node.report import Reporter


@pytest.fixture
def world(monkeypatch):
    """A clock that only pauses move, and a Hub that answers after ``away`` seconds, or ``refuses``."""
    world = SimpleNamespace(now=0, away=0, refuses=0, tries=0)

    def sleep(seconds):
        world.now += seconds

    def post(url, fields):
        world.tries += 1
        if world.now < world.away:
            raise urllib.error.URLError("Connection refused")
        if world.refuses:
            raise urllib.error.HTTPError("", world.refuses, "no", {}, io.BytesIO())

    monkeypatch.setattr(module, "time", SimpleNamespace(
        monotonic=lambda: world.now, sleep=sleep, strftime=lambda text: ""))
    monkeypatch.setattr(module, "post", post)
    monkeypatch.setenv("JUPYTERHUB_API_URL", "http://10.0.0.1:8081/hub/api")
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "t")
    world.reporter = Reporter("jupyter-abc", "s")
    return world


def test_a_hub_that_is_away_for_an_hour_hears_of_the_session_all_the_same(world, capsys):
    world.away = 3600
    assert world.reporter.report("listening", address="10.0.0.2", port=8888) is not None
    assert 3600 <= world.now < 3610 and world.tries < 3600
    said = capsys.readouterr().err
    assert said.count("the Hub at http://10.0.0.1:8081/hub/api/hpc-spawner/report cannot be reached so far") == 1


def test_a_hub_that_never_comes_back_is_given_up(world, capsys):
    world.away = float("inf")
    assert world.reporter.report("listening", address="10.0.0.2", port=8888) is None
    assert 7200 < world.now < 7210
    assert capsys.readouterr().err.splitlines()[-1].endswith("Connection refused>")


@pytest.mark.parametrize("answer", [b"<html>Please log in", b"\xff"])
def test_a_page_from_between_is_no_answer_of_the_hub(world, monkeypatch, answer):
    answers = [answer, b'{"certificate": "x"}']
    monkeypatch.setattr(module, "post", lambda url, fields: answers.pop(0))
    assert world.reporter.report("started", address="10.0.0.2") == {"certificate": "x"}


def test_what_does_not_speak_http_is_an_error_of_the_network(world, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "t")
    with socket.create_server(("127.0.0.1", 0)) as server:
        def answer():
            with server.accept()[0] as connection:
                connection.recv(10000)
                connection.sendall(b"220 mail.example ESMTP\r\n")
        thread = Thread(target=answer)
        thread.start()
        with pytest.raises(OSError, match="no answer of a Hub"):
            module.post(f"http://127.0.0.1:{server.getsockname()[1]}/", {})
        thread.join()


@pytest.mark.parametrize(("status", "tries_again"), [(403, False), (400, False), (503, True), (429, True)])
def test_a_refusal_is_final_and_trouble_is_not(world, status, tries_again):
    world.refuses = status
    assert world.reporter.report("started", address="10.0.0.2") is None
    assert (world.tries > 1) == tries_again


def test_a_goodbye_does_not_keep_the_job(world):
    world.away = float("inf")
    world.reporter.report("ended", patience=2, address="10.0.0.2")
    assert world.now < 5
