"""The keys of a session's Dask: no two sessions share one, and clocks may differ."""
import datetime

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from jupyterhub_hpc_spawner.hub.credentials import tls_pem

DAY = datetime.timedelta(days=1)


def read(text):
    return serialization.load_pem_private_key(text.encode(), None), x509.load_pem_x509_certificate(text.encode())


def test_each_session_has_a_key_of_its_own_and_the_certificate_is_that_keys():
    (key, certificate), (other, _) = read(tls_pem()), read(tls_pem())
    assert key.private_numbers() != other.private_numbers()
    assert certificate.public_key() == key.public_key() != other.public_key()
    certificate.verify_directly_issued_by(certificate)


def test_a_certificate_is_valid_for_a_year_from_a_day_ago():
    _, certificate = read(tls_pem())
    now = datetime.datetime.now(datetime.timezone.utc)
    assert abs(now - DAY - certificate.not_valid_before_utc) < datetime.timedelta(minutes=1)
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc == 365 * DAY
