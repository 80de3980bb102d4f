"""The certificates of ``internal_ssl``, by a certificate authority as JupyterHub makes it."""
from pathlib import Path
from types import SimpleNamespace

import pytest
from certipy import Certipy
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from jupyterhub_hpc_spawner.hub import certificates
from jupyterhub_hpc_spawner.node import certificate


def read(text):
    return x509.load_pem_x509_certificate(text.encode())


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """JupyterHub's authorities for the Hub and for single-user servers, and the Hub's own certificate."""
    store = Certipy(store_dir=str(tmp_path_factory.mktemp("internal-ssl")))
    bundles = store.trust_from_graph({"hub-ca": ["hub-ca", "notebooks-ca"], "notebooks-ca": ["hub-ca"]})
    hub = store.create_signed_pair("hub-internal", "hub-ca", alt_names=["IP:127.0.0.1", "DNS:hub.example"])
    return SimpleNamespace(
        spawner=SimpleNamespace(internal_certs_location=store.store.containing_dir, internal_trust_bundles=bundles),
        authority=read(Path(store.store.get_record("notebooks-ca")["files"]["cert"]).read_text()),
        hub=hub["files"]["cert"])


@pytest.fixture(scope="module")
def files(store):
    return certificates.session_files(store.spawner)


def uses(certificate):
    return [use._name for use in certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value]


def test_a_job_begins_with_a_certificate_that_is_no_servers(store, files):
    certificate = read(files["hub-cert.pem"])
    certificate.verify_directly_issued_by(store.authority)
    assert uses(certificate) == ["clientAuth"]
    with pytest.raises(x509.ExtensionNotFound):
        certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    key = serialization.load_pem_private_key(files["hub-key.pem"].encode(), None)
    assert key.public_key() == certificate.public_key()


@pytest.mark.parametrize("host", ["10.1.2.3", "fd00::7", "n1.cluster.example"])
def test_its_server_gets_one_for_its_own_address(store, files, host, tmp_path):
    shown = read(files["hub-cert.pem"])
    text = certificates.server_certificate(store.spawner, shown.public_bytes(serialization.Encoding.DER), host)
    certificate = read(text)
    certificate.verify_directly_issued_by(store.authority)
    assert certificate.public_key() == shown.public_key()
    assert set(uses(certificate)) == {"clientAuth", "serverAuth"}
    (tmp_path / "pem").write_text(text)
    assert certificates.names_of(tmp_path / "pem") == {host}
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_a_job_calls_the_hub_also_where_its_files_were_deleted_meanwhile(store, files, tmp_path, monkeypatch):
    names = {"CLIENT_CA": "hub-ca.pem", "CERTFILE": "hub-cert.pem", "KEYFILE": "hub-key.pem"}
    for variable, name in names.items():
        (tmp_path / name).write_text(files[name])
        monkeypatch.setenv(f"JUPYTERHUB_SSL_{variable}", str(tmp_path / name))
    staged = certificate.client_context()
    shown = read(files["hub-cert.pem"]).public_bytes(serialization.Encoding.DER)
    certificate.keep({"certificate": certificates.server_certificate(store.spawner, shown, "10.1.2.3")})
    kept = certificate.client_context()
    assert kept is not staged
    for name in names.values():
        (tmp_path / name).unlink()
    assert certificate.client_context() is kept


@pytest.mark.parametrize("url, missing", [
    ("https://127.0.0.1:8081/hub/api", ""), ("https://hub.example:8081/hub/api", ""),
    ("https://10.0.0.1:8081/hub/api", "IP:10.0.0.1"), ("https://other.example/hub/api", "DNS:other.example"),
])
def test_a_hub_whose_certificate_is_for_other_addresses_is_told(store, url, missing):
    app = SimpleNamespace(internal_ssl=True, internal_ssl_cert=store.hub, hub=SimpleNamespace(api_url=url))
    assert certificates.missing_name(app) == missing
    assert certificates.missing_name(SimpleNamespace(internal_ssl=False)) == ""
