"""Why a session did not start, and what to do: a text for REST and logs, fields for our pages."""
import re
from datetime import datetime, timezone
from html import escape

from tornado import web

from ..options import Options, readable
from ..units import format_span

# What the job script and the launcher say of the one cause, in the job's log.
_SAID = re.compile(r"(?:The|the) session cannot start: (.+)")
_CHANGE, _AGAIN = "change", "again"
_ROOM = ("[Dd]isk quota exceeded|No space left|File too large",
         "Make room in your home directory, then try again.", _AGAIN)
# By what the job, or the batch system's state and reason said: what to try, and the button for it.
_ADVICE = (
    (r"no Python in the software environment|no python3 in PATH|is not in this software environment|module could not",
     "Choose another software environment. If it should work, tell your site's support.", _CHANGE),
    (r"jupyterhub\.env ended", "Your own file .jupyterhub.env failed: the end of the log says where. Mend it, then try "
     "again.", _AGAIN),
    (r"working directory", "Choose another working directory.", _CHANGE),
    (r"OUT_OF_ME|OutOfMemory", "Ask for more memory.", _CHANGE),
    (r"TIMEOUT|TimeLimit|walltime", "The walltime was over before the server answered. Ask for more.", _CHANGE),
    (r"NODE_FAIL|BOOT_FAIL|NodeFail|NodeDown|JobLaunchFailure", "A node failed. Try again: another one may do.",
     _AGAIN),
    (r"PREEMPTED", "A more important job took the nodes. Try again, or choose another queue.", _AGAIN),
    (r"CANCELLED", "Somebody, or a rule of the site, cancelled the job. Try again; if you did not do it, ask your "
     "site's support.", _AGAIN),
    _ROOM,
)
# The same, by any line at the end of the log.
_ADVICE_BY_LOG = (
    _ROOM,
    (r"^MemoryError|oom.kill|Out Of Memory", "Ask for more memory.", _CHANGE),
)
_OTHERWISE = ("The end of the job's log may say why. Try again; if it stays so, send your site's support what is "
              "below.", _AGAIN)
# What batch systems say of a field when they refuse a job; the first that fits.
_ABOUT = {
    "account": "account|project", "qos": r"\bqos\b", "reservation": "reservation", "node_type": "feature|constraint",
    "walltime": "time ?limit|walltime|runlimit|h_rt", "memory": "memory", "gpus": r"\bgpus?\b|\bgres\b",
    "queue": "partition|(unknown|invalid|no such) queue",
}


