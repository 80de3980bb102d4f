"""The toy scheduler's jobs, as files: ``jobs/N.json`` is one job, ``jobs/N.d`` what belongs to it.

After its submission only the job's mom writes the record; everybody else leaves a file in ``jobs/N.d`` (``cancel``).
"""
import json
import os
import time
from pathlib import Path

NODES = ("toy1", "toy2", "toy3", "toy4")
CORES, MEMORY, GPUS, GPU_TYPE = 8, 64 * 1024 ** 3, 2, "a100"


class Refusal(Exception):
    """A program ends with this answer."""

    def __init__(self, returncode, stderr="", stdout=""):
        super().__init__(stderr or stdout)
        self.answer = (returncode, stdout, stderr)


class Store:
    def __init__(self, directory):
        self.directory = Path(directory)
        self.folder = self.directory / "jobs"

    def read(self, name):
        """A JSON object of the test's, such as ``control`` and ``faults``."""
        try:
            return json.loads((self.directory / f"{name}.json").read_text())
        except FileNotFoundError:
            return {}

    def log(self, **entry):
        with open(self.directory / "calls.log", "a") as log:
            log.write(json.dumps(dict(entry, time=time.time())) + "\n")

    def expect(self, arguments, *known):
        """A command line that this toy does not know is refused, and the test told of it."""
        if arguments not in known:
            self.log(strange=arguments)
            raise Refusal(99, f"the toy does not know the arguments {arguments}\n")

    def add(self, script, number=None, **fields):
        """The record of a new job, pending; ``fields`` are what the directives said."""
        number = self._take(number or 1 + max((job["number"] for job in self.jobs()), default=0))
        record = {
            "number": number, "state": "pending", "how": "", "why": "", "user": os.environ.get("USER", "root"),
            "submitted": time.time(), "home": os.environ.get("HOME", "/"), "started": None, "ended": None,
            "hosts": [], "exit": None, "mom": 0, "name": "STDIN", "queue": "normal", "account": None, "qos": None,
            "reservation": None, "constraint": None, "nodes": 1, "cores": 1, "memory": None, "gpus": None,
            "gpu_type": None, "walltime": None, **fields,
        }
        directory = self.folder / f"{number}.d"
        (directory / "script").write_text(script)
        (directory / "script").chmod(0o700)
        self.write(record)
        return record

    def _take(self, number):
        """This number or the next that is free: several programs submit at once. Its directory is made."""
        while True:
            try:
                (self.folder / f"{number}.d").mkdir(parents=True)
                return number
            except FileExistsError:
                number += 1

    def named(self, name, user):
        """The user's jobs of that name that have not ended."""
        return [job for job in self.jobs(ended=False) if (job["name"], job["user"]) == (name, user)]

    def start(self, record, system):
        """The job's mom, see there. Only a submission needs it and all that it imports."""
        from . import mom
        mom.start(self, record, system)

    def write(self, record):
        path = self.folder / f"{record['number']}.json"
        new = path.with_suffix(f".new-{os.getpid()}")
        new.write_text(json.dumps(record, indent=1))
        os.replace(new, path)

    def jobs(self, ended=True):
        """The records, oldest first."""
        found = [json.loads(path.read_text()) for path in self.folder.glob("*.json")]
        return sorted((job for job in found if ended or job["state"] != "ended"), key=lambda job: job["number"])

    def job(self, number):
        """The record of that number (or text that is one), or None."""
        path = self.folder / f"{number}.json"
        return json.loads(path.read_text()) if path.exists() else None

    def path(self, number, *names):
        return self.folder.joinpath(f"{number}.d", *names)

    def script(self, record):
        return self.path(record["number"], "script")

    def order(self, number, name, text=""):
        """Tell a job's mom: a file that is there as a whole or not at all."""
        target = self.path(number, name)
        new = target.with_name(f"{target.name}.new-{os.getpid()}")
        new.write_text(text)
        os.replace(new, target)

    def ordered(self, number, name):
        return self.path(number, name).exists()
