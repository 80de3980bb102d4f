"""Errors as JupyterHub shows them: a text for REST and logs, the same as HTML for its pages."""
from html import escape

from tornado import web


class StartFailed(web.HTTPError):
    """A session that could not start; the first line says what, the rest what to do.

    ``jupyterhub_message`` and ``jupyterhub_html_message`` are JupyterHub's names for what its pages show.
    """

    def __init__(self, status_code, message, details=""):
        super().__init__(status_code, message)
        self.summary = message
        self.details = details

    @classmethod
    def job_ended(cls, job_id, status, message):
        state = status.code and f" Its state: {status.code}" + (f" ({status.reason})." if status.reason else ".")
        cause = message or "The job ended before the server answered."
        return cls(500, f"Job {job_id} could not start your session. {cause}{state}")

    @classmethod
    def not_submitted(cls, error):
        return cls(503, f"The job could not be submitted: {error}. Try again; if it stays so, tell your site's "
                        "support.")

    @property
    def jupyterhub_message(self):
        return self.summary + (f"\n{self.details}" if self.details else "")

    @property
    def jupyterhub_html_message(self):
        if not self.details:
            return f"<p>{escape(self.summary)}</p>"
        return (f"<p>{escape(self.summary)}</p><details open><summary>The end of the job's log</summary>"
                f'<pre class="text-start">{escape(self.details)}</pre></details>')

    def __str__(self):
        return self.jupyterhub_message


def bad_options(errors):
    """OptionErrors as a 400 that names every field."""
    return StartFailed(400, "; ".join(f"{error.field}: {error.message}" for error in errors.errors))
