"""Dask workers of an extra job: on all its nodes, on the scheduler of the session that asked for them."""
import json
import os
import re

from .dask import WORKER_GRACE
from .everywhere import Everywhere
from .report import say

LAST_WORDS = 100


class Runtime:
    """On the first node of the extra job. They end with their scheduler, and the job with them."""

    def __init__(self, job, plan):
        self.job = job
        self.plan = plan
        self.workers = None

    def prepare(self):
        """Where the session's scheduler is. LookupError where it has none."""
        found = self.job.session["runtimes"].get("dask", {})
        if "address" not in found:
            raise LookupError("the session has no Dask to join")
        self.facts = {"address": found["address"]}
        return {"DASK_SCHEDULER_ADDRESS": found["address"]}

    async def run(self):
        extra = dict(self.plan["workers"], nodes=len(self.job.nodes))
        # The ranks of dask-mpi would be an MPI world of their own.
        launcher = "nanny" if self.plan["launcher"] == "nanny" else "fork"
        command = self.job.node_command(
            "dask-worker", os.environ["DASK_SCHEDULER_ADDRESS"], str(self.plan["workers_per_node"] or 0),
            str(self.plan["threads_per_worker"] or 0), launcher, "0", json.dumps(extra))
        self.workers = await Everywhere.start(self.job, "dask-workers", self.plan["remote_run"], command, None,
                                              self.job.path("dask-workers.log"), 2 * WORKER_GRACE)
        self.job.session_file.runtime("dask", state="running")
        code = await self.workers.wait()
        if code:
            text = "the workers ended with status %d\n%s" % (code, self.workers.tail())
            self.job.session_file.runtime("dask", state="failed", error=text)
            say("Dask: %s" % text)
        else:  # as told, by their lifetime, for want of tasks: each says it, and many speak at once
            reasons = dict.fromkeys(re.findall(r" Reason: (.*)", self.workers.tail(LAST_WORDS)))
            say("Dask: the workers have ended: %s" % ("; ".join(reasons) or "why is in their log"))

    async def stop(self):
        if self.workers:
            await self.workers.end(2 * WORKER_GRACE)

    end = stop
