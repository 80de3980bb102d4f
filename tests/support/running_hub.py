"""A real JupyterHub with its proxy, as a process of its own."""
import json
import os
import random
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from itertools import islice
from pathlib import Path

from jupyterhub_hpc_spawner.demo import proxy_command

# Made by make: the newest JupyterHub first, then the oldest supported.
ENVIRONMENTS = [Path(path) for path in os.environ.get("HPC_TEST_ENVIRONMENTS", "").split(":") if path]
START_TIMEOUT = 60
TOKEN = "test-service-token-" + "0" * 20

BASE_CONFIG = """
import os
c.JupyterHub.bind_url = "http://{address}:{port}"
c.JupyterHub.hub_bind_url = "http://{address}:{hub_port}"
c.ConfigurableHTTPProxy.command = {proxy!r}
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{proxy_port}"
c.ConfigurableHTTPProxy.pid_file = "{directory}/proxy.pid"
c.JupyterHub.db_url = "sqlite:///{directory}/hub.sqlite"
c.JupyterHub.cookie_secret_file = "{directory}/cookie_secret"
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "hpc"
c.JupyterHub.cleanup_servers = False
c.JupyterHub.allow_named_servers = True
c.JupyterHub.tornado_settings = {{"slow_spawn_timeout": 0}}
c.JupyterHub.services = [{{"name": "tests", "api_token": "{token}"}}]
c.JupyterHub.load_roles = [{{"name": "tests", "services": ["tests"], "scopes": [
    "admin:users", "admin:servers", "access:servers", "tokens", "read:hub", "read:metrics", "self"]}}]
"""


