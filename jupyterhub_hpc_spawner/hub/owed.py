"""Cancels that the batch system has not taken yet, or has taken and not carried out: tried again until the job is gone,
also by a Hub that was restarted."""
import asyncio
import json
import os
from itertools import count
from pathlib import Path

from ..errors import HPCSpawnerError

FIRST_PAUSE = 5
MAX_PAUSE = 600


class OwedCancels:
    """``cancel`` is a coroutine function of (username, job id) that raises HPCSpawnerError, ``is_gone`` one of
    (job id, username) that waits a while for the job's end. ``path`` is a file of the Hub's own, or None: then they are
    kept in memory only."""

    def __init__(self, path, cancel, is_gone, log):
        self._path = Path(path) if path else None
        self._cancel = cancel
        self._is_gone = is_gone
        self._log = log
        self._tasks = {}

    def __len__(self):
        return len(self._tasks)

    def add(self, username, job_id):
        self._owe(username, job_id, FIRST_PAUSE)
        self._write()

    def load(self):
        """Go on with those of the Hub before."""
        if self._path is None:
            return
        try:
            owed = [(str(username), str(job_id)) for username, job_id in json.loads(self._path.read_text())]
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError) as error:
            self._log.error("The jobs that are still to be cancelled cannot be read from %s; look for jobs without a "
                            "session: %s", self._path, error)
            return
        for username, job_id in owed:
            self._log.warning("Job %s of %s is still to be cancelled", job_id, username)
            self._owe(username, job_id, 0)

    def _owe(self, username, job_id, pause):
        if (username, job_id) not in self._tasks:
            self._tasks[username, job_id] = asyncio.ensure_future(self._try(username, job_id, pause))

    async def _try(self, username, job_id, pause):
        for attempt in count(1):
            await asyncio.sleep(pause)
            why = "the batch system took the cancel, and the job is still there"
            try:
                await self._cancel(username, job_id)
                if await self._is_gone(job_id, username):
                    break
            except HPCSpawnerError as error:
                why = error
            pause = min(FIRST_PAUSE * 2 ** min(attempt, 10), MAX_PAUSE)
            self._log.error("Job %s of %s is still not cancelled; next try in %d s: %s", job_id, username, pause, why)
        self._log.info("Job %s of %s is cancelled at last", job_id, username)
        del self._tasks[username, job_id]
        self._write()

    def _write(self):
        """The whole file or none of it."""
        if self._path is None:
            return
        new = self._path.with_name(f"{self._path.name}.new")
        try:
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                json.dump(list(self._tasks), file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(new, self._path)
        except OSError as error:
            self._log.error("The jobs that are still to be cancelled cannot be written to %s: a restarted Hub will not "
                            "know them: %s", self._path, error)
