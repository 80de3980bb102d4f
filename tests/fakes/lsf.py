"""IBM Spectrum LSF 10.1: what its documentation says."""
import os
import re
import signal
import sys
import time

from . import lsf_info, remote
from .store import CORES, MEMORY, NODES, Refusal
from .words import directives, long_options, need, size

SCOPE = "all"
TASK_SIGNAL_ENDS_JOB = False
# Not where a login shell looks; a job has LSF_BINDIR.
PROFILE = ":"
FILES = {}
CLEAN_PERIOD = 3600
TAKES = {**dict.fromkeys("-J -o -n -R -q -P -U -M -gpu -W".split(), 1), "-rn": 0}
WAITS = {"busy": ("PEND", "Job's resource requirements not satisfied: 2 hosts;"),
         "held": ("PSUSP", "The job was suspended by the user while pending;"),
         "never": ("PEND", "Job's resource requirements not satisfied: 4 hosts;")}
REFUSED = {"submit": (255, "", "RUNLIMIT: Cannot exceed queue's hard limit(s). Job not submitted.\n"),
           "cancel": (255, "", "Job <1>: User permission denied\n")}
FIELDS = ("jobid", "jobindex", "stat", "exec_host", "time_left", "pend_reason")


def signals(record, cause):
    if cause == "walltime":
        return [(0, signal.SIGUSR2), (600, signal.SIGINT), (610, signal.SIGTERM), (620, signal.SIGKILL)]
    return [(0, signal.SIGINT), (10, signal.SIGTERM), (20, signal.SIGKILL)]


