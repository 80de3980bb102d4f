"""``jupyterhub-hpc-spawner demo | render | check``: for newcomers and for administrators."""
import argparse
import asyncio
import json
import sys

from .errors import HPCSpawnerError


def main(argv=None):
    """Run one command; the exit status."""
    arguments = parse(argv)
    try:
        return arguments.run(arguments)
    except HPCSpawnerError as error:
        print(f"{arguments.command}: {error}", file=sys.stderr)
        return 1


def parse(argv):
    """The command line; ``run`` is the function that it asks for."""
    parser = argparse.ArgumentParser(prog="jupyterhub-hpc-spawner", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="a Hub on this machine, without a batch system")
    demo.add_argument("--port", type=int, default=8000, help="the Hub's port on loopback")
    demo.add_argument("--directory", default=".demo", help="where the demo keeps its database and its notebooks")
    demo.set_defaults(run=_demo)
    render = commands.add_parser("render", help="print the job script that these options give")
    render.add_argument("--config", required=True, help="the site's jupyterhub_config.py")
    render.add_argument("--user", required=True, help="whose session it would be")
    render.add_argument("--group", action="append", default=[], help="a group of the user's; may be repeated")
    render.add_argument("--options", default="{}", help="JSON of the option vocabulary", type=json.loads)
    render.set_defaults(run=_render)
    check = commands.add_parser("check", help="try the site as its sessions will use it, with a real tiny job")
    check.add_argument("--config", default="jupyterhub_config.py", help="the site's jupyterhub_config.py")
    check.add_argument("--user", help="an ordinary user, as whom jobs are submitted; without one nothing is")
    check.add_argument("--group", action="append", default=[], help="a group of the user's; may be repeated")
    check.add_argument("--environment", help="only this software environment; all of the site's, if left out")
    check.add_argument("--options", default={}, help="JSON of the option vocabulary, for the job", type=_object)
    check.add_argument("--timeout", type=float, default=300, help="seconds to wait for each job")
    check.add_argument("--json", action="store_true", help="the findings as one JSON list at the end")
    check.set_defaults(run=_check)
    return parser.parse_args(argv)


def _object(text):
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def _demo(arguments):
    from .demo import run_demo
    return run_demo(arguments.directory, arguments.port)


def _render(arguments):
    """Exactly what would be submitted, but for the session's random name; then the job script where that is a file."""
    from .hub.offline import make_spawner
    spawner = make_spawner(arguments.config, arguments.user, arguments.group)
    asyncio.run(_prepare(spawner))
    _, text, files = spawner.render(spawner.parse_options(arguments.options), spawner.new_session())
    print(text, end="")
    for name, content in files.items():
        print(f"\n# {name}\n{content}", end="")
    return 0


def _check(arguments):
    from .hub.check.run import run_check
    return run_check(arguments)


async def _prepare(spawner):
    await spawner.apply_group_overrides()
    from .hub.offering import look
    await look(spawner, patience=30)
    if spawner.cluster.system.info_commands() and spawner.discover and not spawner.offer.queues:
        print("render: the cluster's limits are not known, only the site's own are checked", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
