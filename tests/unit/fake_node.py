"""A compute node of fakes: a job script runs there under a real bash, and what it starts is written down."""
import os
import signal
import subprocess
from pathlib import Path

from jupyterhub_hpc_spawner.script import environment_file

RECORD = """#!/bin/sh
printf '%s\\0' "$@" >>"{record}/{name}.argv"
/usr/bin/env -0 >"{record}/{name}.env"
"""
# Variables that a shell makes by itself.
SHELL = {"PWD", "OLDPWD", "SHLVL", "_"}


def read_words(path):
    return path.read_bytes().decode().split("\0")[:-1] if path.exists() else []


def read_environment(data):
    """``env -0`` as a dict, without what shells add."""
    pairs = (entry.partition("=") for entry in data.decode().split("\0") if entry)
    return {name: value for name, _, value in pairs if name not in SHELL}


class FakeNode:
    """``home``, ``bin`` (first in PATH after ``bash -l``) and the records of the fake programs."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.home, self.bin, self.record = (self.directory / name for name in ("home", "bin", "record"))
        for path in (self.home, self.bin, self.record):
            path.mkdir(parents=True)
        self.system_path = f"{self.bin}:/usr/bin:/bin"
        (self.home / ".profile").write_text(f"PATH='{self.system_path}'\nexport PATH\n")
        self.program("python3", RECORD.format(record=self.record, name="python3"))
        self.program("module", RECORD.format(record=self.record, name="module") + '[ "$2" != broken ]\n')
        self.program("scontrol", "#!/bin/sh\nprintf '%s\\n' n1 n2 n3\n")

    def program(self, name, text, directory=None):
        path = (directory or self.bin) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def environment(self, path):
        """A software environment whose ``python3`` is the recording one."""
        self.program("python3", RECORD.format(record=self.record, name="python3"), Path(path) / "bin")

    def session(self, path, env):
        Path(path).mkdir(parents=True, exist_ok=True)
        (Path(path) / "environment.sh").write_bytes(environment_file(env).encode())

    def command(self, script):
        job = self.directory / "job.sh"
        job.write_bytes(script.encode())
        # What its first line says, without the kernel's limits on such lines.
        assert script.startswith("#!/bin/bash -l\n")
        # A shell cannot trap what it inherits as ignored, as from nohup; batch systems start jobs with none ignored.
        return ["env", "--default-signal", "/bin/bash", "-l", str(job)]

    def start(self, script, **env):
        return subprocess.Popen(
            self.command(script), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            cwd=self.directory, env={"HOME": str(self.home), "LANG": "C.UTF-8", **env}, start_new_session=True)

    def run(self, script, **env):
        """(exit status, standard output, standard error) of the job."""
        with self.start(script, **env) as job:
            output, errors = self.communicate(job)
        return job.returncode, output, errors

    @staticmethod
    def communicate(job):
        """The job's output and errors; after 20 s it is killed, and TimeoutExpired raised."""
        try:
            return job.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(job.pid, signal.SIGKILL)
            raise

    @property
    def argv(self):
        return read_words(self.record / "python3.argv")

    @property
    def modules(self):
        return read_words(self.record / "module.argv")

    @property
    def env(self):
        return read_environment((self.record / "python3.env").read_bytes())

    def clear(self):
        for path in self.record.iterdir():
            os.unlink(path)
