"""What the toy LSF tells of itself: ``bqueues -l``, ``bhosts -w``, ``lshosts -w``."""
from .store import CORES, MEMORY, NODES

# name: longest walltime in seconds
QUEUES = {"normal": 86400, "low": 86400, "short": 600}
RESOURCES = ("mg", "himem")
QUEUE = """
QUEUE: {name}
  -- A queue of the toy.{default}

PARAMETERS/STATISTICS
PRIO NICE STATUS          MAX JL/U JL/P JL/H NJOBS  PEND   RUN SSUSP USUSP  RSV
 30   20  Open:Active       -    -    -    -     0     0     0     0     0    0
Interval for a host to accept two jobs is 0 seconds

 DEFAULT LIMITS:
 RUNLIMIT
 {usual} min of toy1

 MAXIMUM LIMITS:
 RUNLIMIT
 {most} min of toy1

SCHEDULING PARAMETERS
           r15s   r1m  r15m   ut      pg    io   ls    it    tmp    swp    mem
 loadSched   -     -     -     -       -     -    -     -     -      -      -
 loadStop    -     -     -     -       -     -    -     -     -      -      -

USERS: all
HOSTS:  all

"""


def bqueues(store, arguments):
    store.expect(arguments, ["-l"])
    default = "  This is the default queue."
    return 0, "".join(
        QUEUE.format(name=name, default=default if name == "normal" else "", usual=f"{min(60, most / 60):.1f}",
                     most=f"{most / 60:.1f}") for name, most in QUEUES.items()), ""


def bhosts(store, arguments):
    store.expect(arguments, ["-w"])
    lines = ["HOST_NAME          STATUS          JL/U    MAX  NJOBS    RUN  SSUSP  USUSP    RSV"]
    lines += [f"{name:<18} {'ok':<15} -  {CORES:>5}      0      0      0      0      0" for name in NODES]
    return 0, "".join(f"{line}\n" for line in lines), ""


def lshosts(store, arguments):
    store.expect(arguments, ["-w"])
    lines = ["HOST_NAME      type    model  cpuf ncpus maxmem maxswp server RESOURCES"]
    lines += [f"{name:<12} X86_64 Intel_EM  60.0 {CORES:>5} {MEMORY // 1024 ** 3:>5}G      -    Yes (mg himem)"
              for name in NODES]
    return 0, "".join(f"{line}\n" for line in lines), ""
