"""What the toy Torque tells of itself: ``qstat -Q -f``, ``qstat -B -f``, ``pbsnodes -x``."""
from .store import CORES, GPU_TYPE, GPUS, MEMORY, NODES
from .words import write_clock

# name: longest walltime, usual walltime, enabled
QUEUES = {"normal": (86400, 3600, True), "low": (86400, 3600, True), "closed": (600, 600, False)}
PROPERTIES = ("himem", GPU_TYPE)


def xml(tag, value):
    """Nested elements of nested dicts, without blanks."""
    inner = "".join(xml(*item) for item in value.items()) if isinstance(value, dict) else str(value)
    return f"<{tag}>{inner}</{tag}>"


def queues(store):
    return "".join(
        f"Queue: {name}\n    queue_type = Execution\n    total_jobs = {len(store.jobs(ended=False))}\n"
        "    state_count = "
        "Transit:0 Queued:0 Held:0 Waiting:0 Running:0 Exiting:0 Comp\n\tlete:0 \n"
        f"    resources_max.walltime = {write_clock(most)}\n    resources_default.nodes = 1\n"
        f"    resources_default.walltime = {write_clock(usual)}\n    mtime = 1795252919\n    enabled = {enabled}\n"
        "    started = True\n\n" for name, (most, usual, enabled) in QUEUES.items())


def server(name):
    return (f"Server: {name}\n    server_state = Active\n    scheduling = True\n    total_jobs = 0\n    state_count = "
            "Transit:0 Queued:0 Held:0 Waiting:0 Running:0 Exiting:0 Comp\n\tlete:0 \n    default_queue = normal\n"
            "    log_events = 511\n    mail_from = adm\n    query_other_jobs = True\n    pbs_version = 6.1.3\n\n")


def pbsnodes(store, arguments):
    store.expect(arguments, ["-x"])
    nodes = "".join(xml("Node", {
        "name": name, "state": "free", "power_state": "Running", "np": CORES, "properties": ",".join(PROPERTIES),
        "ntype": "cluster", "status": f"opsys=linux,physmem={MEMORY // 1024}kb,ncpus={CORES},state=free",
        "mom_service_port": 15002, "mom_manager_port": 15003, "gpus": GPUS}) for name in NODES)
    return 0, f"<Data>{nodes}</Data>\n", ""
