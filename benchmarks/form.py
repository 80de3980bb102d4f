"""How long the spawn form and the check of what is typed take, and how large the form is, for a large cluster: 200
queues, 50 node types, 500 accounts. Goals: 99 of 100 in at most 50 ms, at most 300 kB."""
import asyncio
import json
import logging
import statistics
import time
from types import SimpleNamespace

from jupyterhub_hpc_spawner import form
from jupyterhub_hpc_spawner.batch.kinds import of_queue
from jupyterhub_hpc_spawner.form_data import follow
from jupyterhub_hpc_spawner.hub.cluster import Cluster
from jupyterhub_hpc_spawner.model import Association, ClusterInfo, Environment, NodeKind, Queue
from jupyterhub_hpc_spawner.offers import offer
from jupyterhub_hpc_spawner.options import Policy, Profile, parse_options
from jupyterhub_hpc_spawner.script import make_templates

VIEWS = 1000
INTERVAL = 5


def cluster(queues, types, accounts):
    """Every queue has a third of the node types, or all of a small cluster, each in numbers of its own."""
    features = tuple(f"node-type-{number:02}" for number in range(types))
    names = tuple(f"project-{n:03}" for n in range(accounts))

    def queue(number):
        kinds = [NodeKind((name,), 32 + number % 96, 2 ** 38, {"a100": 4} if number % 4 == 0 else {}, 2 + number, 1)
                 for name in features[number % 3::3] or features]
        return Queue(f"partition-{number:03}", default=number == 0, max_walltime=86400 + number, max_nodes=number + 1,
                     total_nodes=100, idle_nodes=number, **of_queue(kinds))

    return ClusterInfo(
        queues=tuple(map(queue, range(queues))), accounts={"alice": names}, qos={"alice": ("normal", "high")},
        associations={"alice": tuple(Association(name, "", ("normal", "high")) for name in names)},
        balances={name: {"": 1200.0 * n, "alice": 1000.0} for n, name in enumerate(names)})


def policy():
    return Policy(profiles={f"preset{n}": Profile({"nodes": n + 1}, f"Preset {n}") for n in range(6)},
                  environments={"jupyter": Environment("/opt/jupyter", description="Jupyter and Dask")},
                  interfaces={"lab": "/lab", "notebook": "/tree"})


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
    system = SimpleNamespace(info_commands=lambda: asked.append(1) or {"queues": ["true"]},
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
