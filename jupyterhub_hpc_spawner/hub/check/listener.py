"""The Hub's part in the job of a check: the running Hub itself, or somebody who answers in its place."""
import asyncio
import errno
import json
import urllib.request
from contextlib import asynccontextmanager
from functools import partial

import jupyterhub

from ..commands import within

NAME = "Hub's address"
ANSWER = json.dumps({"version": jupyterhub.__version__}).encode()


@asynccontextmanager
async def hub_listener(spawner, findings):
    """Somebody answers at the Hub's address; a set of the addresses that asked, None where a Hub runs there itself."""
    hub = spawner.hub
    told = spawner.get_env()["JUPYTERHUB_API_URL"]
    peers = set()
    try:
        server = await asyncio.start_server(partial(_answer, peers), hub.ip or None, hub.port)
    except OSError as error:
        await _somebody_else(hub, told, error, findings)
        yield None
        return
    findings.ok(NAME, f"jobs are told {told}; this check answers there, no Hub does")
    try:
        yield peers
    finally:
        server.close()


async def _answer(peers, reader, writer):
    """As the Hub answers to ``GET /hub/api``; nothing of the request matters."""
    peers.add(writer.get_extra_info("peername")[0].partition("%")[0].removeprefix("::ffff:"))
    try:
        await within(10, reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                     % (len(ANSWER), ANSWER))
        await writer.drain()
    except (OSError, EOFError, asyncio.TimeoutError, asyncio.LimitOverrunError):
        pass
    finally:
        writer.close()


async def _somebody_else(hub, told, error, findings):
    if error.errno != errno.EADDRINUSE:
        return findings.fail(NAME, f"{hub.bind_url} cannot be listened at: {error.strerror or error}",
                             "c.JupyterHub.hub_bind_url must be an address of this machine")
    if hub.proto == "https":
        return findings.ok(NAME, f"jobs are told {told}; something with TLS listens there")
    try:
        version = await asyncio.get_running_loop().run_in_executor(None, _version, hub)
        findings.ok(NAME, f"jobs are told {told}; JupyterHub {version} answers here at {hub.bind_url}")
    except (OSError, ValueError, LookupError, TypeError) as error:
        findings.fail(NAME, f"what listens at {hub.bind_url} is no JupyterHub ({error})",
                      "end it, or set c.JupyterHub.hub_bind_url to a free port")


def _version(hub):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    host = hub.ip if hub.ip not in ("", "0.0.0.0", "::") else "127.0.0.1"
    url = f"http://{f'[{host}]' if ':' in host else host}:{hub.port}{hub.base_url}api/"
    with opener.open(url, timeout=10) as answer:
        return json.loads(answer.read(10000))["version"]
