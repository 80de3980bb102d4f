"""What TLS costs between two Dask workers on two nodes: the same arrays once encrypted and once plain, in turn.

The nodes are n1 and n2 of the Slurm test cluster: network namespaces of one machine, joined by veth pairs and a bridge.
So all bytes go through the kernel's network stack and a network device, but over no wire, and both workers share the
machine's cores: what is measured is the cost of encryption, not a fabric. One worker a node with one thread, started as
the user with the variables of a session; CPU of both workers. Prints one Markdown table. Needs what the system tests
need (root on Debian); use ``make bench``.
"""
import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from distributed import Client, Security, wait

from jupyterhub_hpc_spawner.hub.credentials import tls_pem
from jupyterhub_hpc_spawner.runtimes.dask import CREDENTIALS, Dask

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from support.clusters import SlurmCluster  # noqa: E402
from support.running_hub import free_ports  # noqa: E402

USER = "alice"
NODES = ("n1", "n2")
MIB = 1024 ** 2
# (arrays, MiB each): one after the other they fill the connection; many small ones are mostly messages.
LOADS = ((6, 256), (100, 1))


class Pair:
    """A scheduler on the head node and a worker on each of two nodes that speak this protocol."""

    def __init__(self, cluster, directory, protocol):
        self.cluster, self.directory = cluster, directory
        port = free_ports(cluster.address, 1)[0]
        address = f"{protocol}://{cluster.address}:{port}"
        pem = str(directory / CREDENTIALS)
        self.env = Dask().environment(str(directory)) if protocol == "tls" else {}
        security = Security(tls_ca_file=pem, tls_client_cert=pem, tls_client_key=pem) if protocol == "tls" else None
        self.processes = [self._start(None, "dask_scheduler", "--host", address)]
        self.processes += [self._start(node, "dask_worker", address, "--nthreads", "1", "--no-nanny", "--name", node,
                                       "--memory-limit", "0", "--local-directory", str(directory)) for node in NODES]
        self.client = Client(address, security=security, timeout=60, set_as_default=False)
        self.client.wait_for_workers(len(NODES), timeout=60)

    def _start(self, node, program, *arguments):
        where = ["--node", node] if node else []
        settings = [f"{name}={value}" for name, value in self.env.items()]
        argv = [self.cluster.script(), "as", USER, *where, "--", "env", *settings, sys.executable, "-m",
                f"distributed.cli.{program}", "--no-dashboard", "--dashboard-address", "127.0.0.1:0", *arguments]
        return subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def transfer(self, count, size):
        """(seconds, CPU seconds of both workers) for so many arrays to be on the second node as well."""
        arrays = self.client.map(random_array, [size * MIB] * count, workers=[NODES[0]], pure=False)
        with self.client.as_current():
            wait(arrays)
        cpu = self._cpu_seconds()
        begin = time.perf_counter()
        there = self.client.map(len, arrays, workers=[NODES[1]])
        assert self.client.gather(there) == [size * MIB] * count
        return time.perf_counter() - begin, self._cpu_seconds() - cpu

    def _cpu_seconds(self):
        return sum(self.client.run(time.process_time).values())

    def close(self):
        """The scheduler's end ends its workers."""
        self.client.close()
        self.processes[0].terminate()
        for process in self.processes:
            process.wait(60)


def random_array(size):
    import numpy
    return numpy.random.default_rng().integers(0, 256, size, "uint8")


def measure(pairs, rounds):
    """The values of every (load, protocol); in turn, so that a slow moment meets both, and in both orders."""
    values = {(load, protocol): [] for load in LOADS for protocol in pairs}
    for number in range(rounds + 1):
        for load in LOADS:
            for protocol in sorted(pairs, reverse=number % 2 == 0):
                took = pairs[protocol].transfer(*load)
                if number:  # the first round opens the connections
                    values[load, protocol].append(took)
        print(f"round {number} of {rounds}", file=sys.stderr)
    return values


def table(values):
    yield "| between two nodes | wall s | min – max | MiB/s | CPU s | min – max |"
    yield "|---|---|---|---|---|---|"
    for load in LOADS:
        medians = {}
        for protocol in ("tcp", "tls"):
            columns = list(zip(*values[load, protocol]))
            wall, cpu = medians[protocol] = [statistics.median(column) for column in columns]
            spread = [f"{min(column):.2f} – {max(column):.2f}" for column in columns]
            what = f"{load[0]} × {load[1]} MiB, {protocol.upper()}"
            yield f"| {what} | {wall:.2f} | {spread[0]} | {load[0] * load[1] / wall:.0f} | {cpu:.2f} | {spread[1]} |"
        wall, cpu = (tls / tcp for tls, tcp in zip(medians["tls"], medians["tcp"]))
        yield f"| **TLS / TCP** | **{wall:.2f}** | | | **{cpu:.2f}** | |"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", "--rounds", type=int, default=7)
    arguments = parser.parse_args()
    if reason := SlurmCluster.missing():
        sys.exit(reason)
    cluster = SlurmCluster()
    directory = Path(tempfile.mkdtemp(prefix="throughput-"))
    try:
        (directory / CREDENTIALS).write_text(tls_pem())
        for path in (directory, directory / CREDENTIALS):
            shutil.chown(path, USER)
            path.chmod(0o700 if path.is_dir() else 0o600)
        pairs = {protocol: Pair(cluster, directory, protocol) for protocol in ("tcp", "tls")}
        try:
            print("\n".join(table(measure(pairs, arguments.rounds))))
        finally:
            for pair in pairs.values():
                pair.close()
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
