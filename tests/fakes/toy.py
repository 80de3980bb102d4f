"""A test's hold on one toy batch system."""
import json
import os
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

from .mom import be_node
from .store import Store


class Toy:
    """The system's programs are in ``bin``; PATH and nothing else leads to them."""

    def __init__(self, directory, system):
        self.name = system
        self.system = import_module(f"fakes.{system}")
        self.store = Store(directory)
        self.bin = self.store.directory / "bin"
        self.bin.mkdir(parents=True)
        self.store.folder.mkdir()
        python = shlex.quote(os.path.realpath(sys.executable))
        for name in self.system.PROGRAMS:
            words = map(shlex.quote, [str(Path(__file__).with_name("program.py")), str(directory), system, name])
            (self.bin / name).write_text(f'#!/bin/sh\nexec {python} -S -E {" ".join(words)} "$@"\n')
            (self.bin / name).chmod(0o755)
        for name, text in self.system.FILES.items():
            (self.store.directory / name).write_text(text.format(toy=directory))
        self.light = self._make_light_environment()

    @property
    def profile(self):
        """What a site's /etc/profile.d does for its batch system; ends in a line break."""
        return f"{self.system.PROFILE.format(toy=self.store.directory)}\n"

    def _make_light_environment(self):
        """A software environment whose server is there at once."""
        path = self.store.directory / "light"
        (path / "bin").mkdir(parents=True)
        (path / "bin/python3").symlink_to(os.path.realpath(sys.executable))
        server = path / "bin/jupyterhub-singleuser"
        server.write_text(f'#!/bin/sh\nexec python3 -S -E {shlex.quote(str(Path(__file__).with_name("server.py")))}\n')
        server.chmod(0o755)
        return path

    def make_deaf_environment(self, python=None):
        """As ``light``, or with that Python, but its server answers all with an error while there is no ``~/go``:
        JupyterHub takes it for one that is not up."""
        deaf = self.light.with_name("deaf")
        (deaf / "bin").mkdir(parents=True)
        # A link would not find what is installed beside it.
        (deaf / "bin/python3").write_text(f'#!/bin/sh\nexec {python or self.light / "bin/python3"} "$@"\n')
        (deaf / "bin/python3").chmod(0o755)
        script = deaf / "server.py"
        script.write_text(Path(__file__).with_name("server.py").read_text().replace(
            "send_response(200)", 'send_response(200 if os.path.exists(os.path.expanduser("~/go")) else 500)'))
        server = deaf / "bin/jupyterhub-singleuser"
        server.write_text(f'#!/bin/sh\nexec python3 -S -E {shlex.quote(str(script))}\n')
        server.chmod(0o755)
        return deaf

    def faults(self, **faults):
        """``status="hang"``: how the programs of a kind misbehave from now on; the others are well."""
        self._write("faults", faults)

    def control(self, **control):
        """``hold``, ``suspend``, ``walltime``, ``die``, ``code``, ``patience``: what befalls every job from now on;
        ``gone``: partitions that Slurm no longer has."""
        self._write("control", control)

    def _write(self, name, value):
        path = self.store.directory / f"{name}.json"
        path.with_suffix(".new").write_text(json.dumps(value))
        os.replace(path.with_suffix(".new"), path)

    def put(self, number, **fields):
        """A job that is only a record, in any state."""
        self.store.add("", number=number, **{"user": "alice", **fields})

    def jobs(self):
        """Those that have not ended."""
        return self.store.jobs(ended=False)

    def calls(self, kind):
        """The calls of the kind's programs so far."""
        path = self.store.directory / "calls.log"
        lines = path.read_text().splitlines() if path.exists() else []
        return [call for call in map(json.loads, lines) if call.get("kind") == kind]

    @property
    def strange(self):
        """Command lines that the toy did not know."""
        path = self.store.directory / "calls.log"
        lines = path.read_text().splitlines() if path.exists() else []
        return [call["strange"] for call in map(json.loads, lines) if "strange" in call]

    def run(self, *argv, stdin="", env=None, cwd="/"):
        """One of the programs, as a user at a prompt would run it."""
        full = {"PATH": f"{self.bin}:/usr/bin:/bin", "HOME": "/", "USER": "alice", "TZ": "UTC", **(env or {})}
        return subprocess.run([str(self.bin / argv[0]), *argv[1:]], input=stdin, capture_output=True, text=True,
                              cwd=cwd, env=full, timeout=30, check=False)

    def end(self):
        """Kill every job, whatever state it is in."""
        self.faults()
        for job in self.jobs():
            self.store.order(job["number"], "kill")


def nodes_can_have_names():
    """Whether this account may give a process a host name of its own (unshare(2))."""
    probe = [sys.executable, "-c", "pass"]
    try:
        return subprocess.run(probe, preexec_fn=lambda: be_node("toy1"), check=False).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False
