"""How long until a session is ready: batchspawner and this project in turn on one real Slurm cluster, beside the floor.

The floor is what no spawner of today can avoid: ``jupyterhub-singleuser`` alone until it answers, plus ``sbatch`` until
the job's first line. Prints one Markdown table. Needs what the system tests need (root on Debian); use ``make bench``.
"""
import argparse
import os
import pwd
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from support import system_hub  # noqa: E402
from support.clusters import SlurmCluster  # noqa: E402
from support.running_hub import RunningHub, free_ports, request, wait_for  # noqa: E402

USER = "alice"

PEER = """
c.JupyterHub.spawner_class = "batchspawner.SlurmSpawner"
c.Spawner.http_timeout = 120
c.SlurmSpawner.cmd = ["{bin}/jupyterhub-singleuser"]
c.SlurmSpawner.batchspawner_singleuser_cmd = "{bin}/batchspawner-singleuser"
c.SlurmSpawner.req_prologue = "export PATH={bin}:$PATH"
c.SlurmSpawner.exec_prefix = "sudo -E -u {{username}} env SLURM_CONF={conf}"
c.SlurmSpawner.req_srun = ""
"""


class Bench:
    """One cluster, two Hubs, and the three things that are timed."""

    def __init__(self, directory):
        self.directory = directory
        self.cluster = SlurmCluster()
        system_hub.allow_helper()
        self.bin = system_hub.ENVIRONMENT / "bin"
        self.ours = system_hub.SystemHub(self._directory("ours"), self.cluster).start().add_user(USER)
        config = PEER.format(bin=self.bin, conf=self.cluster.environment["SLURM_CONF"])
        self.peer = RunningHub(self._directory("peer"), self.bin, config, self.cluster.address)
        self.peer.start().add_user(USER)
        self.shared = Path(tempfile.mkdtemp(dir="/tmp"))
        shutil.chown(self.shared, USER)

    def _directory(self, name):
        path = self.directory / name
        path.mkdir()
        return path

    def close(self):
        self.ours.stop()
        self.peer.stop()
        shutil.rmtree(self.shared)

    def ready(self, hub, options):
        """Seconds from the request to "ready" on the progress stream; the session is stopped afterwards."""
        begin = time.perf_counter()
        events = hub.spawn(USER, options)
        seconds = time.perf_counter() - begin
        assert events[-1].get("ready"), events
        hub.stop_server(USER)
        wait_for(lambda: not self.cluster.jobs(USER), 60, lambda: "jobs are left")
        return seconds

    def server_alone(self):
        """Seconds until ``jupyterhub-singleuser``, started by hand as the user, answers."""
        port = free_ports(self.cluster.address, 1)[0]
        url = f"http://{self.cluster.address}:{port}/user/{USER}/"
        argv = [*self._become(), str(self.bin / "jupyterhub-singleuser")]
        env = self._server_environment(url)
        begin = time.perf_counter()
        server = subprocess.Popen(argv, env=env, cwd=self.shared, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda: answers(f"{url}api"), 60, lambda: "the server does not answer", pause=0.01)
            return time.perf_counter() - begin
        finally:
            server.terminate()
            server.wait()

    def dispatch(self):
        """Seconds from ``sbatch`` to the first line of the job."""
        mark = self.shared / "first-line"
        mark.unlink(missing_ok=True)
        env = {"PATH": os.environ["PATH"], **self.cluster.environment}
        script = f"#!/bin/bash\ndate +%s.%N > {mark}.new\nmv {mark}.new {mark}\n"
        begin = time.time()
        subprocess.run([*self._become(), "sbatch", "--output=/dev/null"], input=script, text=True, check=True, env=env,
                       cwd=self.shared, capture_output=True)
        wait_for(mark.exists, 60, lambda: "the job does not run", pause=0.01)
        seconds = float(mark.read_text()) - begin
        wait_for(lambda: not self.cluster.jobs(USER), 60, lambda: "jobs are left")
        return seconds

    def _become(self):
        return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups", "--"]

    def _server_environment(self, url):
        hub = f"{self.ours.url}/hub"
        return {"PATH": f"{self.bin}:/usr/bin:/bin", "HOME": pwd.getpwnam(USER).pw_dir, "USER": USER,
                "LANG": "C.UTF-8", "JUPYTERHUB_API_TOKEN": self.ours.user_token(USER), "JUPYTERHUB_SERVER_NAME": "",
                "JUPYTERHUB_API_URL": f"{hub}/api", "JUPYTERHUB_CLIENT_ID": f"jupyterhub-user-{USER}",
                "JUPYTERHUB_USER": USER,
                "JUPYTERHUB_ACTIVITY_URL": f"{hub}/api/users/{USER}/activity", "JUPYTERHUB_BASE_URL": "/",
                "JUPYTERHUB_SERVICE_PREFIX": f"/user/{USER}/", "JUPYTERHUB_SERVICE_URL": url, "JUPYTERHUB_HOST": "",
                "JUPYTERHUB_OAUTH_CALLBACK_URL": f"/user/{USER}/oauth_callback",
                "JUPYTERHUB_OAUTH_ACCESS_SCOPES": f'["access:servers!server={USER}/"]'}


def answers(url):
    try:
        return request("GET", url, timeout=30).status == 200
    except OSError:
        return False


def measure(bench, rounds):
    """Seconds by what was timed; every round times everything once, so that a slow moment meets all."""
    timed = {
        "server alone": bench.server_alone,
        "dispatch": bench.dispatch,
        "batchspawner": lambda: bench.ready(bench.peer, {}),
        "ours": lambda: bench.ready(bench.ours, {}),
        "ours, Dask on": lambda: bench.ready(bench.ours, {"dask": True, "cores": 2}),
    }
    seconds = {name: [] for name in timed}
    for number in range(rounds + 1):
        for name, run in timed.items():
            took = run()
            if number:  # the first round warms the caches up
                seconds[name].append(took)
        print(f"round {number} of {rounds}", file=sys.stderr)
    return seconds


def table(seconds):
    floors = [sum(pair) for pair in zip(seconds["server alone"], seconds["dispatch"])]
    floor, peer = statistics.median(floors), statistics.median(seconds["batchspawner"])
    rows = ["| | median s | min – max | × floor | own share s |", "|---|---|---|---|---|"]
    for name, values in {**seconds, "floor (server alone + dispatch)": floors}.items():
        median = statistics.median(values)
        share = f"{median - floor:+.2f}" if name.startswith(("batch", "ours")) else ""
        spread = f"{min(values):.2f} – {max(values):.2f}"
        rows.append(f"| {name} | {median:.2f} | {spread} | {median / floor:.2f} | {share} |")
    ours, dask = statistics.median(seconds["ours"]), statistics.median(seconds["ours, Dask on"])
    rows += ["", f"Ready in {ours / floor:.2f} × the floor and {ours / peer:.2f} × batchspawner; Dask adds "
                 f"{100 * (dask / ours - 1):+.0f} %."]
    return "\n".join(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", "--rounds", type=int, default=9)
    arguments = parser.parse_args()
    if reason := system_hub.missing(SlurmCluster):
        sys.exit(reason)
    with system_hub.hub_directory() as directory:
        bench = Bench(directory)
        try:
            print(table(measure(bench, arguments.rounds)))
        finally:
            bench.close()


if __name__ == "__main__":
    main()
