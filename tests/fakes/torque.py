"""Torque 6.1: texts of tests/captured/torque-6.1-master, behaviour as its manual pages and sources say."""
import os
import re
import signal
import sys
import time
from html import escape

from . import remote, torque_info
from .store import CORES, GPU_TYPE, NODES, Refusal
from .words import clock, directives, need, short_options, size, write_clock

SERVER = "node1"
SCOPE = "session"
TASK_SIGNAL_ENDS_JOB = False
# No directory for its programs: the job must find pbsdsh by itself.
PROFILE = ":"
FILES = {}
KEEP_COMPLETED = 300
WAITS = {"busy": ("Q", "Not Running: Not enough of the right type of nodes are available"), "held": ("H", None),
         "later": ("W", None)}
RESOURCES = ("nodes", "walltime", "mem", "pmem", "vmem", "pvmem")
EXCEEDS = "qsub: submit error (Job exceeds queue resource limits MSG=cannot {})\n"
NO_NODES = ("locate feasible nodes (nodes file is empty, all systems are busy, or no nodes have the requested feature)")
TOO_LONG = EXCEEDS.format("satisfy queue max walltime requirement")
REFUSED = {"submit": (190, "", TOO_LONG),
           "cancel": (159, "", f"qdel: Unauthorized Request  MSG=operation not permitted 1.{SERVER}\n")}


def signals(record, cause):
    return [(0, signal.SIGTERM), (30 if cause == "cancel" else 5, signal.SIGKILL)]


def qsub(store, arguments):
    script = sys.stdin.read()
    takes = {**dict.fromkeys("aAcCeIjklmMNopqrSuvW", True), **dict.fromkeys("fhVz", False)}
    pairs, rest = short_options([*directives(script, "#PBS"), *arguments], takes,
                                lambda words: Refusal(2, f"qsub: {words}\nusage: qsub [-a date_time] ...\n"))
    need(not rest, 1, "qsub: script file cannot be loaded\n")
    fields = read(pairs)
    most, usual, enabled = torque_info.QUEUES.get(fields["queue"], (0, 0, None))
    need(enabled is not None, 172, "qsub: submit error (Unknown queue MSG=requested queue not found)\n")
    need(enabled, 175, "qsub: submit error (Queue is not enabled MSG=queue is disabled: "
         f"user {os.environ['USER']}@{SERVER}, queue {fields['queue']})\n")
    need(fields.setdefault("walltime", usual) <= most, 190, TOO_LONG)
    need(fields.get("nodes", 1) <= len(NODES) and fields.get("cores", 1) <= CORES, 190, EXCEEDS.format(NO_NODES))
    fields["memory"] = fields["memory"] // fields["nodes"] if fields.get("memory") else None
    record = store.add(script, path=os.environ["PATH"], **fields)
    store.start(record, sys.modules[__name__])
    return 0, f"{record['number']}.{SERVER}\n", ""


def read(pairs):
    fields = {"name": "STDIN", "queue": "normal"}
    for letter, value in pairs:
        if letter == "l":
            read_resource(fields, *value.partition("=")[::2])
        elif letter == "W":
            read_extension(fields, value)
        elif letter in "NqASo":
            fields[{"N": "name", "q": "queue", "A": "account", "S": "shell", "o": "output"}[letter]] = value
    return fields


def read_resource(fields, key, value):
    need(key in RESOURCES, 189, f"qsub: submit error (Unknown resource type  Resource_List.{key})\n")
    if key == "walltime":
        try:
            fields["walltime"] = clock(value)
        except ValueError:
            raise Refusal(166, "qsub: submit error (Illegal attribute or resource value)\n") from None
    elif key == "mem":
        fields["memory"] = size(value)
    elif key == "nodes":
        count, *words = value.split(":")
        fields.update(nodes=int(count), request=value)
        for word in words:
            name, equals, number = word.partition("=")
            known = name in ("ppn", "gpus") if equals else word in torque_info.PROPERTIES
            need(known, 190, EXCEEDS.format(NO_NODES))
            fields[{"ppn": "cores", "gpus": "gpus", GPU_TYPE: "gpu_type"}.get(name, "constraint")] = (
                int(number) if equals else word)


