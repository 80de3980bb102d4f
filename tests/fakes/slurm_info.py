"""What the toy Slurm tells of itself: sinfo, scontrol show, sacctmgr show."""
import os
import pwd
import re
import time

from .store import CORES, GPU_TYPE, GPUS, MEMORY, NODES

ACCOUNTS = {"bio": "normal", "geo": "normal,high"}
# name: longest and usual walltime in the words of sinfo and scontrol, up
PARTITIONS = {"normal": ("1-00:00:00", "00:30:00", "up"), "debug": ("30:00", "NONE", "up"),
              "low": ("1-00:00:00", "NONE", "up")}
SINFO = ("%R", "%a", "%l", "%D", "%T", "%c", "%m", "%f", "%G", "%C")


def host_list(hosts):
    """``toy[1-2]``."""
    return hosts[0][:-1] + f"[{hosts[0][-1]}-{hosts[-1][-1]}]" if len(hosts) > 1 else "".join(hosts)


def left(seconds):
    """squeue's time: ``9:54``, ``1:00:00``, ``1-00:00:00``."""
    days, rest = divmod(max(0, round(seconds)), 86400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    if days:
        return f"{days}-{hours:02}:{minutes:02}:{rest:02}"
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def sinfo(store, arguments):
    """A line for each partition and kind of node: the last two have the memory and the GPUs."""
    separator = "\x1f"
    store.expect(arguments, ["-h", "-a", "-o", separator.join(SINFO)])
    memory, gres = str(MEMORY // 1024 ** 2), f"gpu:{GPU_TYPE}:{GPUS}"
    lines = []
    for name, (limit, _, up) in PARTITIONS.items():
        if name in store.read("control").get("gone", ()):
            continue
        kinds = [(len(NODES) - 2, "mc", "(null)"), (2, "mc,himem", gres)]
        kinds = [(1, "mc", "(null)")] if name == "debug" else kinds
        lines += [(name, up, limit, str(count), "idle", str(CORES), memory, features, gpus,
                   f"0/{count * CORES}/0/{count * CORES}") for count, features, gpus in kinds]
    return 0, "".join(f"{separator.join(line)}\n" for line in lines), ""


def sacctmgr(store, arguments):
    store.expect(arguments, ["-n", "-P", "show", "assoc", "format=User,Account,Partition,QOS"])
    lines = ["|root||normal", "root|root||normal"]
    for account, qos in ACCOUNTS.items():
        users = sorted({"alice", os.environ.get("USER", "root"), pwd.getpwuid(os.getuid()).pw_name})
        lines += [f"|{account}||normal", *(f"{user}|{account}||{qos}" for user in users)]
    return 0, "".join(f"{line}\n" for line in lines), ""


def sshare(store, arguments):
    store.expect(arguments, ["-a", "-P", "-n", "--format=Account,User,Partition,GrpTRESMins,GrpTRESRaw"])
    me = pwd.getpwuid(os.getuid()).pw_name
    lines = ["root||||cpu=6000,mem=0"]
    for account in ACCOUNTS:
        limit, used = ("cpu=72000", "cpu=6000,mem=0") if account == "geo" else ("", "cpu=0,mem=0")
        lines += [f" {account}|||{limit}|{used}", f"  {account}|{me}|||{used}"]
    return 0, "".join(f"{line}\n" for line in lines), ""


def scontrol(store, arguments):
    if arguments[:2] == ["show", "hostnames"]:
        found = re.fullmatch(r"(\w+)\[(\d)-(\d)\]", arguments[2])
        names = [f"{found[1]}{n}" for n in range(int(found[2]), int(found[3]) + 1)] if found else [arguments[2]]
        return 0, "".join(f"{name}\n" for name in names), ""
    if arguments == ["show", "reservation", "-o"]:
        return 0, reservation("R7"), ""
    store.expect(arguments, ["show", "partition", "-o"])
    return 0, "".join(partition(name) for name in PARTITIONS), ""


def partition(name):
    limit, usual, up = PARTITIONS[name]
    limit = f"00:{limit}" if limit.count(":") == 1 else limit
    nodes, tier = (NODES[:1], 20) if name == "debug" else (NODES, 10 if name == "normal" else 1)
    cores, memory = len(nodes) * CORES, len(nodes) * MEMORY // 1024 ** 2
    gpus = f",gres/gpu={GPUS}" if name != "debug" else ""
    tres = f"cpu={cores},mem={memory}M,node={len(nodes)},billing={cores}{gpus}"
    return (f"PartitionName={name} AllowGroups=ALL AllowAccounts=ALL AllowQos=ALL AllocNodes=ALL "
            f"Default={'YES' if name == 'normal' else 'NO'} QoS=N/A DefaultTime={usual} DisableRootJobs=NO "
            "ExclusiveUser=NO GraceTime=0 Hidden=NO MaxNodes=UNLIMITED "
            f"MaxTime={limit} MinNodes=0 LLN=NO MaxCPUsPerNode=UNLIMITED Nodes={host_list(nodes)} PriorityJobFactor=1 "
            f"PriorityTier={tier} RootOnly=NO ReqResv=NO OverSubscribe=NO OverTimeLimit=NONE PreemptMode=REQUEUE "
            f"State={up.upper()} TotalCPUs={cores} TotalNodes={len(nodes)} SelectTypeParameters=NONE "
            f"JobDefaults=(null) DefMemPerNode=UNLIMITED MaxMemPerNode=UNLIMITED TRES={tres}\n")


def reservation(name):
    begin, end = (time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + hours * 3600)) for hours in (-1, 12))
    return (f"ReservationName={name} StartTime={begin} EndTime={end} Duration=13:00:00 "
            f"Nodes={NODES[-1]} NodeCnt=1 CoreCnt={CORES} Features=(null) PartitionName=(null) Flags=SPEC_NODES "
            f"TRES=cpu={CORES} Users=(null) Groups=(null) Accounts=bio,geo Licenses=(null) State=ACTIVE "
            "BurstBuffer=(null) Watts=n/a MaxStartDelay=(null)\n")
