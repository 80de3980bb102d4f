"""Hostile requests by every road, and what became of them: any exception, any word in a job that was not asked for, any
500 ends the run with what was sent. Goals: 100,000 requests to the functions, some thousand over HTTP, none of them."""
import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from support import hostile  # noqa: E402
from support.hostile_hub import HostileHub  # noqa: E402
from support.running_hub import ENVIRONMENTS  # noqa: E402

from jupyterhub_hpc_spawner import form  # noqa: E402
from jupyterhub_hpc_spawner.errors import OptionErrors  # noqa: E402


def functions(directory, generator, count):
    """Outcomes by road, on all batch systems in turn."""
    sites = [hostile.site(directory, system) for system in hostile.SYSTEMS]
    for number in range(count):
        site, road = sites[number % len(sites)], generator.choice(("REST body", "REST body", "form or link"))
        raw = hostile.request(generator) if road == "REST body" else form.read(hostile.form_data(generator))
        try:
            options = site.parse_options(raw)
        except OptionErrors:
            yield f"the functions, as a {road}", "refused, field by field"
            continue
        if strays := hostile.strays(site, options):
            raise AssertionError(f"{site.batch_system}: {raw!r} has more than was asked for: {strays}")
        yield f"the functions, as a {road}", "as asked, on " + site.batch_system


def over_http(directory, generator, count):
    hub = HostileHub(directory, ENVIRONMENTS[0]).start()
    try:
        hub.add_user(hub.user).log_in()
        roads = (("POST …/server", hub.try_rest, hostile.request), ("POST /hub/spawn", hub.try_form, hostile.form_data),
                 ("GET /hub/spawn?opt-…", hub.try_link, hostile.form_data))
        for _ in range(count):
            road, send, make = generator.choice(roads)
            yield road, send(make(generator))
    finally:
        hub.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--functions", type=int, default=100_000)
    parser.add_argument("--http", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    generator, begin = random.Random(arguments.seed), time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        counts = Counter(functions(Path(directory), generator, arguments.functions))
        if ENVIRONMENTS:
            counts += Counter(over_http(Path(directory), generator, arguments.http))
    print("| road | outcome | requests |\n|---|---|---:|")
    for (road, outcome), count in sorted(counts.items()):
        print(f"| {road} | {outcome} | {count} |")
    print(f"\n{sum(counts.values())} requests in {time.monotonic() - begin:.0f} s, seed {arguments.seed}: no "
          "exception, no 500, nothing in a job that was not asked for.")


if __name__ == "__main__":
    main()
