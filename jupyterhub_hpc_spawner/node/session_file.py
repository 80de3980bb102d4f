"""``HPC_SESSION_FILE``: what the user's kernel may know about its session. Written whole or not at all."""
import json
import os
import time

from .report import say


class SessionFile:
    """The JSON file ``path``; every change is on disk when the call returns.

    Where it cannot be written, in a full home directory or one that was deleted, the log says so once: it is
    information, and nothing of a session depends on it.
    """

    def __init__(self, path, **fields):
        self.path = path
        self.data = dict(fields, start=int(time.time()), end=None, runtimes={})
        self.lost = False

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
        temporary, text = self.path + ".new", json.dumps(self.data, indent=1)
        try:
            with open(temporary, "w") as out:
                out.write(text)
            os.replace(temporary, self.path)
        except OSError as error:
            if not self.lost:
                say("notebooks cannot read what changes in this session: %s" % error)
            self.lost = True
