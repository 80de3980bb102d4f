"""JupyterHub's ``internal_ssl``: a session's key, and certificates for it.

Where a job will run nobody knows when it is submitted. So it gets a key, and a certificate to talk to the Hub with.
When it says that it has started, the answer is a certificate for that key and for the node's address, and no other:
none is good for posing as a server elsewhere.
"""
import ipaddress
from pathlib import Path
from urllib.parse import urlsplit

from certipy import Certipy
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from tornado import web

from .credentials import validity

# JupyterHub's name for who signs the certificates of single-user servers.
AUTHORITY = "notebooks-ca"
# By JupyterHub's variable: the file in the session's directory.
FILES = {"JUPYTERHUB_SSL_KEYFILE": "hub-key.pem", "JUPYTERHUB_SSL_CERTFILE": "hub-cert.pem",
         "JUPYTERHUB_SSL_CLIENT_CA": "hub-ca.pem"}


def session_files(spawner):
    """The files by name: a new key, a certificate to call the Hub with, whom to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    texts = (key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                               serialization.NoEncryption()).decode(),
             _sign(spawner, key.public_key()), Path(spawner.internal_trust_bundles[AUTHORITY]).read_text())
    return dict(zip(FILES.values(), texts))


def environment(directory):
    return {name: f"{directory}/{file}" for name, file in FILES.items()}


def server_certificate(spawner, shown, host):
    """PEM text: for a server at ``host``, and for the key of the certificate ``shown`` (DER) that called the Hub."""
    if not host:
        raise web.HTTPError(503, "Where the job runs is not known yet; ask again")
    return _sign(spawner, x509.load_der_x509_certificate(shown).public_key(), host)


def names_of(path):
    """The names and addresses that the certificate in this file is good for."""
    certificate = x509.load_pem_x509_certificate(Path(path).read_bytes())
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(name.value) for name in found}


def missing_name(app):
    """What the Hub's own certificate lacks so that jobs take it for the Hub, as ``trusted_alt_names`` has it, or ""."""
    if not app.internal_ssl:
        return ""
    name = _name(urlsplit(app.hub.api_url).hostname)
    kind = "IP" if isinstance(name, x509.IPAddress) else "DNS"
    return "" if str(name.value) in names_of(app.internal_ssl_cert) else f"{kind}:{name.value}"


def _sign(spawner, public_key, host=None):
    """Of a server at ``host``; without it, of a client only."""
    authority = Certipy(store_dir=spawner.internal_certs_location).store.get_record(AUTHORITY)["files"]
    issuer = x509.load_pem_x509_certificate(Path(authority["cert"]).read_bytes())
    key = serialization.load_pem_private_key(Path(authority["key"]).read_bytes(), None)
    begin, end = validity()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "single-user server of JupyterHub")])
    uses = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] if host else [])]
    builder = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(issuer.subject).public_key(public_key)
        .serial_number(x509.random_serial_number()).not_valid_before(begin).not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), critical=False)
    )
    if host:
        builder = builder.add_extension(x509.SubjectAlternativeName([_name(host)]), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def _name(host):
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
