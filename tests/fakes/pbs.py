"""OpenPBS 23.06: texts of tests/captured/openpbs-23.06.06, behaviour measured on a real server."""
import os
import re
import signal
import sys

from . import remote
from .pbs_show import CLOSED, QUEUES, SERVER, pbs_rstat, pbsnodes, qstat
from .store import CORES, NODES, Refusal
from .words import clock, directives, need, short_options, size

SCOPE = "session"
# On a login, as /etc/profile.d of a site; pbs.conf then leads to the programs.
PROFILE = "export PBS_CONF_FILE={toy}/pbs.conf"
FILES = {"pbs.conf": "PBS_EXEC={toy}\nPBS_SERVER=pbsserver\n"}
TASK_SIGNAL_ENDS_JOB = False
CHUNK = ("ncpus", "mem", "ngpus", "gpu_type", "mpiprocs", "ompthreads", "host", "vnode", "himem")
RESOURCES = ("select", "place", "walltime", "nodect", "ncpus", "mem")
USAGE = (
    "usage: qsub [-a date_time] [-A account_string] [-c interval]\n"
    "\t[-C directive_prefix] [-e path] [-f ] [-h ] [-I [-X]] [-j oe|eo] [-J X-Y[:Z]]\n"
    "\t[-k keep] [-l resource_list] [-m mail_options] [-M user_list]\n"
    "\t[-N jobname] [-o path] [-p priority] [-P project] [-q queue] [-r y|n]\n"
    "\t[-R o|e|oe] [-S path] [-u user_list] [-W otherattributes=value...]\n"
    "\t[-v variable_list] [-V ] [-z] [script | -- command [arg1 ...]]\n"
    "       qsub --version\n"
)
REFUSED = {"submit": (188, "", "qsub: Job violates queue and/or server resource limits\n"),
           "cancel": (159, "", f"qdel: Unauthorized Request  1.{SERVER}\n")}


def signals(record, cause):
    return [(0, signal.SIGTERM), (10, signal.SIGKILL)]


def qsub(store, arguments):
    script = sys.stdin.read()
    takes = {**dict.fromkeys("aACejJklmMNoPpqrRSuWv", True), **dict.fromkeys("fhVz", False)}

    def unknown(words):
        return Refusal(2, f"qsub: {words}\n{USAGE}")

    pairs, rest = short_options([*directives(script, "#PBS"), *arguments], takes, unknown)
    need(not rest, 1, "qsub: script file:: No such file or directory\n")
    fields = {"options": pairs, "name": "STDIN"}
    for letter, value in pairs:
        read_option(fields, letter, value)
    queue = fields.setdefault("queue", "normal")
    need(queue in QUEUES, 170, "qsub: Unknown queue\n")
    need(queue not in CLOSED, 173, "qsub: Queue is not enabled\n")
    need(fields.setdefault("walltime", QUEUES[queue][1]) <= QUEUES[queue][0], 188, REFUSED["submit"][2])
    if fields.get("nodes", 1) > len(NODES) or fields.get("cores", 1) > CORES:
        fields["never"] = "never"
    record = store.add(script, **fields)
    store.start(record, sys.modules[__name__])
    return 0, f"{record['number']}.{SERVER}\n", ""


def read_option(fields, letter, value):
    if letter == "N":
        need(re.fullmatch(r"\S{1,230}", value), 2, f"qsub: illegal -N value\n{USAGE}")
    if letter == "l":
        read_resource(fields, *value.partition("=")[::2])
    elif letter == "h":
        fields["never"] = "held"
    elif letter in "NqASo":
        fields[{"N": "name", "q": "queue", "A": "account", "S": "shell", "o": "output"}[letter]] = value


def read_resource(fields, key, value):
    need(key in RESOURCES, 187, f"qsub: Unknown resource Resource_List.{key}\n")
    if key == "walltime":
        try:
            fields["walltime"] = clock(value)
        except ValueError:
            raise Refusal(166, "qsub: Illegal attribute or resource value Resource_List.walltime\n") from None
    elif key == "place":
        need(value in ("free", "pack", "scatter", "vscatter"), 168, "qsub: Illegal attribute or resource value\n")
        fields["place"] = value
    elif key == "select":
        count, *chunk = value.split(":")
        fields.update(nodes=int(count), select=value)
        for name, given in (word.partition("=")[::2] for word in chunk):
            need(name in CHUNK, 187, f"qsub: Unknown resource: {name}\n")
            try:
                fields.update(read_chunk(name, given))
            except ValueError:
                raise Refusal(166, f"qsub: Illegal attribute or resource value select.{name}\n") from None


