"""What every program of a toy system runs: ``program.py DIRECTORY SYSTEM PROGRAM [argument ...]``."""
import os
import signal
import sys
import time
from importlib import import_module

GARBAGE = "\x01<job}\n%PDF-1.4 \x1f\x1f \x1b[31mplease wait, the gateway is restarting\n"


def main(directory, system, program, *arguments):
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    from fakes.store import Refusal, Store
    store = Store(directory)
    module = import_module(f"fakes.{system}")
    kind, function = module.PROGRAMS[program]
    kind = getattr(module, "KINDS", {}).get((program, *arguments[:1]), kind)
    fault = store.read("faults").get(kind, "")
    store.log(program=program, kind=kind, argv=arguments, fault=fault)
    try:
        returncode, stdout, stderr = injected(module, kind, fault) or function(store, list(arguments))
        # It did its work, and nobody hears of it.
        if fault == "late":
            injected(module, kind, "hang")
        elif fault == "kill":
            os.kill(os.getppid(), signal.SIGKILL)
        elif fault == "cut":
            stdout, stderr = GARBAGE, ""
    except Refusal as refusal:
        returncode, stdout, stderr = refusal.answer
    sys.stdout.write(stdout)
    sys.stderr.write(stderr)
    return returncode


def injected(module, kind, fault):
    """The answer of a system in trouble; None where it only takes its time."""
    word, _, number = fault.partition(" ")
    if word == "hang":
        while True:
            signal.pause()
    if word == "slow":
        time.sleep(float(number))
    elif word in ("late", "kill", "cut"):
        return None
    elif word == "later" and os.fork():
        while True:  # the work is done when nobody waits for it any more
            signal.pause()
    elif word == "later":
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDWR), 1)
        os.dup2(1, 2)
        time.sleep(float(number))
        return None
    elif word == "garbage":
        return 0, GARBAGE, ""
    elif word == "hide":
        # From the Hub's own account, which asks without a home directory; a job's owner has one.
        return None if "HOME" in os.environ else module.EMPTY
    elif word == "empty":
        return module.EMPTY
    elif word == "ignore":  # it says that it will, and does not
        return 0, "", ""
    elif word:  # "refuse account": for that reason
        return {"down": module.DOWN, "refuse": module.REFUSED}[word][f"{kind} {number}".strip()]
    return None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
