"""Slurm 22.05: texts of tests/captured/slurm-22.05.8."""
import os
import re
import signal
import sys
import time

from . import remote, slurm_info
from .store import CORES, GPU_TYPE, GPUS, MEMORY, NODES, Refusal
from .words import directives, long_options, need

SCOPE = "all"
TASK_SIGNAL_ENDS_JOB = False
# Slurm's programs are where every login shell looks.
PROFILE = 'PATH="{toy}/bin:$PATH"'
FILES = {}
MIN_JOB_AGE = 300
LONG = ("job-name output error open-mode signal nodes ntasks-per-node partition account qos reservation constraint "
        "cpus-per-task mem gres time comment").split()
TAKES = {**{f"--{name}": 1 for name in LONG}, "--no-requeue": 0, "--requeue": 0, "--parsable": 0,
         "--test-only": 0}
WAITS = {"busy": "Resources", "priority": "Priority", "later": "BeginTime", "held": "JobHeldUser",
         "never": "PartitionConfig"}
FAILED = "sbatch: error: Batch job submission failed: "
UNREACHABLE = "Unable to contact slurm controller (connect failure)"


def signals(record, cause):
    return [(0, signal.SIGCONT), (0, signal.SIGTERM), (30, signal.SIGKILL)]


def seconds(text):
    """sbatch(1), --time: ``minutes[:seconds]``, ``hours:minutes:seconds``, ``days-hours[:minutes[:seconds]]``."""
    found = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", text)
    if not found:
        raise Refusal(255, "sbatch: error: Invalid --time specification\n")
    days, *parts = [int(part) if part else None for part in found.groups()]
    if days is not None or parts[2] is not None:
        hours, minutes, rest = (part or 0 for part in parts)
        return (days or 0) * 86400 + hours * 3600 + minutes * 60 + rest
    return parts[0] * 60 + (parts[1] or 0)


def megabytes(text):
    found = re.fullmatch(r"(\d+)([KMGT]?)", text)
    need(found, 255, "sbatch: error: Invalid --mem specification\n")
    return int(found[1]) * 1024 ** "KMGT".index(found[2] or "M") * 1024


def sbatch(store, arguments):
    script = sys.stdin.read()
    need(script, 1, "sbatch: error: Batch script is empty!\n")
    need(script.startswith("#!"), 1, "sbatch: error: This does not look like a batch script.  The first\n"
         "sbatch: error: line must start with #! followed by the path to an interpreter.\n"
         "sbatch: error: For instance: #!/bin/sh\n")

    def unknown(word):
        return Refusal(255, f"sbatch: unrecognized option '{word}'\nTry \"sbatch --help\" for more information\n")

    pairs, rest = long_options([*arguments, *directives(script, "#SBATCH")], TAKES, unknown)
    given = {name[2:]: value[0] if value else True for name, value in pairs}
    if "test-only" in given:
        return estimate(store, given)
    need(given.get("parsable") and not rest, 1, f"sbatch: error: what is {rest}?\n")
    fields = read(given)
    check(fields, given)
    record = store.add(script, env=dict(os.environ), **fields)
    store.start(record, sys.modules[__name__])
    return 0, f"{record['number']}\n", ""


def estimate(store, given):
    """``sbatch --test-only``: control has the seconds until the start, 0 if not set."""
    try:
        fields = read(given)
        check(fields, given)
    except Refusal as refusal:
        code, _, words = refusal.answer
        return code, "", words.replace(FAILED, "allocation failure: ")
    if fields.get("never") == "PartitionConfig":
        return 1, "", "allocation failure: Requested node configuration is not available\n"
    start = time.localtime(time.time() + store.read("control").get("estimate", 0))
    return 0, "", (f"sbatch: Job 4711 to start at {time.strftime('%Y-%m-%dT%H:%M:%S', start)} using {fields['cores']} "
                   f"processors on nodes {NODES[0]} in partition {fields['queue']}\n")


