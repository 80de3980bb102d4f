"""From the command line to the findings: the configuration is loaded, then everything else is tried."""
import asyncio
import difflib
import logging
import os
import signal

from ..offline import know_hub, make_spawner
from ..spawner import HPCSpawner
from .findings import Findings
from .helper import account_name
from .site import SiteCheck


def run_check(arguments):
    """All checks; the exit status. ``arguments`` are those of the command line, see ``cli.py``."""
    findings = Findings(arguments.json)
    logging.disable()  # what the Hub would log is among the findings
    try:
        asyncio.run(_until_signal(check(arguments, findings)))
    except (KeyboardInterrupt, asyncio.CancelledError):
        findings.fail("check", "broken off", "what it had started is cancelled and removed")
    return findings.finish()


async def _until_signal(checks):
    """The same end for Control-C and for SIGTERM, in every Python: what was started is cleaned up first."""
    task = asyncio.ensure_future(checks)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    await task


async def check(arguments, findings):
    spawner = load(arguments, findings)
    if spawner is not None:
        await SiteCheck(spawner, arguments, findings).run()


def load(arguments, findings):
    """The spawner that the configuration makes, or None."""
    name, file = "configuration", arguments.config
    if not os.path.isfile(file):
        return findings.fail(name, f"{file} is not there", "name the Hub's file with --config")
    try:
        spawner = make_spawner(file, arguments.user or account_name(os.geteuid()), arguments.group)
        spawner.status_interval = min(spawner.status_interval, 2)
        spawner.cluster, spawner.policy
        know_hub(spawner)
    except SystemExit as end:  # traitlets' way to say that a value is wrong
        return findings.fail(name, end.__context__ or end, f"correct {file}")
    except Exception as error:  # a configuration is a program: whatever it raises
        return findings.fail(name, f"{type(error).__name__}: {error}", f"correct {file}")
    if not issubclass(spawner.parent.spawner_class, HPCSpawner):
        findings.fail(name, f"the Hub runs {spawner.parent.spawner_class.__name__}",
                      'set c.JupyterHub.spawner_class = "hpc"')
    for problem, advice in unknown_settings(spawner):
        findings.fail(name, problem, advice)
    if not findings.failed:
        findings.ok(name, f"{file} for {spawner.batch_system}")
    return spawner


def unknown_settings(spawner):
    """(what, advice) of each setting of JupyterHub's or the spawner's that nothing reads."""
    for owner in (spawner.parent, spawner):
        known = owner.traits(config=True)
        for kind in type(owner).__mro__:
            for name in owner.config.get(kind.__name__, {}):
                if name not in known and not name[:1].isupper():
                    close = difflib.get_close_matches(name, known, 1)
                    yield (f"c.{kind.__name__}.{name} is not a setting",
                           f"did you mean {close[0]}?" if close else "take it out; docs/configure.md has them all")
