"""The real clusters that the system tests run on, and what differs between them in the words of one scenario."""
import os
import re
import subprocess
from pathlib import Path

CLUSTERS = Path(__file__).parent.parent / "clusters"


class Cluster:
    """A script that makes a cluster; users alice and bob. Subclasses say what the scenario needs to know.

    ``two_nodes`` are options for two nodes of two cores; ``refusals`` are pairs of options and what the user is told;
    ``queued`` are words that the waiting page may show of a job behind others; ``mpi``: its mpiexec suits our MPICH.
    ``form`` is what the form offers by field: choices, "text", the largest number, or None where it is left out.
    """

    system = ""
    nodes = ()
    settings = {}
    two_nodes = {}
    refusals = ()
    queued = ()
    mpi = True
    form = {}

    def __init__(self):
        self._script("start", check=True)
        status = self._script("status", check=True, capture_output=True, text=True).stdout
        self.address, configuration = re.search(r"hub is (\S+), configuration (.*)", status).groups()
        self.environment = self._environment(configuration)

    @classmethod
    def script(cls):
        return CLUSTERS / cls.system

    @classmethod
    def missing(cls):
        """Why the cluster cannot be made here; "" where it can."""
        check = cls._script("check", capture_output=True, text=True)
        return (check.stdout + check.stderr).strip() if check.returncode else ""

    @classmethod
    def _script(cls, *argv, **options):
        return subprocess.run([cls.script(), *argv], **options)

    def _environment(self, configuration):
        return dict(pair.split("=", 1) for pair in configuration.split())

    def stop(self):
        self._script("stop", check=True)

    def run(self, user, *argv, node=None, **options):
        """A command as an ordinary user, on the hub or on a node."""
        where = ["--node", node] if node else []
        return self._script("as", user, *where, "--", *map(str, argv), capture_output=True, text=True, timeout=120,
                            **options)

    def admin(self, *argv, **options):
        """A command of the cluster's administrator."""
        path = f"{self.environment.get('PATH', '')}:{os.environ['PATH']}"
        return subprocess.run(argv, check=True, env={**os.environ, **self.environment, "PATH": path}, **options)

    def processes(self, user):
        """The user's processes on all nodes: one machine, so one process table."""
        ps = subprocess.run(["ps", "-u", user, "-o", "pid=,args="], capture_output=True, text=True)
        return ps.stdout.splitlines()

    def jobs(self, user):
        raise NotImplementedError

    def cancel(self, user, *jobs):
        raise NotImplementedError

    def kill(self, user, *jobs):
        """End jobs without a word to them."""
        raise NotImplementedError

    def fill(self, user):
        """Take all nodes for a while; the job's id."""
        raise NotImplementedError

    def records(self, job):
        """All that the batch system tells anybody, and the owner, of a job."""
        raise NotImplementedError

    def hide_jobs(self, hidden):
        """Whether users see the jobs of others, as a site may set it."""
        raise NotImplementedError


class SlurmCluster(Cluster):
    system = "slurm"
    nodes = ("n1", "n2", "n3")
    two_nodes = {"nodes": 2, "cores": 2, "account": "geo"}
    queued = ("next in line", "ahead of it")
    form = {"queue": ["normal", "debug", "low"], "account": ["bio", "geo"], "qos": ["normal", "short"], "nodes": "3",
            "node_type": ["mc", "himem"], "gpus": "2", "gpu_type": ["a100"], "cores": "4"}
    refusals = (
        ({"account": "nope"}, "account: there is no 'nope' here; choose one of"),
        ({"qos": "noqos"}, "qos: there is no 'noqos' here; choose one of"),
        ({"queue": "nopart"}, "queue: there is no 'nopart' here; choose one of normal, debug, low"),
        ({"walltime": "99-0"}, "walltime: at most 1-00:00:00 in queue normal"),
        ({"queue": "debug", "walltime": "31:00"}, "walltime: at most 00:30:00 in queue debug"),
        ({"memory": "999G"}, "memory: at most"),
        ({"nodes": 4}, "nodes: at most 3 in queue normal"),
        ({"gpus": 8}, "gpus: at most 2 in queue normal"),
        ({"node_type": "nofeat"}, "node_type: there is no 'nofeat' here; choose one of mc, himem"),
        ({"queue": "debug", "node_type": "himem"}, "node_type: himem does not go with this queue; choose one of mc"),
        ({"nodes": 2, "node_type": "himem"}, "nodes: at most 1 on himem nodes in queue normal"),
        ({"reservation": "nores"},
         "The batch system refused the job: Batch job submission failed: Requested reservation"),
        ({"cores": 4, "gpus": 1, "gpu_type": "nokind"}, "gpu_type: there is no 'nokind' here; choose one of a100"),
    )

    def _environment(self, configuration):
        return {"SLURM_CONF": configuration.strip()}

    def jobs(self, user):
        return self.run(user, "squeue", "-h", "-u", user, "-o", "%i").stdout.split()

    def cancel(self, user, *jobs):
        self.run(user, "scancel", *jobs)

    def kill(self, user, *jobs):
        self.run(user, "scancel", "-f", "-s", "KILL", *jobs)

    def fill(self, user):
        return self.run(user, "sbatch", "--parsable", "-A", "geo", "-N3", "--exclusive", "-t", "10", "--wrap",
                        "sleep 600").stdout.strip()

    def records(self, job):
        return "".join((self.run("bob", "scontrol", "show", "job", "-dd", job).stdout,
                        self.run("bob", "scontrol", "show", "step", job).stdout,
                        self.run("bob", "sacct", "-P", "-j", job, "-o", "ALL").stdout,
                        self.run("alice", "scontrol", "write", "batch_script", job, "-").stdout))

    def logs(self):
        """The logs of Slurm's daemons."""
        return list((Path(self.environment["SLURM_CONF"]).parents[2] / "log").glob("slurm*.log"))

    def hide_jobs(self, hidden):
        conf = Path(self.environment["SLURM_CONF"])
        lines = [line for line in conf.read_text().splitlines() if not line.startswith("PrivateData")]
        conf.write_text("\n".join([*lines, *(["PrivateData=jobs"] if hidden else []), ""]))
        self.admin("scontrol", "reconfigure")


