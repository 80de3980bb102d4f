"""JupyterHub's ``internal_ssl`` in the job: the session's key and certificate, whose files JupyterHub's variables name.

The certificate that was staged is to call the Hub with; the Hub's answer to the first call is one for a server here.
"""
import asyncio
import os
import ssl
from functools import lru_cache


def wanted():
    return os.environ["JUPYTERHUB_SERVICE_URL"].startswith("https:")


def client_context():
    """To call the Hub with: its internal certificates where it uses them, the system's otherwise."""
    return _context(*(os.environ.get("JUPYTERHUB_SSL_" + name) for name in ("CLIENT_CA", "CERTFILE", "KEYFILE")))


@lru_cache(maxsize=1)
def _context(authority, certificate, key):
    """Kept: the session says goodbye also where its files are deleted."""
    context = ssl.create_default_context(cafile=authority or None)
    if certificate:
        context.load_cert_chain(certificate, key)
    return context


def keep(answer):
    """From now on the certificate is what the Hub answered. LookupError where that is none."""
    if not answer or "certificate" not in answer:
        raise LookupError("the Hub gave this session no certificate for its server")
    path = os.environ["JUPYTERHUB_SSL_CERTFILE"]
    with open(os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as new:
        new.write(answer["certificate"])
    os.replace(path + ".new", path)
    _context.cache_clear()


async def answers(address, port):
    """Whether a server shakes hands there. It is asked no more: it takes calls from the Hub and the proxy only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        _, writer = await asyncio.open_connection(address, port, ssl=context)
    except OSError:  # ssl.SSLError is one
        return False
    writer.close()
    return True
