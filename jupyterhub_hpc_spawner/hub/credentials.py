"""Keys of one session: made in memory, handed to the helper, never kept."""
import datetime
import hashlib
import hmac
import secrets

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

VALID_DAYS = 365


def new_secret():
    """A secret that proves to the Hub that a report comes from the session's own job."""
    return secrets.token_urlsafe(32)


def digest(secret):
    """What the Hub's database keeps of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def matches(secret, kept):
    return hmac.compare_digest(digest(secret), kept)


def validity():
    """From when to when a certificate is good. A day back: clocks of compute nodes may be behind the Hub's."""
    begin = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)
    return begin, begin + datetime.timedelta(days=VALID_DAYS)


def tls_pem():
    """Key and self-signed certificate in one PEM text: authority and every role of one session's Dask."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "jupyterhub-hpc-spawner session")])
    begin, end = validity()
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin).not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                serialization.NoEncryption())
    return (private + certificate.public_bytes(serialization.Encoding.PEM)).decode()
