"""How a session ended that nobody stopped here: kept until the next start, shown on the form and on the home page."""
import re
import time
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone

from ..model import JobState
from . import private
from .session import local

NO_JOB = "the Hub was restarted before there was a job"
PUT_BACK = "the batch system put its job back into the queue, and what ran in it was lost; the job was cancelled"
SILENT = "its processes ended without a word; they were killed, or the node failed"
# By what is known of the end: what to do about it.
_ADVICE = (
    (r"walltime|DEADLINE", "What you saved is there. Ask for more walltime if you need it."),
    (r"memory", "Ask for more memory, or work on less data at a time."),
    (r"NODE_FAIL|BOOT_FAIL", "Start it again: it gets other nodes."),
    (r"PREEMPTED", "Start it again, or choose a queue whose jobs are not ended for others."),
    (r"put its job back|before there was a job", "Start it again."),
    (r"cancelled", "Start it again; if it was not you who cancelled it, ask your site's support."),
    (r"was shut down", "Start it again when you like."),
)
_OTHERWISE = ("The end of the job's log may say why. Start it again; if it stays so, send your site's support what is "
              "below.")
_MAX_LOG = 4000


@dataclass(frozen=True)
class Ending:
    """``since`` is in seconds since 1970; ``why`` goes on after "It ended at …:"; ``words`` are the batch system's own,
    ``details`` the end of the job's log.

    Its properties are those of a StartFailed, which is shown by the same template.
    """

    job_id: str
    server: str
    since: float
    why: str
    words: str = ""
    details: str = ""
    cause = ""

    @property
    def summary(self):
        when = local(datetime.fromtimestamp(self.since, timezone.utc))
        job = f" (job {self.job_id})" if self.job_id else ""
        return f"Your last session{job} ended at {when}: {self.why}."

    @property
    def advice(self):
        said = f"{self.why} {self.words}"
        return next((advice for pattern, advice in _ADVICE if re.search(pattern, said)), _OTHERWISE)

    @property
    def report(self):
        """All of it as text, for the help desk."""
        lines = [self.summary, self.words and f"The batch system says: {self.words}",
                 f"Server: {self.server or 'the default one'}",
                 self.details and f"The end of the job's log:\n{self.details}"]
        return "\n".join(filter(None, lines))


def kept(spawner):
    """The Ending of the server's last session, or None."""
    end = private.kept_end(spawner.orm_spawner)
    return Ending(**end) if end else None


def all_kept(user):
    """Those of the user's servers, by the server's name."""
    ends = {name: private.kept_end(orm_spawner) for name, orm_spawner in user.orm_user.orm_spawners.items()}
    return {name: Ending(**end) for name, end in sorted(ends.items()) if end}


def keep(spawner, session, status, log):
    """The Ending of this session, from the batch system's last answer and the job's goodbye; told once."""
    before = kept(spawner)
    if before and before.job_id == session.state.job_id:
        return before
    found = _told(Ending(session.state.job_id, spawner.name, time.time(), "", details=log[-_MAX_LOG:]), status,
                  session.state.goodbye)
    private.keep_end(spawner.orm_spawner, asdict(found))
    return found


async def last_word(spawner, ending, goodbye):
    """The batch system's, which a job's goodbye may come before. A job that is back in the queue by then has lost its
    session, so it is cancelled."""
    cluster, job_id, username = spawner.cluster, ending.job_id, spawner.user.name
    try:
        while (status := cluster.poller.status(job_id)).state not in (JobState.FINISHED, JobState.PENDING):
            cluster.poller.watch(job_id, username, submitted=False)  # again, where somebody else forgot it
            cluster.poller.expect_end(job_id)
            await cluster.poller.next_round()
    finally:
        cluster.poller.forget(job_id)
    if status.state == JobState.PENDING:
        await cluster.cancel(username, job_id)
    now = kept(spawner)
    if now and now.job_id == job_id:  # the next session may have begun
        private.keep_end(spawner.orm_spawner, asdict(_told(now, status, goodbye)))


def _told(ending, status, goodbye):
    """Why it ended: the batch system knows best, but not always tells; the job knows how long its walltime was."""
    if status.state == JobState.PENDING:
        return replace(ending, why=PUT_BACK)
    over = status.state == JobState.FINISHED
    known = status.explanation if over else ""
    words = f"{status.code} ({status.reason})" if status.reason else status.code
    return replace(ending, why=goodbye if goodbye.startswith(known or " ") else known or goodbye or SILENT,
                   words=words if over and (status.reason or known) else "")
