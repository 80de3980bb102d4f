"""Son of Grid Engine 8.1.9: texts of tests/captured/gridengine-8.1.9, behaviour measured on a real qmaster."""
import os
import re
import signal
import sys
import time
from html import escape

from . import remote, sge_info
from .store import CORES, GPU_TYPE, GPUS, MEMORY, NODES, Refusal
from .words import clock, directives, long_options, need, size

SCOPE = "all"
# A task that is killed is taken for a broken node.
TASK_SIGNAL_ENDS_JOB = True
PROFILE = 'PATH="{toy}/bin:$PATH"'
FILES = {}
NOTIFY = 60
QUEUES = sge_info.QUEUES
PROJECTS = ("geo", "bio")
TAKES = {**dict.fromkeys("-N -S -j -o -r -m -q -P -A -ar -l -w".split(), 1), "-pe": 2, "-notify": 0, "-terse": 0}
RESOURCES = ("h_rt", "s_rt", "mem_free", "gpu", "gpu_type", "himem")
WAITS = {"busy": "qw", "never": "Eqw", "held": "hqw"}
HEAD = "Unable to run job: "
SCHEMA = sge_info.SCHEMA


def signals(record, cause):
    asked = record["notify"] and cause != "task"
    return [(0, signal.SIGUSR2), (NOTIFY, signal.SIGKILL)] if asked else [(0, signal.SIGKILL)]


def refuse(words):
    return Refusal(1, f"{HEAD}{words}\nExiting.\n")


def qsub(store, arguments):
    script = sys.stdin.read()

    def unknown(word):
        return Refusal(2, f'Unable to read script file because of error: invalid option argument "{word}"\n')

    pairs, rest = long_options(directives(script, "#$"), TAKES, unknown)
    given, rest = long_options(arguments, TAKES, unknown)
    fields = {"name": "STDIN", "notify": False, "slots": 1, "queue": None}
    for name, values in [*pairs, *given]:
        read_option(fields, name, *values)
    need(("-terse", []) in given and ("-w", ["e"]) in given, 1, "these are not the Hub's options\n")
    fields["queue"] = check(fields)
    record = store.add(script, **fields)
    store.start(record, sys.modules[__name__])
    return 0, f"{record['number']}\n", ""


def read_option(fields, name, *values):
    plain = {"-q": "queue", "-P": "account", "-S": "shell", "-o": "output", "-ar": "reservation"}
    if name in plain:
        fields[plain[name]] = values[0]
    elif name == "-N":
        if values[0][:1].isdigit():
            raise refuse(f'denied: "{values[0]}" is not a valid object name (cannot start with a digit)')
        fields["name"] = values[0]
    elif name == "-notify":
        fields["notify"] = True
    elif name == "-pe":
        fields.update(pe=values[0], slots=int(values[1]))
    elif name == "-l":
        for word in values[0].split(","):
            read_resource(fields, *word.partition("=")[::2])


def read_resource(fields, key, value):
    if key not in RESOURCES:
        raise refuse(f'unknown resource "{key}"')
    if key == "h_rt":
        try:
            fields["walltime"] = clock(value)
        except ValueError:
            raise refuse('attribute "h_rt" is not a time value') from None
    elif key == "himem":
        fields["constraint"] = key
    elif key in ("mem_free", "gpu", "gpu_type"):
        fields[{"mem_free": "memory", "gpu": "gpus"}.get(key, key)] = (
            size(value) if key == "mem_free" else int(value) if key == "gpu" else value)