def read_extension(fields, value):
    """``x=QOS:high;FLAGS:ADVRES:R7``, for Maui and Moab."""
    need(value.startswith("x="), 1, f"qsub: illegal -W value {value}\n")
    for word in value[2:].split(";"):
        found = re.fullmatch(r"(QOS|FLAGS:ADVRES):(\w+)", word)
        need(found, 1, f"qsub: illegal -W value {value}\n")
        fields["qos" if found[1] == "QOS" else "reservation"] = found[2]


def environment(store, record):
    number, user = record["number"], record["user"]
    return {
        "ENVIRONMENT": "BATCH", "HOME": record["home"], "LANG": "C.UTF-8", "LOGNAME": user, "USER": user,
        "SHELL": "/bin/bash", "PATH": "/bin:/usr/bin", "PBS_ENVIRONMENT": "PBS_BATCH",
        "PBS_JOBID": f"{number}.{SERVER}", "PBS_JOBNAME": record["name"], "PBS_MOMPORT": "15003", "PBS_NODENUM": "0",
        "PBS_VNODENUM": "0", "PBS_TASKNUM": "1", "PBS_NODEFILE": str(store.path(number, "nodefile")),
        "PBS_NP": str(record["cores"] * record["nodes"]), "PBS_NUM_NODES": str(record["nodes"]),
        "PBS_NUM_PPN": str(record["cores"]), "PBS_QUEUE": record["queue"], "PBS_WALLTIME": str(record["walltime"]),
        "PBS_GPUFILE": os.devnull,
        "PBS_O_HOME": record["home"], "PBS_O_HOST": SERVER, "PBS_O_LOGNAME": user, "PBS_O_PATH": record["path"],
        "PBS_O_QUEUE": record["queue"], "PBS_O_SERVER": SERVER, "PBS_O_SHELL": "/bin/bash", "PBS_O_WORKDIR": "/",
        "PBS_VERSION": "TORQUE-6.1.3", "PBS_JOBCOOKIE": "7BD0E7F37E123DD3",
    }


def launch(store, record):
    """A login shell reads the script's path from a pipe; the node file has a line for each core."""
    store.path(record["number"], "nodefile").write_text(
        "".join(f"{host}\n" * record["cores"] for host in record["hosts"]))
    return {"argv": ["-bash"], "executable": record.get("shell", "/bin/sh"), "env": environment(store, record),
            "cwd": record["home"], "stdin": f"{store.script(record)}\n", "stdout": record.get("output", os.devnull)}


def pbsdsh(store, arguments):
    """Tells its task to end when it is told so; says 0 whatever the task's status. Output is the job's."""
    option, host, *argv = arguments
    job = store.job(os.environ["PBS_JOBID"].partition(".")[0])
    need(option == "-h" and host in job["hosts"], 1, f"pbsdsh: error from tm_poll() 17002 on {host}\n")
    task = remote.Task(store, job["number"], host, argv, environment(store, job), job["home"])
    remote.on_end(task.signal)
    remote.wait(task)
    return 0, "", ""


def qstat(store, arguments):
    if arguments in (["-Q", "-f"], ["-B", "-f"]):
        return 0, (torque_info.queues(store) if "-Q" in arguments else torque_info.server(SERVER)), ""
    store.expect(arguments, ["-x"])
    jobs = [job for job in store.jobs() if job["state"] != "ended" or time.time() - job["ended"] < KEEP_COMPLETED]
    jobs = "".join(torque_info.xml("Job", describe(store, job)) for job in jobs)
    return 0, f'<?xml version="1.0"?>\n<Data>{jobs}</Data>\n', ""


