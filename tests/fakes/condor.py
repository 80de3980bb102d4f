"""HTCondor 23.9: behaviour measured on a real pool."""
import json
import os
import re
import shlex
import signal
import sys
import time

from .store import CORES, GPUS, MEMORY, NODES
from .words import need, size

SCOPE = "all"
TASK_SIGNAL_ENDS_JOB = False
PROFILE = ":"
FILES = {}
# For as long is a job held that used up its time, before its own periodic_remove has it removed.
HELD_AFTER_END = 3
KEYS = ("universe executable arguments transfer_executable should_transfer_files initialdir output error "
        "environment getenv batch_name notification request_cpus kill_sig job_max_vacate_time requirements "
        "periodic_remove accounting_group request_memory request_gpus require_gpus allowed_job_duration "
        "+HPCSpawnerSession").split()
# Held at its submission, and by the pool.
WAITS = {"held": (1, None), "never": (26, "The system's policy")}
MACHINE = ("Machine", "State", "SlotType", "Cpus", "TotalSlotCpus", "TotalCpus", "TotalMemory", "TotalGPUs")


def signals(record, cause):
    return [(0, record["signal"]), (record["grace"], signal.SIGKILL)]


def condor_submit(store, arguments):
    store.expect(arguments, ["-terse"])
    given = {}
    lines = [line.strip() for line in sys.stdin.read().split("\n")]
    for line in filter(None, lines):
        if line.startswith("#") or line == "queue":
            continue
        key, equals, value = (word.strip() for word in line.partition("="))
        need(equals and key in KEYS, 1, f"\nERROR: on Line 1 of submit file: \n\tSubmit:-1:{line}\n")
        given[key] = value
    need("queue" in lines, 1, "\nERROR: -queue command or a QUEUE command is required\n")
    fields = read(given)
    # Of the submitter's environment only what is named.
    names = [name.strip() for name in given.get("getenv", "").split(",")]
    fields["env"] = {name: os.environ[name] for name in names if name in os.environ}
    record = store.add("", **fields)
    store.start(record, sys.modules[__name__])
    return 0, f"{record['number']}.0 - {record['number']}.0\n", ""


def read(given):
    need(given["universe"] == "vanilla" and given["should_transfer_files"] == "NO", 1, "\nERROR: not this universe\n")
    needs = [term.strip() for term in given["requirements"].split("&&")]
    need(needs[0] == "(NumJobStarts ?: 0) == 0", 1, "\nERROR: the job could start again\n")
    wanted = [re.fullmatch(r'TARGET\.(\w+) =\?= (?:true|"([^"]*)")', term) for term in needs[1:]]
    need(all(wanted), 1, f"\nERROR: Parse error in expression: \n\tRequirements = {given['requirements']}\n")
    kind = re.fullmatch(r'regexp\("([\w.-]+)", DeviceName, "i"\)', given.get("require_gpus", ""))
    fields = {
        "argv": [given["executable"], *shlex.split(given["arguments"].strip('"'))], "given": given, "queue": "pool",
        "directory": given["initialdir"], "output": given["output"], "name": given["batch_name"],
        "account": given.get("accounting_group"), "cores": int(given["request_cpus"]),
        "memory": size(given["request_memory"]) if "request_memory" in given else None,
        "gpus": int(given["request_gpus"]) if "request_gpus" in given else None,
        "gpu_type": kind[1] if kind else None,
        "walltime": int(given["allowed_job_duration"]) if "allowed_job_duration" in given else None,
        "constraint": ",".join(term[1] + (f"={term[2]}" if term[2] else "") for term in wanted) or None,
        "signal": int(signal.Signals[given["kill_sig"]]), "grace": int(given["job_max_vacate_time"]),
        "session": given.get("+HPCSpawnerSession") == "true",
    }
    if fields["cores"] > CORES or (fields["memory"] or 0) > MEMORY or (fields["gpus"] or 0) > GPUS:
        fields["never"] = "busy"
    return fields


def launch(store, record):
    """Only what the description says, and the starter's own."""
    machine, memory = store.path(record["number"], "machine.ad"), (record["memory"] or 2 ** 30) // 2 ** 20
    machine.write_text(f'Activity = "Busy"\nCpus = {record["cores"]}\nMemory = {memory}\nTotalCpus = {CORES}.0\n')
    cluster = f"{record['number']}"
    given = record["given"]["environment"].strip('"').replace("$(ClusterId)", cluster).replace("$(ProcId)", "0")
    cores = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(record["cores"]))
    env = {**record["env"], **dict(word.split("=", 1) for word in given.split()), **cores, "TMPDIR": "/tmp",
           "BATCH_SYSTEM": "HTCondor", "_CONDOR_MACHINE_AD": str(machine), "_CONDOR_SLOT": "slot1_1",
           "_CONDOR_JOB_IWD": record["directory"], "_CONDOR_SCRATCH_DIR": str(machine.parent)}
    return {"argv": record["argv"], "env": env, "cwd": record["directory"],
            "stdout": os.path.join(record["directory"], record["output"])}


def status(store, job):
    if override := store.read("control").get("code"):
        return override
    if job["state"] == "pending":
        return 5 if job["why"] in WAITS else 1
    return {"suspended": 7, "ending": 2 if job["how"] == "walltime" else 3, "ended": 5}.get(job["state"], 2)


