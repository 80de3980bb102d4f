"""Log lines about a session end with which one: ``user=ada server= job=4711 session=jupyter-0a1b2c``."""
import json
import logging
import re

from ..options import readable

_PLAIN = re.compile(r"[\w.@+-]*")


class SessionLog(logging.LoggerAdapter):
    """Of the spawner's session, in logfmt, for whoever has a job's id and a large log. What jobs and batch systems say
    makes no line of its own."""

    def __init__(self, spawner):
        super().__init__(spawner.log, {})
        self.spawner = spawner

    def log(self, level, msg, *args, stacklevel=1, **kwargs):
        if self.isEnabledFor(level):
            session = self.spawner.session
            job, name = (session.state.job_id, session.state.name) if session else ("", "")
            facts = map(word, (self.spawner.user.name, self.spawner.name, job, name))
            self.logger.log(level, "%s user=%s server=%s job=%s session=%s", readable(msg % args), *facts,
                            stacklevel=stacklevel + 1, **kwargs)


def word(value):
    """As it stands after ``=``: one word, or a JSON string, so that no name makes a line of its own."""
    return value if _PLAIN.fullmatch(value) else json.dumps(value)
