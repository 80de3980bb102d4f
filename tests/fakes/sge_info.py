"""What the toy Grid Engine tells of itself: ``qstat -F``, a line for each queue on each host."""
from .store import CORES, MEMORY, NODES

SCHEMA = "http://arc.liv.ac.uk/repos/darcs/sge/source/dist/util/resources/schemas/qstat/qstat.xsd"
# name: longest walltime in seconds
QUEUES = {"normal.q": 86400, "low.q": 86400, "short.q": 600}


def queues(store, arguments):
    """Only what was asked for, in this order."""
    asked = arguments[arguments.index("-F") + 1]
    store.expect(arguments, ["-F", asked, "-u", "*", "-xml"], ["-f", "-xml", "-F", asked])
    text = "".join(entry(name, host, limit, asked) for name, limit in QUEUES.items() for host in NODES)
    return 0, (f"<?xml version='1.0'?>\n<job_info  xmlns:xsd=\"{SCHEMA}\">\n  <queue_info>\n{text}  </queue_info>\n"
               "  <job_info>\n  </job_info>\n</job_info>\n"), ""


def entry(name, host, limit, asked):
    there = {"num_proc": ("hf", CORES), "mem_total": ("hf", f"{MEMORY / 1024 ** 3:.3f}G"), "gpu": ("hc", 2),
             "h_rt": ("qf", f"{limit // 3600:02}:{limit // 60 % 60:02}:00")}
    values = [("name", f"{name}@{host}"), ("qtype", "BIP"), ("slots_used", 0), ("slots_resv", 0),
              ("slots_total", CORES), ("load_avg", "0.10000"), ("arch", "lx-amd64")]
    lines = [f"      <{tag}>{value}</{tag}>\n" for tag, value in values]
    lines += [f'      <resource name="{key}" type="{kind}">{value}</resource>\n'
              for key, (kind, value) in there.items() if key in asked.split(",")]
    return f"    <Queue-List>\n{''.join(lines)}    </Queue-List>\n"


def qconf(store, arguments):
    store.expect(arguments, ["-sq", "*"])
    return 0, "\n".join(f"qname                 {name}\nuser_lists            NONE\nxuser_lists           NONE\n"
                        for name in QUEUES), ""
