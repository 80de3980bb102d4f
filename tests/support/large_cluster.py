"""A large cluster and its site, to measure the form with."""
from jupyterhub_hpc_spawner.batch.kinds import of_queue
from jupyterhub_hpc_spawner.model import Association, ClusterInfo, Environment, NodeKind, Queue
from jupyterhub_hpc_spawner.options import Policy, Profile


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