def read(given):
    fields = {"name": given.get("job-name", "sbatch"), "queue": given.get("partition", "normal")}
    fields.update({name: given.get(name) for name in ("account", "qos", "reservation", "constraint")})
    fields.update(nodes=int(given.get("nodes", 1)), cores=int(given.get("cpus-per-task", 1)),
                  output=given.get("output", "slurm-%j.out").replace("%%", "%"),
                  walltime=seconds(given["time"]) if "time" in given else 1800,
                  memory=megabytes(given["mem"]) if "mem" in given else None)
    if "gres" in given:
        kind, *words = given["gres"].split(":")
        need(kind == "gpu" and (len(words) == 1 or words[0] == GPU_TYPE), 1,
             f"{FAILED}Requested node configuration is not available\n")
        fields.update(gpus=int(words[-1]), gpu_type=words[0] if len(words) == 2 else None)
    if "signal" in given:
        found = re.fullmatch(r"(B:)?(\w+)@(\d+)", given["signal"])
        fields["warning"] = [int(signal.Signals[f"SIG{found[2]}"]), int(found[3]), bool(found[1])]
    return fields


def check(fields, given):
    queue = fields["queue"]
    need(queue in slurm_info.PARTITIONS, 1,
         f"sbatch: error: invalid partition specified: {queue}\n{FAILED}Invalid partition name specified\n")
    need(fields["account"] in (None, *slurm_info.ACCOUNTS), 1,
         f"{FAILED}Invalid account or account/partition combination specified\n")
    need(fields["reservation"] in (None, "R7"), 1, f"{FAILED}Requested reservation is invalid\n")
    need(fields["constraint"] in (None, "mc", "himem"), 1, f"{FAILED}Invalid feature specification\n")
    need((fields["memory"] or 0) <= MEMORY, 1, "sbatch: error: Memory specification can not be satisfied\n"
         f"{FAILED}Requested node configuration is not available\n")
    if fields["qos"] not in (None, "normal", "high"):
        fields["never"] = "InvalidQOS"
    if fields["nodes"] > len(NODES) or fields["cores"] > CORES or (fields.get("gpus") or 0) > GPUS:
        fields["never"] = "PartitionConfig"