class GridEngineCluster(Cluster):
    system = "sge"
    nodes = ("g1", "g2", "g3")
    settings = {"smp_environment": "smp", "parallel_environment": "mpi-{cores}"}
    two_nodes = {"nodes": 2, "cores": 2, "account": "geo"}
    queued = ("next in line", "ahead of it")
    form = {"queue": ["main.q", "debug.q"], "account": "text", "qos": None, "nodes": "3", "node_type": None,
            "gpu_type": "text", "cores": "4"}
    refusals = (
        ({"account": "nope"}, 'The batch system refused the job: job rejected: the requested project "nope"'),
        ({"qos": "noqos"}, "qos: cannot be chosen on this cluster"),
        ({"queue": "nopart"}, "queue: there is no 'nopart' here; choose one of"),
        ({"queue": "debug.q", "walltime": "31:00"}, "walltime: at most 00:30:00 in queue debug.q"),
        ({"nodes": 4}, "nodes: at most 3 in any queue"),
        ({"node_type": "nofeat"}, 'The batch system refused the job: unknown resource "nofeat"'),
        ({"nodes": 2, "cores": 3}, 'the requested parallel environment "mpi-3" does not exist'),
        ({"memory": "999G"}, "memory: at most 6G in any queue"),
    )

    @classmethod
    def script(cls):
        return CLUSTERS / "gridengine"

    def jobs(self, user):
        table = self.run(user, "qstat", "-u", user).stdout.splitlines()[2:]
        return list(dict.fromkeys(line.split()[0] for line in table))

    def cancel(self, user, *jobs):
        self.run(user, "qdel", *jobs)

    def fill(self, user):
        return self.run(user, "qsub", "-terse", "-b", "y", "-o", "/dev/null", "-j", "y", "-pe", "mpi-4", "12", "sleep",
                        "600").stdout.strip()

    def records(self, job):
        return "".join((self.run("bob", "qstat", "-j", job).stdout, self.run("bob", "qstat", "-j", job, "-xml").stdout,
                        self.run("alice", "qstat", "-j", job).stdout))


class PBSCluster(Cluster):
    """Not made here: ``HPC_TEST_PBS`` names a script that makes one, with the commands of ours."""

    system = "pbs"
    nodes = ("p1", "p2", "p3")
    two_nodes = {"nodes": 2, "cores": 2, "account": "geo"}
    mpi = False
    form = {"queue": ["workq", "debug"], "account": "text", "qos": None, "nodes": "3", "node_type": ["himem"],
            "gpus": "2", "gpu_type": ["a100"], "cores": "4"}
    queued = ("Not enough free nodes", "Insufficient amount of resource", "Job would conflict")
    refusals = (
        ({"qos": "noqos"}, "qos: cannot be chosen on this cluster"),
        ({"queue": "nopart"}, "queue: there is no 'nopart' here; choose one of"),
        ({"queue": "debug", "walltime": "31:00"}, "walltime: at most 00:30:00 in queue debug"),
        ({"memory": "999G"}, "memory: at most"),
        ({"nodes": 4}, "nodes: at most 3 in queue"),
        ({"node_type": "nofeat"}, "node_type: there is no 'nofeat' here; choose one of himem"),
        ({"reservation": "R999"}, "The batch system refused the job: Unknown queue"),
    )

    @classmethod
    def script(cls):
        return Path(os.environ["HPC_TEST_PBS"])

    def jobs(self, user):
        table = self.run(user, "qstat", "-u", user).stdout.splitlines()
        return [line.split()[0] for line in table if re.match(r"\d+\.", line)]

    def cancel(self, user, *jobs):
        self.run(user, "qdel", *jobs)

    def kill(self, user, *jobs):
        self.run(user, "qdel", "-W", "force", *jobs)

    def fill(self, user):
        return self.run(user, "qsub", "-f", "-o", "/dev/null", "-j", "oe", "-l", "select=3:ncpus=4", "-l",
                        "place=scatter", "--", "/bin/sleep", "600").stdout.strip()

    def records(self, job):
        return "".join((self.run("bob", "qstat", "-f", job).stdout, self.run("bob", "qstat", "-x", "-f", job).stdout,
                        self.run("alice", "qstat", "-f", job).stdout))

    def hide_jobs(self, hidden):
        self.admin("qmgr", "-c", f"set server query_other_jobs = {not hidden}")


SYSTEMS = {"slurm": SlurmCluster, "sge": GridEngineCluster}
if os.environ.get("HPC_TEST_PBS"):
    SYSTEMS["pbs"] = PBSCluster