class StartFailed(web.HTTPError):
    """A session that could not start: ``summary`` in one line, ``words`` of the scheduler, ``details``, the end of the
    job's log, and what to do: ``advice``, ``action``.

    ``jupyterhub_message`` and ``jupyterhub_html_message`` are JupyterHub's names for what its pages show.
    """

    def __init__(self, status_code, message, summary="", words="", advice=None):
        super().__init__(status_code, readable(message))
        self.message = message
        self.summary = summary or message
        self.words = words
        self.details = ""
        self.time = datetime.now(timezone.utc)
        self.job_id = ""
        self.server = ""
        self.steps = []
        self._advice = advice

    @classmethod
    def refused(cls, error):
        return cls(400, f"The batch system refused the job: {error}", "The batch system refused the job.", str(error),
                   ("Change the request: the batch system says what it does not take.", _CHANGE))

    @classmethod
    def job_ended(cls, job_id, status, message):
        words = status.code + (f" ({status.reason})" if status.reason else "")
        cause = message or "The job ended before the server answered."
        return cls(500, f"Job {job_id} could not start your session. {cause}" + (words and f" Its state: {words}."),
                   f"Job {job_id} could not start your session. {cause}", words)

    @classmethod
    def too_late(cls, job_id, seconds, step):
        summary = f"Job {job_id} did not start your session within {format_span(seconds)}, and was cancelled."
        advice = (("The queue is long. Choose a queue with idle nodes, or ask for less.", _CHANGE)
                  if step in ("submit", "queue") else _OTHERWISE)
        return cls(504, summary, advice=advice)

    @classmethod
    def unreachable(cls, job_id, address, seconds):
        summary = (f"Job {job_id} runs your server, but the Hub got no answer from it at {address} within {seconds} "
                   "seconds. The job was cancelled.")
        return cls(504, summary, advice=("Nothing is wrong with your request. Try again: another node may do. If it "
                                         "stays so, send your site's support what is below.", _AGAIN))

    @classmethod
    def not_submitted(cls, error):
        if re.search(_ROOM[0], str(error)):
            advice = "Your home directory is full: make room there, then try again."
        else:
            advice = "Nothing is wrong with your request. Try again; if it stays so, tell your site's support."
        return cls(503, f"The job could not be submitted: {error}. {advice}", "The job could not be submitted.",
                   str(error), (advice, _AGAIN))

    def belongs_to(self, session, server):
        """Keep what the session showed, which ends with it."""
        self.job_id, self.steps, self.server = session.state.job_id, list(session.state.steps), server

    @property
    def cause(self):
        """What the job's log says of the cause; "" where it does not, or ``summary`` has it."""
        found = _SAID.search(self.details)
        return found[1] if found and found[1] not in self.summary else ""

    @property
    def report(self):
        """All of it as text, for the help desk."""
        lines = [self.summary, self.cause, self.words and f"The batch system says: {self.words}",
                 f"Job: {self.job_id or 'none'}", f"Server: {self.server or 'the default one'}",
                 f"Time: {self.time:%Y-%m-%d %H:%M:%S} UTC",
                 self.details and f"The end of the job's log:\n{self.details}"]
        return "\n".join(filter(None, lines))

    @property
    def steps_shown(self):
        """What the page shows of each step by its name: the line, how long it took, and where it ended."""
        shown = {}
        for event, after in zip(self.steps, [*self.steps[1:], {"since": self.time.timestamp()}]):
            seconds = max(0, int(after["since"] - event["since"]))
            shown[event["step"]] = {"message": event.get("why") or event["message"], "mark": "done",
                                    "took": f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"}
        if self.steps:
            shown[self.steps[-1]["step"]]["mark"] = "failed"
        return shown

    @property
    def advice(self):
        return self._what_to_do()[0]

    @property
    def action(self):
        """``change`` the request, or try it ``again``."""
        return self._what_to_do()[1]

    def _what_to_do(self):
        if self._advice:
            return self._advice
        said = f"{self.summary}\n{self.words}\n{self.cause}"
        known = [found for table, text in ((_ADVICE, said), (_ADVICE_BY_LOG, self.details))
                 for pattern, *found in table if re.search(pattern, text, re.MULTILINE)]
        return known[0] if known else _OTHERWISE

    @property
    def jupyterhub_message(self):
        return self.message + (f"\n{self.details}" if self.details else "")

    @property
    def jupyterhub_html_message(self):
        if not self.details:
            return f"<p>{escape(self.message)}</p>"
        return (f"<p>{escape(self.message)}</p><details open><summary>The end of the job's log</summary>"
                f'<pre class="text-start">{escape(self.details)}</pre></details>')

    def __str__(self):
        """For JupyterHub's log, on one line: the message is in part the job's."""
        return readable(self.message)


def bad_options(errors):
    """OptionErrors as a 400 that names every field."""
    return StartFailed(400, "; ".join(f"{error.field}: {error.message}" for error in errors.errors))


def bad_form(errors):
    """The same for the page with the form, where each reason stands beside its field."""
    titles = ", ".join(_title(error.field) for error in errors.errors)
    return StartFailed(400, f"nothing was started. See what is said of: {titles}")


def _title(field):
    return Options.model_fields[field].title if field in Options.model_fields else field


def field_of(error):
    """The field that a refusal by the batch system is about, "" where that cannot be told."""
    return next((field for field, words in _ABOUT.items() if re.search(words, str(error), re.IGNORECASE)), "")
