"""Hostile REST bodies to a real Hub, which JupyterHub 5 and 6 hand on each in its way: never its mistake (500), never
a job that nobody asked for."""
import random
from collections import Counter

import pytest
from support import hostile


@pytest.fixture(scope="module")
def hub(hostile_hub):
    return hostile_hub


def test_rest_bodies(hub):
    generator = random.Random(1)
    counts = Counter(hub.try_rest(hostile.request(generator)) for _ in range(60))
    assert set(counts) == {"refused, 400", "submitted as asked"}


def test_huge_bodies_and_what_is_no_json_are_refused(hub, environment):
    road = f"/users/{hub.user}/server"
    for body in (b"", b"{", b"[" * 5000, b'{"user_options": ' + b"[" * 3000, b"\xff\xfe", b'"x"', b"5", b"NaN"):
        call = hub.raw("POST", road, body)
        # At what is no text or no object JupyterHub 5 itself fails, before it asks us.
        own = environment.name == "oldest" and body in (b"\xff\xfe", b'"x"', b"5", b"NaN")
        assert call.status in (201, 202, 400, *([500] if own else [])), (body[:20], call)
        assert not [text for text in hub.submitted() if "--nodes=1" not in text]
    assert hub.rest("POST", f"/users/{hub.user}/server", {"user_options": {"account": "x" * 10 ** 6}}).status == 400
    assert not hub.submitted()
