"""What the toy OpenPBS prints: qstat and pbsnodes, as JSON with the habits of 23.06."""
import re
import time

from .store import CORES, GPU_TYPE, GPUS, NODES
from .words import write_clock

SERVER = "pbshub"
# name: longest and usual walltime; R7 is the queue of a reservation
QUEUES = {"normal": (86400, 3600), "low": (86400, 3600), "short": (600, 600), "debug": (600, 600), "R7": (86400, 3600)}
CLOSED = ("debug",)
HEADER = (
    " " * 114 + "Est",
    " " * 99 + "Req'd  Req'd   Start",
    "Job ID                         Username        Queue           Jobname         SessID   NDS  TSK   Memory Time  "
    "S Time",
    " ".join("-" * width for width in (30, 15, 15, 15, 8, 4, 5, 6, 5, 1, 5)),
)
# Why a job waits: state, comment
WAITS = {
    "busy": ("Q", "Not Running: Not enough free nodes available"), "held": ("H", ""), "later": ("W", ""),
    "never": ("Q", "Can Never Run: Insufficient amount of resource: ncpus (R: 32 A: 8 T: 8)"),
}


def qstat(store, arguments):
    if arguments == ["-Q", "-f", "-F", "json"]:
        return 0, answer({"Queue": {name: queue(store, name) for name in QUEUES}}), ""
    if arguments == ["-B", "-f", "-F", "json"]:
        return 0, answer({"Server": {SERVER: server(store)}}), ""
    store.expect(arguments, ["-T", "-w", "-n", "-1", "-s"])
    return 0, table(store), ""


def table(store):
    """Nothing at all where there are no jobs. A job's second line is its comment."""
    jobs = store.jobs(ended=False)
    lines = ["", f"{SERVER}: ", *HEADER] if jobs else []
    for job in jobs:
        code, comment = _code(store, job)
        hosts = _hosts(job)["exec_host"] if job["hosts"] else " -- "
        start = time.strftime("%H:%M", time.localtime(job["estimate"])) if job.get("estimate") else "   --"
        name = job["name"] if len(job["name"]) < 16 else job["name"][:14] + "*"
        memory = f"{job['memory'] * job['nodes'] // 1024 ** 3}gb" if job["memory"] else "-- "
        session = job["mom"] if job["hosts"] else "-- "
        full, limit = f"{job['number']}.{SERVER}", write_clock(job["walltime"] or 3600)[:5]
        lines += [f"{full:<30} {job['user']:<15} {job['queue']:<15} {name:<15} {session:>8} {job['nodes']:>4} "
                  f"{job['nodes'] * job['cores']:>5} {memory:>6} {limit} {code} {start} {hosts}",
                  f"   {comment}" if comment else "    -- "]
    return "".join(f"{line}\n" for line in lines)


def answer(entries):
    return write({"timestamp": int(time.time()), "pbs_version": "23.06.06", "pbs_server": SERVER, **entries}, "") + "\n"


def write(value, indent):
    """JSON as qstat prints it: a value that looks like a number is none between quotes."""
    if isinstance(value, dict):
        lines = [f'{indent}    "{key}":{write(item, indent + "    ")}' for key, item in value.items()]
        return "{\n" + ",\n".join(lines) + ("\n" if lines else "") + indent + "}"
    if re.fullmatch(r"-?\d+(\.\d+)?(e\d+)?", str(value)):
        return str(value)
    return '"%s"' % str(value).replace("\\", "\\\\").replace('"', '\\"')


def date(seconds):
    return time.strftime("%a %b %d %H:%M:%S %Y", time.localtime(seconds))


def _code(store, job):
    code, comment = WAITS.get(job["why"], ("Q", "")) if job["state"] == "pending" else ("R", "")
    if job["hosts"]:
        comment = f"Job run at {time.strftime('%a %b %d at %H:%M', time.localtime(job['started']))} on {_vnodes(job)}"
    code = "S" if job["state"] == "suspended" else code
    return store.read("control").get("code") or code, job.get("comment", comment)


def _vnodes(job):
    return "+".join(f"({host}:ncpus={job['cores']})" for host in job["hosts"])


def _hosts(job):
    cores = f"*{job['cores']}" if job["cores"] > 1 else ""
    return {"exec_host": "+".join(f"{host}/0{cores}" for host in job["hosts"]), "exec_vnode": _vnodes(job)}


def queue(store, name):
    most, usual = QUEUES[name]
    return {
        "queue_type": "Execution", "total_jobs": len(store.jobs(ended=False)),
        "state_count": "Transit:0 Queued:0 Held:0 Waiting:0 Running:0 Exiting:0 Begun:0 ",
        "resources_max": {"walltime": write_clock(most)}, "resources_default": {"walltime": write_clock(usual)},
        "enabled": "False" if name in CLOSED else "True", "started": "True",
    }


def server(store):
    return {"server_state": "Active", "server_host": SERVER, "scheduling": "True",
            "total_jobs": len(store.jobs(ended=False)), "default_queue": "normal", "log_events": 511,
            "mail_from": "adm", "query_other_jobs": "True", "scheduler_iteration": 600, "flatuid": "True",
            "resv_enable": "True", "pbs_version": "23.06.06"}


def pbs_rstat(store, arguments):
    store.expect(arguments, ["-F"])
    day = time.time()
    lines = [f"Resv ID: R7.{SERVER}", "Reserve_Name = my_resv", f"Reserve_Owner = alice@{SERVER}",
             "reserve_state = RESV_RUNNING", "reserve_substate = 5", f"reserve_start = {date(day)}",
             f"reserve_end = {date(day + 3600)}", "reserve_duration = 3600", "queue = R7", "Resource_List.ncpus = 1",
             "Resource_List.nodect = 1", "Resource_List.select = 1:ncpus=1", "Resource_List.place = free",
             "Resource_List.walltime = 01:00:00", "resv_nodes = (toy1:ncpus=1)", f"server = {SERVER}",
             f"ctime = {date(day)}", f"mtime = {date(day)}", f"Variable_List = PBS_O_LOGNAME=alice,PBS_O_HOST={SERVER}",
             "reserve_count = 1", "partition = pbs-default", ""]
    return 0, "".join(f"{line}\n" for line in lines), ""


def pbsnodes(store, arguments):
    store.expect(arguments, ["-a", "-F", "json"])
    return 0, answer({"nodes": {name: {
        "Mom": name, "ntype": "PBS", "state": "free", "pcpus": CORES,
        "resources_available": {"arch": "linux", "gpu_type": GPU_TYPE, "himem": "True", "host": name, "mem": "64gb",
                                "ncpus": CORES, "ngpus": GPUS, "vnode": name},
        "resources_assigned": {}, "resv_enable": "True", "sharing": "default_shared", "license": "l",
        "last_state_change_time": int(time.time())} for name in NODES}}), ""
