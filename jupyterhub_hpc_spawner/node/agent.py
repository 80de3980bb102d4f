"""On another node of the job: run one command for the session's launcher, for as long as that lives.

See ``everywhere.py``. Whatever started this process may have given it no environment, no directory and no output.
"""
import asyncio
import json
import os

from .lifeline import notice_its_death
from .processes import Child, ending_event, first_of
from .report import say

# What each node knows of itself; the launcher's would be wrong here.
OWN = ("HOSTNAME", "TMPDIR", "TMP", "TEMP", "CUDA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", "ROCR_VISIBLE_DEVICES",
       "XDG_RUNTIME_DIR", "PBS_NODENUM", "PBS_TASKNUM", "PBS_MOMPORT")


def run_agent(path):
    with open(path) as orders:
        plan = json.load(orders)
    log = "%s-%s" % (plan["log"], os.uname().nodename.split(".")[0])
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    env = {name: value for name, value in plan["env"].items() if name not in OWN}
    env.update((name, os.environ[name]) for name in OWN if name in os.environ)
    try:
        os.chdir(plan["cwd"])
    except OSError as error:
        say("%s: %s; starting in %s" % (plan["cwd"], error.strerror, os.getcwd()))
    return asyncio.run(_live(plan, env))


async def _live(plan, env):
    """The command's status; 0 where the launcher ended it. Never the end by a signal: that can end a whole job."""
    ending = ending_event(asyncio.get_running_loop())
    try:
        reader, writer = await asyncio.open_connection(*plan["lifeline"])
    except OSError as error:
        say("the session's first node cannot be reached: %s" % error)
        return 1
    notice_its_death(writer.get_extra_info("socket"))
    writer.write(plan["key"].encode() + b"\n")
    child = await Child.start(plan["name"], plan["argv"], env)
    await first_of(child.wait(), reader.read(1), ending.wait())
    code = child.returncode
    await child.end(plan["grace"])
    writer.close()
    if code is None:
        return 0
    return code if code >= 0 else 128 - code
