"""How long the spawn form takes to render and how large it is, for a large cluster: 200 queues, 50 node types, 500
accounts. Goals: 99 of 100 in at most 50 ms, at most 300 kB."""
import statistics
import time
from functools import partial

from jupyterhub_hpc_spawner import form
from jupyterhub_hpc_spawner.model import ClusterInfo, Environment, Queue
from jupyterhub_hpc_spawner.options import Policy, Profile
from jupyterhub_hpc_spawner.script import make_templates

VIEWS = 1000


def cluster(queues, types, accounts):
    features = tuple(f"node-type-{number:02}" for number in range(types))
    return ClusterInfo(
        queues=tuple(Queue(f"partition-{n:03}", default=n == 0, max_walltime=86400 + n, max_nodes=n + 1, cores=128,
                           memory=2 ** 38, total_nodes=100, idle_nodes=n, gpus={"a100": 4} if n % 4 == 0 else {},
                           features=features[n % 7::3]) for n in range(queues)),
        accounts={"alice": tuple(f"project-{n:03}" for n in range(accounts))}, qos={"alice": ("normal", "high")},
        balances={f"project-{n:03}": {"": 1200.0 * n, "alice": 1000.0} for n in range(accounts)})


def policy():
    return Policy(profiles={f"preset{n}": Profile({"nodes": n + 1}, f"Preset {n}") for n in range(6)},
                  environments={"jupyter": Environment("/opt/jupyter", description="Jupyter and Dask")},
                  interfaces={"lab": "/lab", "notebook": "/tree"})


def main():
    templates = make_templates()
    print("| cluster | median ms | 99 % ms | kB |\n|---|---|---|---|")
    for size in ((3, 2, 3), (200, 50, 500)):
        view = partial(form.render, templates, policy(), cluster(*size), "alice", {"queue": "partition-001"}, {})
        times = []
        for _ in range(VIEWS):
            begin = time.perf_counter()
            page = view()
            times.append((time.perf_counter() - begin) * 1000)
        print(f"| {size[0]} queues, {size[1]} node types, {size[2]} accounts | {statistics.median(times):.1f} | "
              f"{statistics.quantiles(times, n=100)[98]:.1f} | {len(page.encode()) / 1000:.0f} |")


if __name__ == "__main__":
    main()
