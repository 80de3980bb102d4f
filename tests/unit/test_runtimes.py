"""The pure side of the runtimes: what they ask for, what the session's environment gets, what the job is told."""
import json
from importlib import import_module

import pytest

from jupyterhub_hpc_spawner.batch.local import Local
from jupyterhub_hpc_spawner.batch.slurm import Slurm
from jupyterhub_hpc_spawner.errors import ConfigError
from jupyterhub_hpc_spawner.model import JobRequest
from jupyterhub_hpc_spawner.options import parse_options
from jupyterhub_hpc_spawner.runtimes import RUNTIMES, wanted_runtimes

BOTH = parse_options({"nodes": 2, "dask": True, "ipyparallel": True, "ipyparallel_engines_per_node": 3})


@pytest.mark.parametrize(("options", "names"), [
    ({}, []),
    ({"dask": True}, ["dask"]),
    ({"ipyparallel": "on"}, ["ipyparallel"]),
    ({"ipyparallel_engines_per_node": 4}, []),
    ({"dask": True, "ipyparallel": True}, ["dask", "ipyparallel"]),
])
def test_a_runtime_is_wanted_where_its_option_is_on(options, names):
    assert [runtime.name for runtime in wanted_runtimes(parse_options(options))] == names


@pytest.mark.parametrize("runtime", RUNTIMES, ids=lambda runtime: runtime.name)
def test_a_plan_is_json_and_names_the_module_that_starts_it(runtime):
    plan = json.loads(json.dumps(runtime.plan(BOTH, ["srun"], [["srun", "--mpi=x"]], {"dask_launcher": "fork"})))
    assert callable(import_module(f"jupyterhub_hpc_spawner.node.{plan['name']}").Runtime)


@pytest.mark.parametrize("runtime", RUNTIMES, ids=lambda runtime: runtime.name)
def test_every_file_that_a_variable_names_is_in_the_session_directory(runtime):
    env = runtime.environment("/home/a b/session")
    paths = [value for value in env.values() if value.startswith("/")]
    assert paths and all(path.startswith("/home/a b/session/") for path in paths)


@pytest.mark.parametrize("launcher", ["fork", "nanny", "mpi"])
def test_the_site_chooses_how_dask_workers_start(launcher):
    assert RUNTIMES[0].plan(BOTH, ["srun"], [["mpiexec"]], {"dask_launcher": launcher})["launcher"] == launcher


def test_an_unknown_way_to_start_dask_workers_is_the_sites_mistake():
    with pytest.raises(ConfigError, match="dask_launcher: there is no 'magic', only fork, nanny, mpi"):
        RUNTIMES[0].plan(BOTH, ["srun"], [], {"dask_launcher": "magic"})


@pytest.mark.parametrize(("asked", "engines", "dask"), [
    ({"dask": True}, None, None),
    ({"dask": True, "ipyparallel_engines_per_node": 3}, None, None),
    ({"dask": True, "ipyparallel": True}, 0, [None, None]),
    ({"dask": True, "ipyparallel": True, "ipyparallel_engines_per_node": 3, "dask_workers_per_node": 2}, 3, [2, None]),
    ({"ipyparallel": True, "dask_workers_per_node": 2}, None, None),
])
def test_each_runtime_is_told_what_runs_beside_it(asked, engines, dask):
    plans = {runtime.name: runtime.plan(parse_options(asked), [], [], {"dask_launcher": "fork"})
             for runtime in wanted_runtimes(parse_options(asked))}
    assert plans.get("dask", {}).get("ipyparallel") == engines
    assert plans.get("ipyparallel", {}).get("dask") == dask


def test_two_runtimes_do_not_set_the_same_variable():
    names = [name for runtime in RUNTIMES for name in runtime.environment("/s")]
    assert len(names) == len(set(names))


def test_ipyparallel_has_curve_and_its_client_file_before_it_starts():
    ipyparallel = wanted_runtimes(BOTH)[1]
    assert ipyparallel.environment("/s") == {
        "IPP_CLIENT_FILE": "/s/ipp/security/ipcontroller-client.json", "IPP_ENABLE_CURVE": "1"}
    plan = ipyparallel.plan(BOTH, ["srun"], [["mpiexec"]], {})
    assert (plan["nodes"], plan["engines_per_node"], plan["mpi_run"]) == (2, 3, [["mpiexec"]])


def test_slurm_starts_the_ranks_of_one_program_on_all_nodes_of_the_job():
    ways = Slurm(mpi=("pmix", "pmi2")).mpi_run(JobRequest("x", "/x", nodes=2))
    words = [[word.format(per_node=3, total=6) for word in way] for way in ways]
    assert [way[-1] for way in words] == ["--mpi=pmix", "--mpi=pmi2"]
    for way in words:
        assert {"--overlap", "--nodes=2", "--ntasks-per-node=3", "--ntasks=6", "--overcommit", "--mem=0",
                "--cpu-bind=none", "--export=ALL", "--input=none", "--kill-on-bad-exit=0"} <= set(way)
        # The job's own number of cores must not become that of each rank.
        assert way[:4] == ["env", "-u", "SLURM_CPUS_PER_TASK", "srun"]


def test_slurm_without_a_way_to_start_mpi_has_none():
    assert Slurm(mpi=()).mpi_run(JobRequest("x", "/x")) == []


def test_the_local_system_starts_ranks_with_mpiexec():
    assert Local().mpi_run(JobRequest("x", "/x")) == [["mpiexec", "-n", "{total}"]]
