"""What the toy schedulers of ``tests/fakes`` print is what the real ones printed: the texts of ``tests/captured``.

Jobs have the numbers, names and hosts of the captured text. What must differ is made the same: times, sizes.
"""
import difflib
import re

import pytest
from captured import captured, read_jobs
from fakes.toy import Toy

SYSTEMS = {"slurm-22.05.8": "slurm", "openpbs-23.06.06": "pbs", "gridengine-8.1.9": "sge",
           "torque-6.1-master": "torque", "lsf-10.1": "lsf", "htcondor-23.9.6": "condor"}
PREFIX = {"slurm": "#SBATCH", "pbs": "#PBS", "sge": "#$", "torque": "#PBS", "lsf": "#BSUB"}

# Submissions: what the script asks for, where it is not in the captured command.
SUBMITTED = {
    "slurm-22.05.8/sbatch": {
        "accepted": "--time=10", "bad-directive": "--nosuchoption=3", "invalid-account": "--account=nosuch",
        "invalid-feature": "--constraint=nosuch", "invalid-gres-type": "--gres=gpu:nosuch:1",
        "invalid-partition": "--partition=nopart", "invalid-reservation": "--reservation=nosuch",
        "invalid-time": "--time=bogus", "memory-too-large": "--mem=99999G", "qos-unknown": "--qos=nosuch",
        "too-many-cores": "--cpus-per-task=99"},
    "openpbs-23.06.06/qsub": dict.fromkeys(
        ("accepted", "any-account", "bad-memory", "bad-name", "bad-walltime", "boolean-resource", "gpu-type-nobody-has",
         "memory-too-large", "queue-disabled", "too-many-gpus", "too-many-nodes", "unknown-queue",
         "unknown-reservation", "unknown-resource-list", "unknown-resource", "walltime-over-default-queue-limit"), "")
    | {"bad-directive": "-l nonsense=1"},
    "gridengine-8.1.9/qsub": {
        "accepted": "-N x", "bad-directive": "--nosuch", "bad-name": "-N 1x", "bad-time": "-l h_rt=bogus",
        "memory-too-large": "-l mem_free=9999G", "not-a-multiple": "-pe mpi-2 3", "project-unknown": "-P nosuch",
        "too-many-hosts": "-pe mpi-2 20", "too-many-slots": "-pe smp 99", "unknown-pe": "-pe nosuch 2",
        "unknown-queue": "-q nosuch.q", "unknown-reservation": "-ar 99", "unknown-resource": "-l nosuch=1",
        "too-many-gpus": "-l gpu=9", "walltime-too-long": "-q short.q -l h_rt=99:00:00"},
    "torque-6.1-master/qsub": {
        "accepted": "-N x", "queue-disabled": "-q closed", "too-many-cores": "-l nodes=1:ppn=99",
        "unknown-property": "-l nodes=1:nosuch", "unknown-queue": "-q nosuch", "unknown-resource": "-l nosuch=1",
        "walltime-too-long": "-l walltime=99:00:00"},
    "lsf-10.1/bsub": {"accepted": "-q short", "accepted-default-queue": "-n 1", "unknown-queue": "-q rhel7",
                      "bad-resource-requirement": "-R select[", "too-many-processors": "-n 999"},
}
# A server that is down, by kind of program.
DOWN = {
    "submit": ("slurm-22.05.8/sbatch-no-controller", "openpbs-23.06.06/qsub-server-down",
               "gridengine-8.1.9/qsub-no-qmaster", "torque-6.1-master/qsub-no-server", "lsf-10.1/bsub-lsf-down",
               "htcondor-23.9.6/condor_submit-no-schedd"),
    "status": ("slurm-22.05.8/squeue-no-controller", "openpbs-23.06.06/qstat-server-down",
               "gridengine-8.1.9/qstat-no-qmaster", "torque-6.1-master/qstat-no-server", "lsf-10.1/bjobs-lsf-down",
               "htcondor-23.9.6/condor_q-no-schedd"),
    "cancel": ("slurm-22.05.8/scancel-no-controller", "openpbs-23.06.06/qdel-server-down",
               "gridengine-8.1.9/qdel-no-qmaster", "torque-6.1-master/qdel-no-server", "lsf-10.1/bkill-lsf-down",
               "htcondor-23.9.6/condor_rm-no-schedd"),
    "estimate": ("slurm-22.05.8/estimate-no-controller",),
    "info": ("slurm-22.05.8/info-queues-no-controller", "openpbs-23.06.06/info-nodes-server-down",
             "htcondor-23.9.6/info-machines-no-collector"),
}
RUNS, ENDED, WAITS = {"state": "running", "hosts": ["n1"], "started": 1.0}, {"state": "ended", "ended": 1.0}, {}
# Cancels: the job of that number, None where there is none.
CANCELLED = {
    "slurm-22.05.8/scancel": {"already-ended": ENDED, "not-a-number": None, "not-mine": {"user": "bob", **RUNS},
                              "unknown-job": None},
    "openpbs-23.06.06/qdel": {"accepted": WAITS, "already-ended": ENDED, "not-a-number": None, "other-server": None,
                              "not-mine": {"user": "bob", **RUNS}, "running": RUNS, "unknown-job": None},
    "gridengine-8.1.9/qdel": {"already-deleted": {**RUNS, "state": "ending"}, "ended": ENDED, "not-a-number": None,
                              "not-mine": {**RUNS, "user": "alice"}, "pending": WAITS, "running": RUNS,
                              "unknown-job": None},
    "torque-6.1-master/qdel": {"accepted": RUNS, "bad-id": None, "completed": ENDED, "unknown-job": None,
                               "not-mine": {"user": "bob", **RUNS}},
    "lsf-10.1/bkill": {"accepted": RUNS, "finished": ENDED, "not-mine": {"user": "bob", **RUNS}, "unknown-job": None},
    "htcondor-23.9.6/condor_rm": {"accepted": RUNS, "already-marked": {**RUNS, "state": "ending"}, "gone": ENDED,
                                  "not-mine": {"user": "bob", **RUNS}, "unknown-job": None},
}