def launch(store, record):
    """The submitter's environment, Slurm's own, the submitter's directory, the script's own interpreter."""
    names, now = slurm_info.host_list(record["hosts"]), int(time.time())
    env = {**record["env"], "SLURM_JOB_START_TIME": str(now), "SLURM_JOB_END_TIME": str(now + record["walltime"]),
           "SLURM_JOB_ID": str(record["number"]), "SLURM_JOBID": str(record["number"]),
           "SLURM_JOB_NODELIST": names, "SLURM_NODELIST": names, "SLURM_NNODES": str(record["nodes"]),
           "SLURM_JOB_NUM_NODES": str(record["nodes"]), "SLURM_CPUS_PER_TASK": str(record["cores"]),
           "SLURM_CPUS_ON_NODE": str(record["cores"]), "SLURMD_NODENAME": record["hosts"][0], "SLURM_NODEID": "0",
           "SLURM_PROCID": "0", "SLURM_JOB_PARTITION": record["queue"], "SLURM_SUBMIT_DIR": "/",
           "ENVIRONMENT": "BATCH", "HOSTNAME": record["hosts"][0], "TMPDIR": "/tmp"}
    if record["memory"]:
        env["SLURM_MEM_PER_NODE"] = str(record["memory"] // 1024 ** 2)
    return {"argv": [str(store.script(record))], "env": env, "cwd": "/",
            "stdout": record["output"].replace("%j", str(record["number"]))}


def srun(store, arguments):
    """One task a node, with this program's environment, directory and output; a signal to this program reaches them."""
    takes = {"--overlap": 0, "--overcommit": 0, **{f"--{name}": 1 for name in (
        "cpu-bind mem kill-on-bad-exit export input nodes ntasks ntasks-per-node").split()}}
    pairs, command = long_options(arguments, takes, lambda word: Refusal(1, f"srun: unrecognized option '{word}'\n"))
    given = {name: value[0] if value else True for name, value in pairs}
    job = store.job(os.environ["SLURM_JOB_ID"])
    need(given.get("--overlap") and int(given["--nodes"]) <= job["nodes"], 1, "srun: error: Unable to create step for "
         f"job {job['number']}: More processors requested than permitted\n")
    tasks = [remote.Task(store, job["number"], host, command,
                         {**os.environ, "SLURM_PROCID": str(rank), "SLURM_NODEID": str(rank), "SLURMD_NODENAME": host},
                         os.getcwd(), None) for rank, host in enumerate(job["hosts"])]
    remote.on_end(lambda number: [task.signal(number) for task in tasks])
    codes = remote.wait(*tasks)
    return max(code if code >= 0 else 128 - code for code in codes), "", ""


def code(store, job):
    if override := job.get("code") or store.read("control").get("code"):
        return override
    if job["state"] == "ended":
        return {"ok": "COMPLETED", "cancelled": "CANCELLED", "walltime": "TIMEOUT"}.get(job["how"], "FAILED")
    return {"ending": "COMPLETING"}.get(job["state"], job["state"].upper())


def reason(job):
    if job["state"] == "pending":
        return WAITS.get(job["why"], job["why"]) or "None"
    if job["state"] == "ended":
        return {"failed": "NonZeroExitCode", "walltime": "TimeLimit"}.get(job["how"], "None")
    return "None"


def squeue(store, arguments):
    if "-u" in arguments:
        name = arguments[4].removeprefix("--name=")
        store.expect(arguments, ["-h", "-a", "-u", arguments[3], f"--name={name}", "-o", "%i"])
        return 0, "".join(f"{job['number']}\n" for job in store.named(name, arguments[3])), ""
    store.expect(arguments[:-1], ["-h", "-a", "-t", "all", "-o"], ["-h", "-a", "-t", "PENDING", "-o"])
    order = list(slurm_info.PARTITIONS)
    lines = []
    for job in store.jobs():
        if arguments[3] == "PENDING" and job["state"] != "pending":
            continue
        if job["state"] == "ended" and time.time() - job["ended"] > MIN_JOB_AGE:
            continue
        started = job["started"] or job.get("estimate") or store.read("control").get("estimate")
        running = job["state"] in ("running", "suspended", "ending")
        values = {
            "P": job["queue"], "Q": str(job.get("priority", 1000000 - job["number"])), "i": f"{job['number']}",
            "T": code(store, job), "r": job.get("reason") or reason(job),
            "B": job["hosts"][0] if job["hosts"] else "n/a", "N": slurm_info.host_list(job["hosts"]),
            "j": job["name"],
            "S": time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(started)) if started else "N/A",
            "L": slurm_info.left(job["walltime"] - (time.time() - job["started"] if running else 0)),
        }
        text = re.sub(r"%([a-zA-Z])", lambda found: values[found[1]], arguments[5])
        lines.append((order.index(job["queue"]), values["T"], job["number"], text))
    return 0, "".join(f"{line[-1]}\n" for line in sorted(lines)), ""


def scancel(store, arguments):
    word, = arguments
    need(word.isdigit(), 1, f"scancel: error: Invalid job id {word}\n")
    job = store.job(word)
    if job and job["state"] != "ended":
        need(job["user"] == os.environ.get("USER"), 210, f"scancel: error: Kill job error on job id {word}: "
             "Access/permission denied\n")
        store.order(job["number"], "cancel")
    return 0, "", ""


PROGRAMS = {"sbatch": ("submit", sbatch), "squeue": ("status", squeue), "scancel": ("cancel", scancel),
            "srun": ("task", srun), "sinfo": ("info", slurm_info.sinfo), "sacctmgr": ("info", slurm_info.sacctmgr),
            "sshare": ("info", slurm_info.sshare),
            "scontrol": ("show", slurm_info.scontrol)}
KINDS = {("sbatch", "--test-only"): "estimate"}
EMPTY = (0, "", "")
REFUSED = {"estimate": (1, "", "allocation failure: Requested node configuration is not available\n"),
           "estimate account": (1, "", "allocation failure: Invalid account or account/partition combination "
                                "specified\n"),
           "submit": (1, "", f"{FAILED}Invalid account or account/partition combination specified\n"),
           "cancel": (210, "", "scancel: error: Kill job error on job id 1: Access/permission denied\n")}
DOWN = {"submit": (1, "", f"{FAILED}{UNREACHABLE}\n"), "status": (1, "", f"slurm_load_jobs error: {UNREACHABLE}\n"),
        "estimate": (1, "", f"allocation failure: {UNREACHABLE}\n"),
        "cancel": (8, "", f"scancel: error: Kill job error on job id 1: {UNREACHABLE}\n"),
        "info": (1, "", f"slurm_load_partitions: {UNREACHABLE}\n")}
