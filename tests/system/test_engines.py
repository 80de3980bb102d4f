"""IPyParallel on two nodes of every batch system; how it is closed to others is in test_ipyparallel.py."""
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from support.kernel import run_code

ENGINES = """
import json, os, socket, time
import ipyparallel as ipp

def facts():
    return json.load(open(os.environ["HPC_SESSION_FILE"]))["runtimes"]["ipyparallel"]

deadline = time.monotonic() + 60
while facts()["state"] == "starting" and time.monotonic() < deadline:
    time.sleep(0.1)
client = ipp.Client(os.environ["IPP_CLIENT_FILE"])
client.wait_for_engines(4, timeout=60, interactive=False)
print(*client[:].apply_sync(socket.gethostname))
print(facts()["mpi"], facts().get("mpi_error", "")[-200:])

def rank():
    from mpi4py import MPI
    return MPI.COMM_WORLD.rank, MPI.COMM_WORLD.allreduce(1)

print(client[:].apply_sync(rank) if facts()["mpi"] else "")

def library():
    from mpi4py import MPI
    return MPI.Get_library_version().split()[0]

print(*set(client[:].apply_sync(library)) if facts()["mpi"] else "")
"""
OPEN_MPI = "export MPI4PY_LIBMPI=libmpi.so.40\n"


def test_engines_are_on_both_nodes_and_one_mpi_program_where_the_system_can(idle):
    options = {**idle.cluster.two_nodes, "ipyparallel": True, "ipyparallel_engines_per_node": 2}
    assert idle.spawn("alice", options)[-1].get("ready")
    printed = run_code(idle.server_url("alice"), idle.user_token("alice"), ENGINES).splitlines()
    hosts = printed[0].split()
    assert len(hosts) == 4 and len(set(hosts)) == 2
    assert printed[1].split()[0] == str(idle.cluster.mpi), printed
    if idle.cluster.mpi:
        assert printed[2] == "[(0, 4), (1, 4), (2, 4), (3, 4)]"
    idle.stop_server("alice")
    idle.assert_nothing_left("alice")


def test_the_ranks_are_open_mpis_where_the_environment_has_that(idle):
    """Debian's has no PMI-2, Slurm's first way: its second is taken, PMIx."""
    if idle.cluster.system != "slurm":
        pytest.skip("Debian's Open MPI is built for Slurm, and not for Grid Engine")
    Path("~alice/.jupyterhub.env").expanduser().write_text(OPEN_MPI)
    options = {**idle.cluster.two_nodes, "ipyparallel": True, "ipyparallel_engines_per_node": 2}
    assert idle.spawn("alice", options)[-1].get("ready")
    printed = run_code(idle.server_url("alice"), idle.user_token("alice"), ENGINES).splitlines()
    assert len(set(printed[0].split())) == 2 and printed[1].strip() == "True", printed
    assert printed[2:] == ["[(0, 4), (1, 4), (2, 4), (3, 4)]", "Open"]
    idle.stop_server("alice")
    idle.assert_nothing_left("alice")


def test_a_rank_ends_with_the_session_also_where_mpis_own_program_was_killed(idle):
    """Grid Engine kills it when its client is told to end; the ranks are in sessions of their own and stay."""
    if idle.cluster.system != "sge":
        pytest.skip("here MPI programs are started by the batch system itself")
    options = {**idle.cluster.two_nodes, "ipyparallel": True, "ipyparallel_engines_per_node": 2}
    assert idle.spawn("alice", options)[-1].get("ready")
    run_code(idle.server_url("alice"), idle.user_token("alice"), ENGINES)
    ps = subprocess.run(["ps", "-ww", "-u", "alice", "-o", "pid=,args="], capture_output=True, text=True).stdout
    proxy, = re.findall(r"^ *(\d+) \S+/hydra_pmi_proxy .*--proxy-id 1\b", ps, re.MULTILINE)
    os.kill(int(proxy), signal.SIGKILL)
    if idle.servers("alice"):
        idle.stop_server("alice")
    idle.assert_nothing_left("alice")