def flat(table):
    return [(f"{program}-{trouble}", given)
            for program, troubles in table.items() for trouble, given in troubles.items()]


@pytest.fixture
def toy(request, tmp_path):
    found = Toy(tmp_path / "toy", SYSTEMS[request.node.callspec.params["name"].partition("/")[0]])
    yield found
    found.end()


def assert_same(toy, name, normal=lambda text: text, stdin="", **env):
    """The toy's answer to the captured command is the captured one."""
    real = captured(name)
    done = toy.run(*real.argv, stdin=stdin, env=env)
    assert not toy.strange
    for ours, theirs in ((done.stdout, real.stdout), (done.stderr, real.stderr)):
        ours, theirs = normal(ours), normal(theirs)
        assert ours == theirs, "\n".join(difflib.ndiff(*(
            text.split("\n") if isinstance(text, str) else text for text in (theirs, ours))))
    assert done.returncode == real.returncode


def numbers(text):
    return re.sub(r"\d+", "N", text)


@pytest.mark.parametrize(("name", "asked"), flat(SUBMITTED))
def test_a_submission(toy, name, asked):
    # Held: no job of this test is to run.
    toy.control(hold="busy")
    assert_same(toy, name, numbers, f"#!/bin/bash\n{PREFIX[toy.name]} {asked}\nsleep 1\n")


@pytest.mark.parametrize(("name", "asked"), flat({"slurm-22.05.8/estimate": {
    "used-up": "--account=geo", "bad-directive": "--nonsense=1", "invalid-feature": "--constraint=nofeat",
    "invalid-partition": "--partition=nopart", "too-many-nodes": "--nodes=9"}}))
def test_an_estimate(toy, name, asked):
    assert_same(toy, name, lambda text: numbers(text.replace("toy", "n")), f"#!/bin/bash\n#SBATCH {asked}\nhostname\n")
    assert not toy.jobs()


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in DOWN.items() for name in names])
def test_a_server_that_is_down(toy, kind, name):
    toy.faults(**{kind: "down"})
    # One of PBS's programs names the server by its address.
    assert_same(toy, name, lambda text: text.replace("10.219.23.1", "pbshub"))


@pytest.mark.parametrize(("name", "job"), flat(CANCELLED))
def test_a_cancel(toy, name, job):
    if job is not None:
        number = int(re.match(r"\d+", captured(name).argv[-1])[0])
        toy.put(number, **{"user": "bob" if toy.name == "sge" else "alice", **job})
    assert_same(toy, name, USER="bob" if toy.name == "sge" else "alice")


# What Slurm's words for a state are in the toy's; the others are put into its mouth.
SLURM = {"PENDING": {"state": "pending"}, "RUNNING": {"state": "running"}, "SUSPENDED": {"state": "suspended"},
         "COMPLETING": {"state": "ending"}, "COMPLETED": {"state": "ended", "how": "ok"},
         "CANCELLED": {"state": "ended", "how": "cancelled"}, "FAILED": {"state": "ended", "how": "failed"}}


