"""The check that the form makes while one types: the same as at the start, and nothing is started."""
import pytest
from support.running_hub import request


def preview(hub, body, token=None):
    return request("POST", f"{hub.url}/hub/api/hpc-spawner/preview", body, token)


@pytest.mark.parametrize(("values", "fields"), [
    ({}, set()), ({"nodes": "1", "dask": "on"}, set()), ({"nodes": "many", "memory": "lots"}, {"nodes", "memory"}),
    ({"environment": "nowhere"}, {"environment"}), ({"unheard-of": "1"}, {"unheard-of"}), ([1, 2], {"options"}),
    ("nodes", {"options"}),
])
def test_errors_stand_by_their_fields(idle, values, fields):
    answer = preview(idle, values, idle.user_token(idle.user))
    assert answer.status == 200 and set(answer.json["errors"]) == fields
    assert not idle.servers(idle.user)


def test_it_is_for_users_and_for_json_of_a_sensible_size(idle):
    assert preview(idle, {}).status == 403
    token = idle.user_token(idle.user)
    assert preview(idle, {"queue": "x" * 20000}, token).status == 413
    nested = {}
    for _ in range(900):
        nested = {"a": nested}
    assert preview(idle, nested, token).status == 200
