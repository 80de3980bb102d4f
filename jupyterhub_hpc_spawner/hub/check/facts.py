"""What a check's job found on its node, and what that means for sessions there."""
import asyncio
import json

import jupyterhub

from ...errors import HPCSpawnerError
from ..commands import run
from ..handlers import Report


class JobFacts:
    """``all`` is set when the job has said everything. Its words are checked: the user's own program wrote them."""

    def __init__(self, spawner, session, say, peers):
        self.spawner = spawner
        self.cluster = spawner.cluster
        self.session = session
        self.say = say
        self.peers = peers
        self.node = "its node"
        self.all = asyncio.Event()

    async def take(self, facts):
        takers = {"node": self._take_node, "hub": self._take_hub, "listening": self._take_listening,
                  "server": self._take_server, "runtimes": self._take_runtimes, "dask": self._take_dask,
                  "end": self._take_end}
        try:
            await takers[facts["what"]](facts)
        except (LookupError, AttributeError, TypeError, ValueError) as error:
            self.say.fail("job", f"it wrote {facts!r} ({type(error).__name__})",
                          "is something in the way of its output?")

    async def _take_node(self, facts):
        self.node = facts["name"]
        if facts["mode"] != 0o700 or not facts["own"]:
            self.say.fail("session directory", f"on {self.node} its mode is {facts['mode']:o}, and it should be the "
                          "user's alone", "choose a c.HPCSpawner.session_root that keeps owners and modes")
        else:
            self.say.ok("session directory", f"on {self.node}, too, of mode 700 and the user's own")
        await self._look_for_job()

    async def _look_for_job(self):
        """As the Hub's account: some sites hide the jobs of others."""
        job_id, system = self.session.state.job_id, self.cluster.system
        try:
            jobs = system.parse_status(await run(system.status_command(), env=self.cluster.env,
                                                 timeout=self.cluster.timeout))
        except HPCSpawnerError as error:
            return self.say.fail("job is seen", error, "the batch system must answer the Hub's account")
        if job_id in jobs:
            self.say.ok("job is seen", f"the Hub's account is told of job {job_id}")
        else:
            self.say.fail("job is seen", f"the Hub's account is not told of job {job_id}, which runs",
                          "let it see all users' jobs (Slurm: PrivateData, PBS: query_other_jobs; see \"Who sees the "
                          "jobs\" in docs/install.md); until then the Hub asks as each user")

    async def _take_hub(self, facts):
        if "error" in facts:
            self.say.fail("Hub from the node", f"{facts['url']} from {self.node}: {facts['error']}",
                          "set c.JupyterHub.hub_bind_url and hub_connect_url to what compute nodes reach, and let the "
                          "firewall pass them")
        else:
            self.say.ok("Hub from the node", f"{facts['url']} answers {self.node} after {facts['seconds']} s")

    async def _take_listening(self, facts):
        """As the Hub takes a report: where it came through a relay, the batch system's word for the node counts."""
        address = facts["address"]
        relayed = self.peers and address not in self.peers
        self._report(next(iter(self.peers)) if relayed else address, phase="listening", address=address,
                     port=facts["port"])

    def _report(self, peer, **fields):
        self.session.report(Report.model_validate_json(json.dumps(
            {"session": self.session.state.name, "secret": self.session.secret, **fields})), peer)

    async def _take_server(self, facts):
        if "error" in facts:
            return self.say.fail("server", facts["error"], "install jupyterhub and jupyterlab in this environment")
        mine = jupyterhub.__version__
        theirs = facts.get("jupyterhub")
        there = ", ".join(f"{name} {facts[name]}" for name in ("jupyterhub", "jupyterlab", "notebook") if name in facts)
        if theirs is None:
            self.say.fail("server", f"the Python of {facts['command']} has no jupyterhub", "install jupyterhub "
                          f"{mine} in this environment")
        elif theirs.split(".")[0] != mine.split(".")[0]:
            self.say.fail("server", f"{facts['command']} has jupyterhub {theirs}, and the Hub {mine}",
                          "install the Hub's version in this environment")
        elif "jupyterlab" not in facts and "notebook" not in facts:
            self.say.fail("server", f"{facts['command']} has {there} and nothing to show", "install jupyterlab in this "
                          "environment")
        else:
            self.say.ok("server", f"{facts['command']} with {there} (the Hub has {mine})")

    async def _take_runtimes(self, facts):
        there = [f"{name} {facts[name]}" for name in ("distributed", "ipyparallel") if name in facts]
        lacks = [name for name in ("distributed", "ipyparallel") if name not in facts]
        if there:
            self.say.ok("runtimes", ", ".join(there))
        if lacks:
            self.say.skip("runtimes", f"without {' and '.join(lacks)}, which users then cannot start")

    async def _take_dask(self, facts):
        if "error" in facts:
            self.say.fail("Dask", facts["error"], "try `from distributed import Client` in this environment; see "
                          "docs/dask.md")
        else:
            self.say.ok("Dask", f"1 + 1 on a worker through {facts['address']} after {facts['seconds']} s")

    async def _take_end(self, facts):
        if "error" not in facts:
            return self.all.set()
        self._report("127.0.0.1", phase="failed", address="127.0.0.1", message=facts["error"][:1000])
