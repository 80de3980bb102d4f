"""How long the spawn form and the check of what is typed take, and how large the form is, for a large cluster: 200
queues, 50 node types, 500 accounts. Goals: 99 of 100 in at most 50 ms, at most 300 kB."""
import asyncio
import json
import logging
import statistics
import sys
import time
from pathlib import Path
from types import SimpleNamespace

from jupyterhub_hpc_spawner import form
from jupyterhub_hpc_spawner.form_data import follow
from jupyterhub_hpc_spawner.hub.cluster import Cluster
from jupyterhub_hpc_spawner.offers import offer
from jupyterhub_hpc_spawner.options import parse_options
from jupyterhub_hpc_spawner.script import make_templates

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from support.large_cluster import cluster, policy  # noqa: E402

VIEWS = 1000
INTERVAL = 5


def main():
    templates = make_templates()
    print("| cluster | what | median ms | 99 % ms | kB |\n|---|---|---|---|---|")
    for size in ((3, 2, 3), (200, 50, 500)):
        site, info = policy(), cluster(*size)
        values = {"queue": "partition-001", "node_type": "node-type-01"}
        whats = {"form": lambda: form.render(templates, site, offer(site, info, "alice"), values, {}),
                 "check": lambda: check(site, offer(site, info, "alice"), values)}
        for what, view in whats.items():
            times = []
            for _ in range(VIEWS):
                begin = time.perf_counter()
                text = view()
                times.append((time.perf_counter() - begin) * 1000)
            print(f"| {size[0]} queues, {size[1]} node types, {size[2]} accounts | {what} | "
                  f"{statistics.median(times):.1f} | {statistics.quantiles(times, n=100)[98]:.1f} | "
                  f"{len(text.encode()) / 1000:.0f} |")
    print(f"\n{VIEWS} views in {asyncio.run(watched_views(templates, site, info))}")


async def watched_views(templates, site, info):
    """Views of the form as the Hub makes them; the commands that were run meanwhile."""
    asked = []
    system = SimpleNamespace(info_commands=lambda answers: {} if answers else asked.append(1) or {"queues": ["true"]},
                             parse_info=lambda answers: info)
    cluster = Cluster(system, None, {}, logging.getLogger(), info_interval=INTERVAL)
    begin = time.monotonic()
    for _ in range(VIEWS):
        await cluster.known_info()
        await asyncio.sleep(0)
        form.render(templates, site, offer(site, cluster.info, "alice"), {}, {})
    return f"{time.monotonic() - begin:.0f} s, with an interval of {INTERVAL} s: {len(asked)} commands"


def check(site, offered, values):
    """The answer to a change of a field."""
    parse_options(values, site, offered)
    return json.dumps(follow(site, offered, values))


if __name__ == "__main__":
    main()