def bsub(store, arguments):
    script = sys.stdin.read()
    pairs, rest = long_options([*directives(script, "#BSUB"), *arguments], TAKES,
                               lambda word: Refusal(255, f"{word}: Illegal option. Job not submitted.\n"))
    need(not rest, 255, f"what is {rest}? Job not submitted.\n")
    fields = {"name": "#!/bin/bash -l", "slots": 1, "ptile": 1}
    for name, values in pairs:
        read_option(fields, name, *values)
    default = "queue" not in fields
    most = lsf_info.QUEUES.get(fields.setdefault("queue", "normal"))
    need(most, 255, f"{fields['queue']}: No such queue. Job not submitted.\n")
    need((fields.get("walltime") or 0) <= most, 255, REFUSED["submit"][2])
    need(fields.get("reservation") in (None, "R7"), 255, "Specified reservation does not exist. Job not submitted.\n")
    fields.update(nodes=fields["slots"] // fields["ptile"], cores=fields["ptile"])
    need(fields["slots"] <= len(NODES) * CORES, 255, "Too many processors requested. Job not submitted.\n")
    if fields["cores"] > CORES or (fields.get("memory") or 0) > MEMORY:
        fields["never"] = "never"
    record = store.add(script, env=dict(os.environ), **fields)
    store.start(record, sys.modules[__name__])
    where = f"{'default ' if default else ''}queue <{record['queue']}>"
    return 0, f"Job <{record['number']}> is submitted to {where}.\n", ""


def read_option(fields, name, *values):
    plain = {"-J": "name", "-q": "queue", "-P": "account", "-U": "reservation", "-o": "output"}
    if name in plain:
        fields[plain[name]] = values[0]
    elif name == "-n":
        fields["slots"] = int(values[0])
    elif name == "-W":
        found = re.fullmatch(r"(?:(\d+):)?(\d+)", values[0])
        need(found, 255, f"{values[0]}: Invalid RUNLIMIT. Job not submitted.\n")
        fields["walltime"] = (int(found[1] or 0) * 60 + int(found[2])) * 60
    elif name == "-gpu":
        given = dict(word.split("=") for word in values[0].split(":"))
        need(set(given) <= {"num", "gmodel"}, 255, "Bad GPU requirement. Job not submitted.\n")
        fields.update(gpus=int(given["num"]), gpu_type=given.get("gmodel"))
    elif name == "-R":
        read_requirement(fields, values[0])


def read_requirement(fields, text):
    found = re.fullmatch(r"(span|select|rusage)\[(?:(ptile|mem)=)?([\w.]+)\]", text)
    need(found, 255, "Bad resource requirement syntax. Job not submitted.\n")
    section, name, value = found.groups()
    need((section, name) in (("span", "ptile"), ("rusage", "mem"), ("select", None)), 255,
         "Bad resource requirement syntax. Job not submitted.\n")
    if section == "select":
        need(value in lsf_info.RESOURCES, 255, "Bad resource requirement syntax. Job not submitted.\n")
    fields.update({"span": {"ptile": int(value) if value.isdigit() else 0}, "select": {"constraint": value},
                   "rusage": {"memory": size(value) if section == "rusage" else 0}}[section])


def launch(store, record):
    """The submitter's environment and directory; the shell of the script's first line."""
    cores = record["cores"]
    env = {**record["env"], "LSB_JOBID": str(record["number"]), "LSB_JOBINDEX": "0", "LSB_JOBNAME": record["name"],
           "LSB_QUEUE": record["queue"], "LSB_HOSTS": " ".join(host for host in record["hosts"] for _ in range(cores)),
           "LSB_MCPU_HOSTS": " ".join(f"{host} {cores}" for host in record["hosts"]),
           "LSB_DJOB_NUMPROC": str(record["slots"]), "LSB_BATCH_JID": str(record["number"]), "LS_SUBCWD": "/",
           "LSF_BINDIR": str(store.directory / "bin"), "LSB_INTERACTIVE": "N", "HOSTNAME": record["hosts"][0]}
    return {"argv": [str(store.script(record))], "env": env, "cwd": "/", "stdout": record.get("output", os.devnull)}


def blaunch(store, arguments):
    """This program's environment and directory go with the task; a signal to this program reaches it."""
    host, *argv = arguments
    job = store.job(os.environ["LSB_JOBID"])
    need(host in job["hosts"], 255, f"Host <{host}> is not in the execution host list of job <{job['number']}>\n")
    task = remote.Task(store, job["number"], host, argv, dict(os.environ), os.getcwd(), None)
    remote.on_end(task.signal)
    code = remote.wait(task)[0]
    return code if code >= 0 else 128 - code, "", ""


def state(store, job):
    if override := store.read("control").get("code"):
        return override
    if job["state"] == "ended":
        return "DONE" if job["how"] == "ok" else "EXIT"
    return {"pending": WAITS.get(job["why"], ("PEND",))[0], "suspended": "USUSP"}.get(job["state"], "RUN")


def bjobs(store, arguments):
    if "-J" in arguments:
        store.expect(arguments, ["-u", arguments[1], "-J", arguments[3], "-noheader", "-o", "jobid"])
        named = store.named(arguments[3], arguments[1])
        need(named, 255, f"Job <{arguments[3]}> is not found\n")
        return 0, "".join(f"{job['number']}\n" for job in named), ""
    store.expect(arguments, ["-u", "all", "-a", "-noheader", "-o", f"{' '.join(FIELDS)} delimiter='^'"])
    lines = []
    for job in store.jobs():
        if job["state"] == "ended" and time.time() - job["ended"] > CLEAN_PERIOD:
            continue
        share = f"{job['cores']}*" if job["cores"] > 1 else ""
        hosts = ":".join(share + host for host in job["hosts"]) or "-"
        lines.append("^".join([str(job["number"]), "0", state(store, job), hosts, left(job), reason(job)]))
    return (0, "".join(f"{line}\n" for line in lines), "") if lines else (255, "", "No job found\n")


def left(job):
    if job["state"] != "running" or not job["walltime"]:
        return "-"
    minutes = int(job["walltime"] - (time.time() - job["started"])) // 60
    return f"{minutes // 60}:{minutes % 60:02} L"


def reason(job):
    if job["state"] != "pending":
        return "-"
    return WAITS.get(job["why"], ("", "New job is waiting for scheduling;"))[1]


def bkill(store, arguments):
    word, = arguments
    job = store.job(word)
    need(job, 255, f"Job <{word}>: No matching job found\n")
    need(job["state"] != "ended", 255, f"Job <{word}>: Job has already finished\n")
    need(job["user"] == os.environ.get("USER"), 255, f"Job <{word}>: User permission denied\n")
    store.order(job["number"], "cancel")
    return 0, f"Job <{word}> is being terminated\n", ""


PROGRAMS = {"bsub": ("submit", bsub), "bjobs": ("status", bjobs), "bkill": ("cancel", bkill),
            "blaunch": ("task", blaunch), "bqueues": ("info", lsf_info.bqueues), "bhosts": ("info", lsf_info.bhosts),
            "lshosts": ("info", lsf_info.lshosts)}
EMPTY = (255, "", "No job found\n")
WAIT = "LSF is down. Please wait ...\n"
DOWN = {"submit": (255, "", WAIT * 2), "cancel": (255, "", WAIT), "info": (255, "", WAIT * 4),
        "status": (255, "", WAIT * 4 + "Request from non-LSF host rejected\n" * 2)}