def read_chunk(name, given):
    """What one word of a chunk means: ``mem=4gb``."""
    if name == "himem":
        return {"constraint": f"{name}={given}"}
    if name == "mem":
        return {"memory": size(given)}
    return {{"ncpus": "cores", "ngpus": "gpus"}.get(name, name): given if name == "gpu_type" else int(given)}


def environment(store, record, first):
    """What a mom gives: of the submitter's environment nothing."""
    job = f"{record['number']}.{SERVER}"
    return {
        "ENVIRONMENT": "BATCH", "HOME": record["home"], "NCPUS": str(record["cores"]),
        "OMP_NUM_THREADS": str(record["cores"]), "PBS_ENVIRONMENT": "PBS_BATCH", "PBS_JOBCOOKIE": "7BD0E7F37E123DD3",
        "PBS_JOBDIR": record["home"], "PBS_JOBID": job, "PBS_JOBNAME": record["name"], "PBS_MOMPORT": "15003",
        "PBS_NODEFILE": str(store.path(record["number"], "nodefile")), "PBS_NODENUM": "0" if first else "1",
        "PBS_O_HOME": record["home"], "PBS_O_HOST": SERVER, "PBS_O_LOGNAME": record["user"], "PBS_O_SHELL": "/bin/bash",
        "PBS_O_QUEUE": record["queue"], "PBS_O_SYSTEM": "Linux", "PBS_O_WORKDIR": "/", "PBS_QUEUE": record["queue"],
        "PBS_TASKNUM": "1", "TMPDIR": "/var/tmp",
    }


def launch(store, record):
    """A login shell reads the script's path from a pipe."""
    store.path(record["number"], "nodefile").write_text("".join(f"{host}\n" for host in record["hosts"]))
    env = {**environment(store, record, True), "LOGNAME": record["user"], "USER": record["user"], "SHELL": "/bin/bash",
           "PATH": "/usr/local/bin:/usr/bin:/bin", "PBS_CONF_FILE": str(store.directory / "pbs.conf")}
    return {"argv": ["-bash"], "executable": record.get("shell", "/bin/sh"), "env": env, "cwd": record["home"],
            "stdin": f"{store.script(record)}\n", "stdout": record.get("output", os.devnull)}


def pbs_tmrsh(store, arguments):
    """No environment, no input, no output, and no word from this program to the task once it runs."""
    host, *argv = arguments
    job = store.job(os.environ["PBS_JOBID"].partition(".")[0])
    need(host in job["hosts"], 255, f'pbs_tmrsh: host "{host}" is not a node in job <{job["number"]}.{SERVER}>\n')
    env = {**environment(store, job, host == job["hosts"][0]), "PATH": "/bin:/usr/bin", "PBS_TASKNUM": "20000005"}
    if host == job["hosts"][0]:
        env["PBS_NODEFILE"] = ""
    return abs(remote.wait(remote.Task(store, job["number"], host, argv, env, job["home"]))[0]), "", ""


def qdel(store, arguments):
    """The last trouble is the status."""
    answer = (0, "", "")
    for word in arguments:
        need(re.fullmatch(rf"\d+(\.{SERVER})?", word), 1, f"qdel: illegally formed job identifier: {word}\n")
        job = store.job(word.partition(".")[0])
        if job is None:
            answer = (153, "", f"{answer[2]}qdel: Unknown Job Id {word}\n")
        elif job["state"] == "ended":
            answer = (35, "", f"{answer[2]}qdel: Job has finished {word}\n")
        elif job["user"] != os.environ.get("USER", job["user"]):
            answer = (159, "", f"{answer[2]}qdel: Unauthorized Request  {word}\n")
        else:
            store.order(job["number"], "cancel")
    return answer


def qselect(store, arguments):
    store.expect(arguments[::2], ["-N", "-u"])
    return 0, "".join(f"{job['number']}.{SERVER}\n" for job in store.named(arguments[1], arguments[3])), ""


PROGRAMS = {"qsub": ("submit", qsub), "qstat": ("status", qstat), "qselect": ("find", qselect),
            "qdel": ("cancel", qdel),
            "pbsnodes": ("info", pbsnodes), "pbs_rstat": ("info", pbs_rstat), "pbs_tmrsh": ("task", pbs_tmrsh)}
EMPTY = (0, "", "")
DOWN = {
    "submit": (162, "", f"Connection refused\nqsub: cannot connect to server {SERVER} (errno=15010)\n"),
    "cancel": (162, "", f"Connection refused\nCouldn't connect to cluster: {SERVER}\n"),
    "status": (255, "", f"Connection refused\nqstat: cannot connect to server {SERVER} (errno=15010)\n"),
    "info": (1, "", f"Connection refused\npbsnodes: cannot connect to server {SERVER}, error=15010\n"),
}
