"""JupyterHub's ``internal_ssl`` across the nodes of a real cluster, to a Hub that has an address of its own."""
import ast
from pathlib import Path

import pytest
from cryptography import x509
from support import system_hub
from support.kernel import run_code
from support.system_hub import SystemHub

ONLY = ("slurm",)

CONFIG = """
c.JupyterHub.internal_ssl = True
c.JupyterHub.trusted_alt_names = ["IP:{address}"]
c.ConfigurableHTTPProxy.api_url = c.ConfigurableHTTPProxy.api_url.replace("http:", "https:")
"""
WORK = """
import socket
from dask.distributed import Client
client = Client()
client.wait_for_workers(2, timeout=60)
print(sorted(client.run(socket.gethostname).values()))
from jupyterhub_hpc_spawner.notebook.jobs import jobs
print(jobs())
"""
# As another user who found the server's address: with no certificate, and with a bad one.
CALL = """
import socket, ssl, sys
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=10) as plain:
        with context.wrap_socket(plain) as secure:
            secure.sendall(b"GET /api HTTP/1.0\\r\\n\\r\\n")
            print("answer", secure.recv(20))
except (ssl.SSLError, ConnectionResetError) as error:
    print("refused", error)
"""


@pytest.fixture
def secure(cluster):
    with system_hub.hub_directory() as directory:
        hub = SystemHub(directory, cluster, CONFIG.format(address=cluster.address)).start().add_user("alice")
        try:
            yield hub
        finally:
            hub.end_sessions()
            hub.stop()


def test_sessions_on_several_nodes_talk_over_tls_only(secure):
    """Of one user, side by side: each server has a certificate for its own node."""
    for name, options in (("", {**secure.cluster.two_nodes, "dask": True}), ("second", {"cores": 1})):
        events = secure.spawn("alice", options, name)
        assert events[-1].get("ready"), (events, secure.log.read_text()[-3000:])
    hosts, jobs = run_code(secure.server_url("alice"), secure.user_token("alice"), WORK).splitlines()
    assert len(set(ast.literal_eval(hosts))) == 2 and jobs == "[]"
    for name in ("", "second"):
        state = secure.state("alice", name)
        directory = Path("~alice").expanduser() / ".local/share/jupyterhub-hpc-spawner" / state["name"]
        certificate = x509.load_pem_x509_certificate((directory / "hub-cert.pem").read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert [str(each.value) for each in names] == [state["address"]] and state["address"].startswith("10.")
        for node in (None, *secure.cluster.nodes):
            done = secure.cluster.run("bob", secure.bin_dir / "python", "-c", CALL, state["address"], state["port"],
                                      node=node)
            assert done.stdout.startswith("refused"), (node, done.stdout, done.stderr)
        assert secure.cluster.run("bob", "cat", directory / "hub-key.pem").returncode != 0
    for name in ("", "second"):
        secure.stop_server("alice", name)
    secure.assert_nothing_left("alice")