def slurm_times(text):
    """Times with a colon, and days; the lines in any order, for the toy knows of no priorities, and without arrays."""
    text = re.sub(r"(?m)^\d+_.*\n", "", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:]+", "DATE", text)
    return sorted(re.sub(r"\x1f(\d+-)?(\d+:)+\d+(?=\x1f)", "\x1fLEFT", text).split("\n"))


@pytest.mark.parametrize("name", [f"slurm-22.05.8/squeue-{trouble}" for trouble in (
    "pending-and-running", "suspended-and-completing", "ended-and-requeued", "jobs-of-rejected-submissions")])
def test_the_list_of_slurm(toy, name, monkeypatch):
    real = captured(name)
    for row in read_jobs(real):
        hosts = {"n/a": []}.get(row["B"], [row["B"]]) if "[" not in row["N"] else ["n1", "n2"]
        begun = None if row["S"] == "N/A" else 1.0
        if "_" not in row["i"]:
            toy.put(int(row["i"]), **SLURM[row["T"]], name=row["j"], hosts=hosts, started=begun if hosts else None,
                    estimate=begun, ended=4e9, walltime=3600, reason=row["r"])
    assert_same(toy, name, slurm_times)


HALF_PAST = 1795278360.0  # Sat Nov 21 16:26 2026
BLOCK = {"user": "hubuser", "queue": "workq"}
SGE = {"name": "jupyter-test", "queue": "main.q", "started": 1.0, "slots": 1}
PBS_RUNS = {**BLOCK, "state": "running", "started": HALF_PAST}
# The jobs of these lists by number; arrays, which the toy has not, are left out of the captured text.
LISTS = {
    "openpbs-23.06.06/qstat-mixed": {
        28: {**PBS_RUNS, "name": "jupyter-0a1b2c", "mom": 24429, "cores": 4, "hosts": ["p1"], "walltime": 1800},
        29: {**PBS_RUNS, "name": "jupyter-two", "mom": 24441, "cores": 2, "nodes": 2, "hosts": ["p2", "p3"],
             "walltime": 1200},
        30: {**BLOCK, "name": "next", "nodes": 3, "cores": 4, "walltime": 1200, "why": "busy",
             "estimate": HALF_PAST + 1800},
        31: {**BLOCK, "name": "later", "cores": 4, "walltime": 36000, "estimate": HALF_PAST + 3000,
             "comment": "Not Running: Insufficient amount of resource: ncpus (R: 4 A: 2 T: 12)"},
        32: {**BLOCK, "nodes": 8, "cores": 4, "why": "never",
             "comment": "Can Never Run: Insufficient amount of resource: ncpus (R: 32 A: 12 T: 12)"},
        33: {**BLOCK, "why": "held"}, 34: {**BLOCK, "why": "later"},
        36: {**BLOCK, "why": "held", "name": "evil"}, 37: {**BLOCK, "why": "held", "name": "evil2"}},
    "openpbs-23.06.06/qstat-suspended": {
        31: {**PBS_RUNS, "name": "later", "mom": 25869, "cores": 4, "hosts": ["p1"], "walltime": 36000},
        38: {**PBS_RUNS, "name": "hidden", "mom": 1626, "hosts": ["p2"], "state": "suspended",
             "started": HALF_PAST + 60}},
    "openpbs-23.06.06/qstat-empty": {},
    "gridengine-8.1.9/qstat-running-one-node-smp-2": {
        27: {**SGE, "user": "bob", "state": "running", "hosts": ["g2"], "cores": 2, "slots": 2}},
    "gridengine-8.1.9/qstat-being-deleted": {
        36: {**SGE, "state": "ending", "hosts": ["g1", "g2"], "nodes": 2, "slots": 2},
        37: {**SGE, "user": "bob", "state": "ending", "hosts": ["g2"]}},
    "gridengine-8.1.9/qstat-all-kinds": {
        27: {**SGE, "user": "bob", "state": "suspended", "hosts": ["g2"], "slots": 2, "cores": 2},
        28: {**SGE, "state": "running", "hosts": ["g3", "g1"], "nodes": 2, "slots": 4, "cores": 2},
        30: {**SGE, "user": "bob", "why": "held"}, 31: {**SGE, "user": "bob", "state": "running", "hosts": ["g2"]},
        33: {**SGE, "user": "bob", "why": "never"}, 35: {**SGE, "why": "busy", "slots": 6}},
    "gridengine-8.1.9/qstat-empty": {},
    "torque-6.1-master/qstat-no-jobs": {},
    "torque-6.1-master/qstat-states": {
        18: {"name": "jupyter-x", "queue": "batch", "state": "running", "hosts": ["n2", "n1"], "nodes": 2, "cores": 2,
             "request": "2:ppn=2", "started": 1.0, "output": "/dev/null"},
        25: {"name": "jupyter-x", "queue": "batch", "why": "held", "output": "/dev/null", "arguments": "-h"},
        27: {"name": "jupyter-x", "queue": "batch", "user": "bob", "nodes": 2, "cores": 4, "request": "2:ppn=4",
             "why": "busy", "output": "/dev/null", "arguments": "-d / -l nodes=2:ppn=4"},
        28: {"name": "a<b>&\"c", "queue": "batch", "user": "bob", "why": "held", "output": "/dev/null",
             "arguments": "-N a<b>&\"c -v X=<Job><Job_Id>0.node1</Job_Id>&amp;]]> -h"},
        29: {"name": "jupyter-x", "queue": "batch", "user": "bob", "state": "suspended", "hosts": ["n1"],
             "started": 1.0, "output": "/dev/null", "arguments": "-l nodes=1:ppn=1"}},
    "lsf-10.1/bjobs-no-jobs-consistent-exit-code": {},
    "lsf-10.1/bjobs-states": {
        101: {}, 104: {"why": "held"},
        105: {"state": "running", "hosts": ["n1", "n2"], "cores": 4, "started": 4e9, "walltime": 5400},
        106: {"state": "running", "hosts": ["n3"], "started": 1.0},
        111: {"state": "ended", "how": "failed", "hosts": ["n1", "n2"], "cores": 4, "started": 1.0, "ended": 4e9}},
    "htcondor-23.9.6/condor_q-no-jobs": {},
    "htcondor-23.9.6/condor_q-states": {
        26: {"session": True}, 27: {"session": True, "why": "held"},
        28: {"session": True, "state": "running", "hosts": ["node1"], "started": 1.0, "walltime": 3600},
        29: {"session": True, "state": "suspended", "hosts": ["node1"], "started": 1.0}},
    "htcondor-23.9.6/condor_q-walltime-over": {
        26: {"session": True}, 27: {"session": True, "why": "held"},
        34: {"session": True, "state": "ended", "how": "walltime", "hosts": ["node1"], "started": 1.0, "ended": 4e9,
             "walltime": 10}},
}
# How a text is cut into jobs, and what differs in each.
JOBS = {
    "pbs": (r"(?m)^(?=\d+\S*\.pbshub )", r"(?!)"),
    "sge": (r"(?<=</job_list>\n)|(?<=<queue_info>\n)|(?<=<job_info>\n)(?=    <job_list)",
            r"(?<=<JAT_prio>)[\d.]+|(?<=_time>)[\dT:-]+"),
    "torque": (r"(?=<Job><)|(?=</Data>)",
               r"(?<=time>)\d+(?=</[cmqe]|</start)|(?<=<Remaining>)-?\d+|(?<=<session_id>)\d+|"
               r"\w{3} \w{3} \d\d at \d\d:\d\d|(?<=n\d/)\d(-\d)?"),
    "lsf": (r"(?m)^", r"\d+:\d\d L"),
    "condor": (r"(?m)^(?=,$)|^(?=\])", r"(?<=Date\": )\d+|(?<=Time\": )\d+|(?<=slot1_)\d"),
}