class RunningHub:
    """``config`` is Python text after the base configuration; ``bin_dir`` the environment's programs.

    ``become`` is a command prefix that starts the Hub as somebody else; ``patience``, in seconds, is for its start.
    """

    patience = START_TIMEOUT

    def __init__(self, directory, bin_dir, config, address="127.0.0.1", become=()):
        self.directory = Path(directory)
        self.bin_dir = Path(bin_dir)
        self.address = address
        self.become = list(become)
        ports = dict(zip(("port", "hub_port", "proxy_port"), free_ports(address, 3)))
        self.port, self.hub_port = ports["port"], ports["hub_port"]
        self.url = f"http://{address}:{ports['port']}"
        self.log = self.directory / "hub.log"
        text = BASE_CONFIG.format(address=address, directory=directory, token=TOKEN, proxy=proxy_command(), **ports)
        (self.directory / "jupyterhub_config.py").write_text(text + config)
        self.process = None
        self._log_begins = 0

    def start(self):
        self.forget_log()
        wait_for(lambda: is_free(self.address, self.hub_port), START_TIMEOUT,
                 lambda: f"somebody else has port {self.hub_port}")
        env = {"PATH": f"{self.bin_dir}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LANG": "C.UTF-8",
               "HOME": str(self.directory), "CONFIGPROXY_AUTH_TOKEN": "0" * 32}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*self.become, str(self.bin_dir / "jupyterhub"), "-f", str(self.directory / "jupyterhub_config.py")],
                cwd=self.directory, env=env, stdout=log, stderr=log, start_new_session=True)
        wait_for(self._serves, self.patience, lambda: f"the Hub does not start:\n{self.words()}")
        return self

    def _serves(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the Hub ended:\n{self.words()}")
        try:
            return self.api("GET", "/info").status == 200
        except OSError:
            return False

    def forget_log(self):
        """What is in the log by now is of no interest any more."""
        self._log_begins = self.log.stat().st_size if self.log.exists() else 0

    def logged(self):
        """The log since the Hub was started last, or since ``forget_log``."""
        with open(self.log, "rb") as log:
            log.seek(self._log_begins)
            return log.read().decode(errors="replace")

    def words(self):
        """The end of its log without what the proxy says of a Hub that is not there."""
        lines = self.log.read_text().splitlines()
        return "\n".join([line for line in lines if not re.search(
            r"\[ConfigProxy\]|^  +at TCPConnectWrap|^  (errno|code|syscall|address|port): |^}$", line)])[-4000:]

    def stop(self, number=signal.SIGTERM):
        """End Hub and proxy; what they run in other process groups (sessions) stays."""
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, number)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(20)
                raise AssertionError(f"the Hub did not end by itself:\n{self.log.read_text()[-1000:]}") from None
        if number == signal.SIGKILL:
            return
        pid = self.directory / "proxy.pid"
        if pid.exists():
            try:
                os.kill(int(pid.read_text()), signal.SIGTERM)
            except (ProcessLookupError, ValueError):
                pass

    def api(self, method, path, body=None, token=TOKEN, timeout=60):
        return request(method, f"{self.url}/hub/api{path}", body, token, timeout)

    def add_user(self, name):
        self.api("POST", f"/users/{name}")
        return self

    def spawn(self, user, options, server=""):
        """Ask for a session and follow its progress to the end; the events, the last one ready or failed."""
        answer = self.api("POST", f"/users/{user}/{server_path(server)}", {"user_options": options})
        if answer.status >= 400:
            return [{"failed": True, "message": answer.json["message"], "status": answer.status}]
        return self.progress(user, server)

    def progress(self, user, server="", until=lambda event: event.get("ready") or event.get("failed")):
        """The events of the progress stream, up to the first that ``until`` is true of."""
        path = f"{self.url}/hub/api/users/{user}/{server_path(server)}/progress"
        events = []
        stream = urllib.request.urlopen(urllib.request.Request(path, headers=headers(TOKEN)), timeout=120)
        with stream:
            for line in stream:
                if line.startswith(b"data: "):
                    events.append(json.loads(line[6:]))
                    if until(events[-1]):
                        break
        return events

    def stop_server(self, user, server=""):
        """Stop a session and wait until the Hub says that it is gone."""
        answer = self.api("DELETE", f"/users/{user}/{server_path(server)}")
        assert answer.status in (202, 204), answer
        wait_for(lambda: not self.servers(user).get(server), 60, lambda: f"{user}'s server {server!r} does not stop")

    def servers(self, user):
        """The user's servers that are active, by name."""
        found = self.api("GET", f"/users/{user}").json.get("servers", {})
        return {name: server for name, server in found.items() if server["ready"] or server["pending"]}

    def state(self, user, server=""):
        found = self.api("GET", f"/users/{user}?include_stopped_servers").json["servers"]
        return (found[server]["state"] or {}).get("session") if server in found else None

    def ended(self, user, server=""):
        """What the Hub keeps of why the server's last session ended, or None."""
        found = self.api("GET", f"/users/{user}?include_stopped_servers").json["servers"]
        return (found.get(server, {}).get("state") or {}).get("ended")

    def user_token(self, user):
        return self.api("POST", f"/users/{user}/tokens", {}).json["token"]


class Answer:
    """An HTTP answer, errors included."""

    def __init__(self, status, body, headers):
        self.status, self.body, self.headers = status, body, headers

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.body[:500]!r}>"


def request(method, url, body=None, token=None, timeout=60, follow=True):
    """``body`` is JSON. Never raises for a status."""
    data = None if body is None else json.dumps(body).encode()
    opener = urllib.request.build_opener(*([] if follow else [_NoRedirect()]))
    try:
        with opener.open(urllib.request.Request(url, data, headers(token), method=method), timeout=timeout) as answer:
            return Answer(answer.status, answer.read(), answer.headers)
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.read(), error.headers)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments):
        return None


def headers(token):
    return {"Content-Type": "application/json", **({"Authorization": f"token {token}"} if token else {})}


def server_path(server):
    return f"servers/{server}" if server else "server"


def wait_for(condition, timeout, explain, pause=0.05):
    """Poll for an event that nothing announces; AssertionError with ``explain()`` after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(explain())
        time.sleep(pause)
    return value


def free_ports(address, count):
    """Not those that the system gives to whoever connects: until the Hub listens, anybody might."""
    ports = (port for port in random.sample(range(10000, 32000), 1000) if is_free(address, port))
    return list(islice(ports, count))


def is_free(address, port):
    """Also on loopback, where the proxy has one of its ports."""
    try:
        for where in {address, "127.0.0.1"}:
            socket.create_server((where, port)).close()
    except OSError:
        return False
    return True