def check(fields):
    """The queue; what ``-w e`` refuses. ``mpi-2`` puts two slots on each host, ``smp`` all on one."""
    pe, slots = fields.get("pe"), fields["slots"]
    if pe and pe not in ("smp", *(f"mpi-{n}" for n in range(1, CORES + 1))):
        raise refuse(f'job rejected: the requested parallel environment "{pe}" does not exist')
    per_host = slots if pe in (None, "smp") else int(pe.partition("-")[2])
    if fields.get("queue") not in (None, *QUEUES):
        raise refuse(f'Job was rejected because job requests unknown queue "{fields["queue"]}"')
    if fields.get("account") not in (None, *PROJECTS):
        raise refuse(f'job rejected: the requested project "{fields["account"]}" does not exist')
    if fields.get("reservation") not in (None, "7"):
        raise refuse(f'the advance reservation id {fields["reservation"]} is invalid')
    queue = fields["queue"] or "normal.q"
    # What is asked for with -l is for each slot.
    fields.update(nodes=slots // per_host, cores=per_host, memory=(fields.get("memory") or 0) * per_host or None)
    fits = (slots % per_host == 0 and slots // per_host <= len(NODES) and per_host <= CORES
            and (fields["memory"] or 0) <= MEMORY and (fields.get("gpus") or 0) * per_host <= GPUS * per_host
            and fields.get("gpu_type") in (None, GPU_TYPE) and (fields.get("walltime") or 0) <= QUEUES[queue])
    if not fits:
        raise refuse("error: no suitable queues")
    return queue


def environment(store, record, host):
    number = str(record["number"])
    return {
        "ARC": "lx-amd64", "ENVIRONMENT": "BATCH", "HOME": record["home"], "HOSTNAME": host, "JOB_ID": number,
        "JOB_NAME": record["name"], "JOB_SCRIPT": str(store.script(record)), "LOGNAME": record["user"],
        "NHOSTS": str(record["nodes"]), "NQUEUES": str(record["nodes"]), "NSLOTS": str(record["slots"]),
        "PATH": "/tmp/1.1.main.q:/usr/local/bin:/bin:/usr/bin", "QUEUE": record["queue"], "REQUEST": record["name"],
        "RESTARTED": "0", "SGE_ARCH": "lx-amd64", "SGE_BINARY_PATH": f"{store.directory}/bin", "SGE_CELL": "default",
        "SGE_ROOT": str(store.directory), "SGE_TASK_ID": "undefined", "SHELL": "/bin/bash", "TMPDIR": "/tmp",
        "USER": record["user"], "SGE_STDOUT_PATH": record.get("output", "/dev/null"),
        **({"PE": record["pe"], "PE_HOSTFILE": f"{store.path(number)}/pe_hostfile"} if "pe" in record else {}),
    }


def launch(store, record):
    """A login shell with a copy of the script; in the home directory, as there is no -cwd."""
    store.path(record["number"], "pe_hostfile").write_text("".join(
        f"{host} {record['cores']} {record['queue']}@{host} UNDEFINED\n" for host in record["hosts"]))
    env = environment(store, record, record["hosts"][0])
    return {"argv": ["-bash", str(store.script(record))], "executable": record.get("shell", "/bin/sh"), "env": env,
            "cwd": record["home"], "stdout": record.get("output", os.devnull)}


def qrsh(store, arguments):
    """Joins its words into a line for a remote shell; output and status come back, the environment does not go.

    Told to end, it kills the task.
    """
    takes = {"-inherit": 0, "-nostdin": 0, "-V": 0, "-v": 1}
    pairs, words = long_options(arguments, takes, lambda word: Refusal(1, f"qrsh: Unknown option {word}\n"))
    need(("-inherit", []) in pairs, 1, "qrsh: this is the inside of a job\n")
    host, line = words[0], " ".join(words[1:])
    job = store.job(os.environ["JOB_ID"])
    need(host in job["hosts"], 1, f"error: executing task of job {job['number']} failed: failed sending task to "
         f"execd@{host}: can't resolve host name\n")
    env = {**environment(store, job, host), **(os.environ if ("-V", []) in pairs else {})}
    task = remote.Task(store, job["number"], host, ["/bin/bash", "-c", line], env, job["home"], None)
    told = []
    remote.on_end(lambda number: (told.append(number), task.signal(signal.SIGKILL)))
    code = remote.wait(task)[0]
    return 0 if told else code if code >= 0 else 128 - code, "", ""


def state(store, job):
    if override := job.get("code") or store.read("control").get("code"):
        return override
    return {"pending": WAITS.get(job["why"], "qw"), "suspended": "s", "ending": "dr"}.get(job["state"], "r")


def qstat(store, arguments):
    if "-F" in arguments:
        return sge_info.queues(store, arguments)
    there = store.jobs(ended=False)
    if "-g" not in arguments:
        store.expect(arguments, ["-u", arguments[1], "-xml"])
        there = [job for job in there if job["user"] == arguments[1]]
    else:
        store.expect(arguments, ["-u", "*", "-g", "t", "-xml"])
    # An entry for each slot; the first is the master's.
    running = [(host, job["number"], entry(store, job, host, master))
               for job in there for rank, host in enumerate(job["hosts"])
               for master in ["MASTER", *["SLAVE"] * job["cores"]][rank > 0:job["cores"] + (rank > 0)]]
    order = list(WAITS)
    waiting = sorted((job for job in there if not job["hosts"]), key=lambda job: order.index(job["why"] or "busy"))
    waiting = [entry(store, job, "", "") for job in waiting]
    return 0, ("<?xml version='1.0'?>\n" f'<job_info  xmlns:xsd="{SCHEMA}">\n  <queue_info>\n'
               + "".join(row[2] for row in sorted(running, key=lambda row: row[:2])) + "  </queue_info>\n  <job_info>\n"
               + "".join(waiting) + "  </job_info>\n</job_info>\n"), ""


def entry(store, job, host, master):
    """``<`` of a name comes out as ``%lt;``."""
    when, name = (job["started"], "JAT_start_time") if host else (job["submitted"], "JB_submission_time")
    values = [("JB_job_number", job["number"]), ("JAT_prio", "0.75000" if state(store, job) != "hqw" else "0.00000"),
              ("JB_name", escape(job["name"], quote=False).replace("&lt;", "%lt;")), ("JB_owner", job["user"]),
              ("state", state(store, job)), (name, time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(when))),
              ("queue_name", f"{job['queue']}@{host}" if host else ""), ("master", master),
              ("slots", 1 if host else job["slots"])]
    lines = "".join(f"      <{name}>{value}</{name}>\n" for name, value in values)
    return f'    <job_list state="{"running" if host else "pending"}">\n{lines}    </job_list>\n'