def condor_q(store, arguments):
    if "-format" in arguments:
        name = arguments[2].partition('"')[2].rstrip('"')
        store.expect(arguments[1:], ["-constraint", f'JobBatchName == "{name}"', "-format", "%d.", "ClusterId",
                                     "-format", "%d\\n", "ProcId"])
        return 0, "".join(f"{job['number']}.0\n" for job in store.named(name, arguments[0])), ""
    store.expect(arguments[:-1], ["-allusers", "-constraint", "HPCSpawnerSession =?= true", "-json", "-attributes"])
    wanted, ads = arguments[-1].split(","), []
    for job in store.jobs():
        if job["session"] and (job["state"] != "ended" or used_up(job)):
            ad = describe(store, job)
            ads.append({name: ad[name] for name in sorted(wanted) if name in ad})
    return 0, write(ads), ""


def used_up(job):
    return job["how"] == "walltime" and time.time() - job["ended"] < HELD_AFTER_END


def describe(store, job):
    hold = WAITS.get(job["why"], (None, None)) if job["state"] == "pending" else (None, None)
    if job["state"] == "ended":
        minutes, seconds = divmod(job["walltime"] or 0, 60)
        hold = (46, f"The job exceeded allowed job duration of {minutes:02}:{seconds:02}")
    running = job["state"] in ("running", "suspended", "ending")
    ad = {
        "ClusterId": job["number"], "ProcId": 0, "JobStatus": status(store, job), "ServerTime": int(time.time()),
        "NumJobStarts": 1 if job["started"] else 0, "HoldReasonCode": hold[0], "HoldReason": hold[1],
        "RemoteHost": f"slot1_1@{job['hosts'][0]}" if running else None, "AllowedJobDuration": job["walltime"],
        "JobCurrentStartDate": int(job["started"]) if job["started"] else None,
    }
    # A job that was submitted as held has a reason without words.
    return {name: value for name, value in ad.items() if value is not None or name == "HoldReason" and hold[0]}


def write(ads):
    """As HTCondor prints JSON; of no ads nothing at all."""
    texts = ["{\n" + ",\n".join(f'  "{name}": {json.dumps(value)}' for name, value in ad.items()) + "\n}\n"
             for ad in ads]
    return "[\n" + ",\n".join(texts) + "]\n" if ads else ""


def condor_status(store, arguments):
    store.expect(arguments, ["-constraint", 'SlotType =!= "Dynamic"', "-json", "-attributes", ",".join(MACHINE)])
    return 0, write([dict(sorted({
        "Machine": name, "State": "Unclaimed", "SlotType": "Partitionable", "Cpus": CORES, "TotalSlotCpus": CORES,
        "TotalCpus": float(CORES), "TotalMemory": MEMORY // 2 ** 20, "TotalGPUs": GPUS}.items()))
        for name in NODES]), ""


def condor_rm(store, arguments):
    word, = arguments
    job = store.job(word.partition(".")[0])
    need(job and job["state"] != "ended", 1, f"\nJob {word} not found\n")
    need(job["user"] == os.environ.get("USER"), 1, f"\nPermission denied to remove job {word}\n")
    need(job["state"] != "ending", 1, f"\nJob {word} already marked for removal\n")
    store.order(job["number"], "cancel")
    return 0, f"Job {word} marked for removal\n", ""


PROGRAMS = {"condor_submit": ("submit", condor_submit), "condor_q": ("status", condor_q),
            "condor_rm": ("cancel", condor_rm), "condor_status": ("info", condor_status)}
EMPTY = (0, "", "")
EXTRA = """
Extra Info: You probably saw this error because the condor_schedd is not\x20
running on the machine you are trying to query. If the condor_schedd is not\x20
running, the Condor system will not be able to find an address and port to\x20
connect to and satisfy this request. Please make sure the Condor daemons are\x20
running and try again.
\x20
Extra Info: If the condor_schedd is running on the machine you are trying to\x20
query and you still see the error, the most likely cause is that you have\x20
setup a personal Condor, you have not defined SCHEDD_NAME in your\x20
condor_config file, and something is wrong with your SCHEDD_ADDRESS_FILE\x20
setting. You must define either or both of those settings in your config\x20
file, or you must use the -name option to condor_q. Please see the Condor\x20
manual for details on SCHEDD_NAME and SCHEDD_ADDRESS_FILE.\x20
"""
TOO_MANY = "\nERROR: Failed to create proc\nNumber of submitted jobs would exceed MAX_JOBS_PER_OWNER\n"
REFUSED = {"submit": (1, "", TOO_MANY),
           "cancel": (1, "", "\nPermission denied to remove job 1.0\n")}
DOWN = {"submit": (1, "", "\nERROR: Can't find address of local schedd\n"),
        "status": (1, "", "Error: Can't find address for schedd node1\n" + EXTRA),
        "cancel": (1, "", "condor_rm: Can't find address for schedd node1\n"),
        "info": (1, "", "Error: communication error\nSECMAN:2011:Connection closed during command authorization. "
                 "Probably due to an unknown command.\n")}