def describe(store, job):
    """A job's attributes in the order of qstat; those that it lacks are None."""
    code, comment = WAITS.get(job["why"], ("Q", None)) if job["state"] == "pending" else ("R", None)
    code = {"suspended": "S", "ending": "E", "ended": "C"}.get(job["state"], code)
    if job["started"]:
        comment = time.strftime("Job started on %a %b %d at %H:%M", time.localtime(job["started"]))
    share = f"0-{job['cores'] - 1}" if job["cores"] > 1 else "0"
    when, started = int(job["submitted"]), int(job["started"] or 0) or None
    attributes = {
        "Job_Id": f"{job['number']}.{SERVER}", "Job_Name": job["name"], "Job_Owner": f"{job['user']}@{SERVER}",
        "job_state": store.read("control").get("code") or code, "queue": job["queue"], "server": SERVER,
        "Account_Name": job["account"], "Checkpoint": "u", "ctime": when, "Error_Path": f"{SERVER}:/dev/null",
        "exec_host": "+".join(f"{host}/{share}" for host in job["hosts"]) or None,
        "Hold_Types": "u" if code == "H" else "n", "Join_Path": "oe", "Keep_Files": "n", "Mail_Points": "n",
        "mtime": started or when, "Output_Path": f"{SERVER}:{job.get('output', '')}", "Priority": 0, "qtime": when,
        "Rerunable": "False", "Resource_List": {
            "nodes": job.get("request", "1:ppn=1"), "nodect": job["nodes"],
            "walltime": write_clock(job["walltime"] or 1800)},
        "session_id": job["mom"] if started else None, "Shell_Path_List": job.get("shell", "/bin/bash"),
        "euser": job["user"], "egroup": job["user"], "queue_type": "E", "comment": comment,
        "etime": None if code in "HW" else when, "exit_status": exit_status(job), "submit_args": job.get("arguments"),
        "start_time": started, "Walltime": left(job) if code == "R" else None, "start_count": 1 if started else None,
        "fault_tolerant": "False", "job_radix": 0, "submit_host": SERVER, "init_work_dir": "/", "request_version": 1,
    }
    return {name: value if isinstance(value, dict) else escape(str(value))
            for name, value in attributes.items() if value is not None}


def left(job):
    return {"Remaining": round((job["walltime"] or 1800) - (time.time() - job["started"]))}


def exit_status(job):
    """256 and the number of the signal that ended it."""
    code = job["exit"]
    return 256 - code if code is not None and code < 0 else code


def qdel(store, arguments):
    """``-W 30``: so long between TERM and KILL."""
    pairs, (word,) = short_options(arguments, {"W": True, "m": True, "p": False},
                                   lambda words: Refusal(2, f"qdel: {words}\n"))
    need(re.match(r"\d", word), 1, f"qdel: illegally formed job identifier: {word}\n")
    job = store.job(word.partition(".")[0])
    need(job, 153, f"qdel: nonexistent job id: {word}\n")
    need(job["state"] != "ended", 170, "qdel: Request invalid for state of job MSG=invalid state for job - COMPLETE "
         f"{word}\n")
    need(job["user"] == os.environ.get("USER"), 159, "qdel: Unauthorized Request  MSG=operation not permitted "
         f"{word}\n")
    store.order(job["number"], "cancel", dict(pairs).get("W", ""))
    return 0, "", ""


def qselect(store, arguments):
    store.expect(arguments[::2], ["-N", "-u"])
    return 0, "".join(f"{job['number']}.{SERVER}\n" for job in store.named(arguments[1], arguments[3])), ""


PROGRAMS = {"qsub": ("submit", qsub), "qstat": ("status", qstat), "qselect": ("find", qselect),
            "qdel": ("cancel", qdel),
            "pbsnodes": ("info", torque_info.pbsnodes), "pbsdsh": ("task", pbsdsh)}
EMPTY = (0, '<?xml version="1.0"?>\n<Data></Data>\n', "")
CANNOT = f"\nUnable to communicate with {SERVER}(127.0.0.1)\nCannot connect to specified server host '{SERVER}'.\n"
ERROR = f": cannot connect to server {SERVER} (errno=111) Connection refused\n"
DOWN = {"submit": (111, "", f"{CANNOT}qsub{ERROR}"), "cancel": (111, "", f"{CANNOT}qdel{ERROR}"),
        "status": (111, "", f"{CANNOT * 3}qstat{ERROR}qstat: Error (111 - Connection refused) \n"),
        "info": (111, "", f"{CANNOT}pbsnodes{ERROR}")}
