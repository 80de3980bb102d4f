"""``HPC_SESSION_FILE``: what the user's kernel may know about its session. Written whole or not at all."""
import json
import os
import time


class SessionFile:
    """The JSON file ``path``; every change is on disk when the call returns."""

    def __init__(self, path, **fields):
        self.path = path
        self.data = dict(fields, start=int(time.time()), end=None, runtimes={})

    def update(self, **fields):
        self.data.update(fields)
        self._write()

    def begin(self, name, facts):
        """From now on the runtime starts; what was said of it before is gone."""
        self.data["runtimes"][name] = {"state": "starting", **facts}
        self._write()

    def is_starting(self, name):
        return self.data["runtimes"][name]["state"] == "starting"

    def runtime(self, name, **fields):
        """Set ``state`` (starting, running, failed, ended), ``address``, ``error`` … of one runtime."""
        self.data["runtimes"].setdefault(name, {}).update(fields)
        self._write()

    def _write(self):
        temporary = self.path + ".new"
        with open(temporary, "w") as out:
            json.dump(self.data, out, indent=1)
        os.replace(temporary, self.path)