def qdel(store, arguments):
    """Speaks on standard output."""
    word, = arguments
    user, job = os.environ.get("USER", "root"), store.job(word)
    need(re.fullmatch(r"\d+(\.\d+)?", word), 1, "", f"The job {word} of user(s) {user} does not exist\n")
    need(job and job["state"] != "ended", 1, "", f'denied: job "{word.partition(".")[0]}" does not exist\n')
    need(job["user"] == user, 1, "", f'{user} - you do not have the necessary privileges to delete the job "{word}"\n')
    if job["state"] == "ending":
        return 0, f"job {word} is already in deletion\n", ""
    store.order(job["number"], "cancel")
    words = f"has registered the job {word} for deletion" if job["hosts"] else f"has deleted job {word}"
    return 0, f"{user} {words}\n", ""


PROGRAMS = {"qsub": ("submit", qsub), "qstat": ("status", qstat), "qdel": ("cancel", qdel), "qrsh": ("task", qrsh),
            "qconf": ("info", sge_info.qconf)}
EMPTY = (0, f"<?xml version='1.0'?>\n<job_info  xmlns:xsd=\"{SCHEMA}\">\n  <queue_info>\n  </queue_info>\n"
         "  <job_info>\n  </job_info>\n</job_info>\n", "")
REFUSED = {"submit": (1, "", f'{HEAD}job rejected: no access to project "bio" for user "alice"\nExiting.\n'),
           "cancel": (1, 'bob - you do not have the necessary privileges to delete the job "1"\n', "")}
REFUSES = "error: commlib error: got select error (Connection refused)\n"
UNSENT = 'unable to send message to qmaster using port 6444 on host "g1": got send error\n'
DOWN = {"submit": (1, "", f"{REFUSES}{HEAD}{UNSENT}Exiting.\n"), "status": (1, "", f"{REFUSES}error: {UNSENT}"),
        "cancel": (1, UNSENT, REFUSES), "info": (1, "", f"{REFUSES}error: {UNSENT}")}
