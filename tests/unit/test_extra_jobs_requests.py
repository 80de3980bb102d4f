"""What an extra job may be asked, and what becomes of it: decisions without a Hub."""
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from jupyterhub_hpc_spawner.errors import OptionErrors
from jupyterhub_hpc_spawner.hub.extra import OVERRIDES, extra_options
from jupyterhub_hpc_spawner.hub.handlers import Choice, Wish
from jupyterhub_hpc_spawner.hub.session import Session
from jupyterhub_hpc_spawner.options import Options, Policy, Profile, parse_options

PROOF = {"session": "jupyter-0", "secret": "s"}
JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
                    max_leaves=5)
OWN = {"queue": "normal", "account": "geo", "nodes": 4, "cores": 8, "walltime": "8h", "environment": "jupyter",
       "dask": True, "dask_workers_per_node": 8, "ipyparallel_engines_per_node": 8}


def wish(runtime="dask", **fields):
    return Wish.model_validate_json(json.dumps({**PROOF, "runtime": runtime, **fields}))


@given(st.dictionaries(st.sampled_from([*Wish.model_fields, "cmd", "job_id"]) | st.text(max_size=5), JSON, max_size=6))
def test_whatever_is_sent_is_a_bounded_wish_or_refused(fields):
    """Never another error, and never a value that could be more than one word of a worker's name."""
    try:
        found = Wish.model_validate_json(json.dumps({**PROOF, "runtime": "dask", **fields}))
    except ValidationError:
        return
    assert fields.keys() <= Wish.model_fields.keys() and found.runtime in ("dask", "ipyparallel")
    assert not set(found.name) & set(" \n'\"/$;&|") and len(found.name) <= 61
    assert 1 <= found.workers <= 10000 and (found.lifetime is None or 0 < found.lifetime <= 10 ** 9)


@pytest.mark.parametrize("fields", [
    {"name": "extra-a\n"}, {"name": "-a"}, {"name": "a/b"}, {"name": "ä"}, {"workers": True}, {"workers": "2"},
    {"threads": 0}, {"lifetime": "1h"}, {"stagger": 0}, {"options": []}, {"options": {"nodes": [2]}},
    {"options": {"queue": "x" * 201}}, {"options": {str(n): 1 for n in range(21)}}, {"runtime": None},
])
def test_bad_fields_are_refused(fields):
    with pytest.raises(ValidationError):
        wish(**fields)


@pytest.mark.parametrize("job_id", ["", "x" * 101, 5])
def test_a_job_is_named_by_a_short_text(job_id):
    with pytest.raises(ValidationError):
        Choice.model_validate_json(json.dumps({**PROOF, "job_id": job_id}))


def test_the_sessions_own_options_hold_but_for_its_nodes_and_its_counts():
    raw = extra_options(OWN, wish(workers=2, threads=1))
    assert raw == {"queue": "normal", "account": "geo", "cores": 8, "walltime": "8h", "environment": "jupyter",
                   "dask": True, "dask_workers_per_node": 2, "dask_threads_per_worker": 1}
    raw = extra_options(OWN, wish("ipyparallel", engines=3, options={"nodes": 2}))
    assert (raw["nodes"], raw["ipyparallel"], raw["ipyparallel_engines_per_node"]) == (2, True, 3)
    assert "dask_workers_per_node" not in raw


@given(st.sets(st.sampled_from(sorted(Options.model_fields)), max_size=20))
def test_only_the_options_of_a_job_can_be_overridden(names):
    asked = wish(options={name: "1" for name in names})
    if names <= OVERRIDES:
        assert {name: extra_options(OWN, asked)[name] for name in names} == {name: "1" for name in names}
        return
    with pytest.raises(OptionErrors) as caught:
        extra_options(OWN, asked)
    assert {error.field for error in caught.value.errors} == names - OVERRIDES
    assert "is not an option of an extra job" in str(caught.value)


def test_what_is_left_open_or_null_is_as_in_the_session():
    assert extra_options(OWN, wish(options={"queue": None}))["queue"] == "normal"


def test_a_presets_lock_and_the_sites_limits_hold_for_extra_jobs():
    policy = Policy(profiles={"small": Profile(options={"cores": 1, "nodes": 2}, lock=("cores", "nodes"))},
                    limits={"memory": 2 ** 30})
    own = {"profile": "small", "nodes": 2, "dask": True}
    assert parse_options(extra_options(own, wish()), policy).nodes == 2
    refused = {"cores": (2, "cores: is fixed by the preset small"), "memory": ("2G", "memory: at most")}
    for name, (value, words) in refused.items():
        options = {name: value}
        with pytest.raises(OptionErrors, match=words):
            parse_options(extra_options(own, wish(options=options)), policy)


def test_a_session_keeps_what_was_submitted_over_a_restart():
    jobs = [{"runtime": "dask", "label": "extra-a", "nodes": 2, "name": "jupyter-a", "directory": "/s/jupyter-a",
             "job_id": job_id} for job_id in ("7", "")]
    state = Session.new("/s", None).dump()
    loaded = Session.load({**state, "extra": jobs}, None)
    assert [job.job_id for job in loaded.state.extra] == ["7"] and loaded.dump()["extra"] == jobs[:1]
    del state["extra"]  # of a Hub before this version
    assert Session.load(state, None).state.extra == []


def test_settings_of_workers_go_to_dask_only():
    assert wish(lifetime=55.5).settings("extra-a") == {
        "workers": {"name": "extra-a", "lifetime": 55.5, "stagger": None}}
    assert wish("ipyparallel").settings("extra-a") == {}
