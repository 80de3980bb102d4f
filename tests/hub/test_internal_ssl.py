"""JupyterHub's ``internal_ssl``: the Hub, its proxy, single-user servers, the call-back and extra jobs over TLS."""
import json
import re
import socket
import ssl
import urllib.request
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from support.kernel import run_code
from support.running_hub import request, server_path

ONLY = ("newest",)

CONFIG = """
c.JupyterHub.internal_ssl = True
c.JupyterHub.internal_certs_location = "{directory}/internal-ssl"
c.ConfigurableHTTPProxy.api_url = c.ConfigurableHTTPProxy.api_url.replace("http:", "https:")
"""
WORK = """
from dask.distributed import Client
client = Client()
client.wait_for_workers(1, timeout=60)
print(client.submit(lambda x: x + 1, 41).result())
from jupyterhub_hpc_spawner.notebook.jobs import jobs
print(jobs())
"""
NAMES = ("", "second")


@pytest.fixture(scope="module")
def secure(environment, tmp_path_factory, make_local_hub):
    """Two sessions of one user, one with a name."""
    directory = tmp_path_factory.mktemp("hub")
    hub = make_local_hub(directory, environment, CONFIG.format(directory=directory)).start()
    hub.add_user(hub.user)
    try:
        for name in NAMES:
            body = {"user_options": {"dask": not name, "dask_workers_per_node": 1}}
            assert hub.api("POST", f"/users/{hub.user}/{server_path(name)}", body).status in (201, 202)
        for name in NAMES:
            events = hub.progress(hub.user, name)
            assert events[-1].get("ready"), (events, hub.log.read_text()[-3000:])
        yield hub
    finally:
        for name in hub.servers(hub.user):
            hub.stop_server(hub.user, name)
        hub.stop()


def directory_of(hub, name=""):
    return hub.home / "sessions" / hub.state(hub.user, name)["name"]


def certificate(hub, name=""):
    return x509.load_pem_x509_certificate((directory_of(hub, name) / "hub-cert.pem").read_bytes())


def context(hub, name=""):
    """For calls as that session makes them, with its key and certificate."""
    files = directory_of(hub, name)
    made = ssl.create_default_context(cafile=files / "hub-ca.pem")
    made.load_cert_chain(files / "hub-cert.pem", files / "hub-key.pem")
    return made


def variable(hub, name):
    text = (directory_of(hub) / "environment.sh").read_text()
    return re.search(rf"^export {name}='?([^'\n]*)", text, re.M)[1]


def shake(context, address):
    """What the server says to a call, "" where it ends the connection."""
    try:
        with socket.create_connection(address, timeout=10) as plain:
            with context.wrap_socket(plain, server_hostname=address[0]) as secure:
                secure.sendall(b"GET / HTTP/1.0\r\n\r\n")
                return secure.recv(20).decode()
    except (ssl.SSLError, ConnectionResetError):
        return ""


def test_dask_its_dashboard_and_the_road_to_the_hub_work(secure):
    token = secure.user_token(secure.user)
    assert run_code(secure.server_url, token, WORK).splitlines() == ["42", "[]"]
    assert request("GET", f"{secure.server_url}dask-dashboard/status", token=token).status == 200
    assert request("GET", f"{secure.server_url}second/api/status", token=token).status == 200
    assert variable(secure, "JUPYTERHUB_API_URL").startswith("https:")


def test_each_session_has_a_key_of_its_own_for_its_node_only(secure):
    keys = {(directory_of(secure, name) / "hub-key.pem").read_text() for name in NAMES}
    assert len(keys) == 2
    for name in NAMES:
        names = certificate(secure, name).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert [str(each.value) for each in names] == [secure.state(secure.user, name)["address"]]
        for file in ("hub-key.pem", "hub-cert.pem", "hub-ca.pem"):
            assert (directory_of(secure, name) / file).stat().st_mode & 0o777 == 0o600
    kept = [path.name for path in (secure.directory / "internal-ssl").rglob("*")]
    assert "hub-internal" in kept and not [name for name in kept if name.startswith("user-")]


def test_a_server_talks_to_the_hub_and_the_proxy_only(secure):
    state = secure.state(secure.user)
    nobody = ssl.create_default_context()
    nobody.check_hostname, nobody.verify_mode = False, ssl.CERT_NONE
    other = context(secure, "second")
    other.check_hostname, other.verify_mode = False, ssl.CERT_NONE
    for caller in (nobody, other):
        assert shake(caller, (state["address"], state["port"])) == ""
    store = secure.directory / "internal-ssl"
    hub = ssl.create_default_context(cafile=store / "hub-ca_trust.crt")
    hub.load_cert_chain(store / "hub-internal/hub-internal.crt", store / "hub-internal/hub-internal.key")
    assert shake(hub, (state["address"], state["port"])).startswith("HTTP/1")


def test_the_hub_takes_no_call_without_a_certificate(secure):
    url = urlsplit(variable(secure, "JUPYTERHUB_API_URL"))
    nobody = ssl.create_default_context(cafile=directory_of(secure) / "hub-ca.pem")
    assert shake(nobody, (url.hostname, url.port)) == ""
    assert shake(context(secure), (url.hostname, url.port)).startswith("HTTP/1")


def test_no_word_of_the_job_gives_a_certificate_for_another_address(secure):
    """Its first report counts, and that came from where it runs."""
    plan = json.loads((directory_of(secure) / "plan.json").read_text())
    body = {"session": plan["session"], "secret": plan["secret"], "phase": "started", "address": "10.9.8.7"}
    call = urllib.request.Request(variable(secure, "JUPYTERHUB_API_URL") + "/hpc-spawner/report",
                                  json.dumps(body).encode(),
                                  {"Authorization": f"token {variable(secure, 'JUPYTERHUB_API_TOKEN')}"})
    with urllib.request.urlopen(call, context=context(secure), timeout=30) as answer:
        given = x509.load_pem_x509_certificate(json.load(answer)["certificate"].encode())
    names = given.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(each.value) for each in names] == ["127.0.0.1"]
    assert given.public_key() == certificate(secure).public_key()


def test_no_key_is_in_a_log_or_in_the_hubs_database(secure):
    logs = [secure.log, secure.directory / "hub.sqlite", *(directory_of(secure, name) / "job.log" for name in NAMES)]
    seen = b"".join(path.read_bytes() for path in logs)
    for name in NAMES:
        for line in (directory_of(secure, name) / "hub-key.pem").read_bytes().splitlines()[1:-1]:
            assert line not in seen


def test_a_session_outlives_a_restart_of_the_hub_and_leaves_nothing(secure):
    secure.stop()
    secure.start()
    token = secure.user_token(secure.user)
    assert request("GET", f"{secure.server_url}api/status", token=token).status == 200
    for name in NAMES:
        secure.stop_server(secure.user, name)
    secure.assert_nothing_left()