@pytest.mark.parametrize("name", LISTS)
def test_the_list_of_jobs(toy, name):
    for number, fields in LISTS[name].items():
        toy.put(number, **fields)
    cut, differs = JOBS[toy.name]

    def normal(text):
        parts = [part for part in re.split(cut, text) if ours(part)]
        return re.sub(differs, "X", "".join(parts))

    def ours(part):
        found = re.search(r"(?:<JB_job_number>|<Job_Id>|ClusterId\": |\A)(\d+)(?![\d\[])", part)
        array = re.match(r"\d+\[\]", part)
        return not array and (not found or int(found[1]) in LISTS[name])

    assert_same(toy, name, normal)


def kinds(text):
    """Names, numbers and sizes made the same; equal lines, which are one for each node or queue, only once."""
    text = re.sub(r"\b(n|g|toy|node)(\d|\[\d-\d\])", "HOST", text).replace("}\n,\n{", "}\n{")
    text = re.sub(r"\b(main|debug|normal|short|low)\.q", "QUEUE", text)
    return list(dict.fromkeys(re.sub(r"[\d.]+", "N", text).split("\n")))


@pytest.mark.parametrize("name", ["slurm-22.05.8/info-queues", "slurm-22.05.8/info-partitions",
                                  "htcondor-23.9.6/info-machines", "gridengine-8.1.9/info-queues"])
def test_the_information_for_the_form(toy, name):
    assert_same(toy, name, kinds)
