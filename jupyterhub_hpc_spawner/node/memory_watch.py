"""Memory of the worker processes of a node: each by its own limit, all of them by what they have together.

What programs use that a worker starts counts for the sum, which is why there is one.
"""
import os

PAGE = os.sysconf("SC_PAGESIZE")
SLOWLY = 10


class MemoryWatch:
    """``limit`` is each worker's in bytes, ``total`` that of all; ``fraction`` of them is too much (0: never)."""

    def __init__(self, limit, total, fraction, proc="/proc"):
        self.limit = int(limit * fraction)
        self.total = int(total * fraction)
        self.proc = proc
        self.calls = 0

    def excess(self, pids):
        """[(pid, why)] of the processes to kill."""
        if not self.limit:
            return []
        used = {pid: self.resident(pid) for pid in pids}
        found = [(pid, "%d MiB is too much of its %d MiB" % (size >> 20, self.limit >> 20))
                 for pid, size in used.items() if size > self.limit]
        self.calls += 1
        if found or self.calls % SLOWLY:
            return found
        return self._excess_together(used)

    def _excess_together(self, used):
        """The largest of all, where together they are too large."""
        families = {pid: self.descendants(pid) for pid in used}
        trees = {pid: used[pid] + sum(map(self.resident, family)) for pid, family in families.items()}
        if sum(trees.values()) <= self.total:
            return []
        # Forked processes share most of their first pages, which count several times there and once here.
        trees = {pid: sum(map(self.proportional, [pid, *family])) for pid, family in families.items()}
        total = sum(trees.values())
        if total <= self.total:
            return []
        largest = max(trees, key=trees.get)
        return [(largest, "all workers and their programs use %d MiB, too much of their %d MiB, and this one most"
                 % (total >> 20, self.total >> 20))]

    def resident(self, pid):
        """Bytes in memory (proc(5): statm); 0 for a process that is gone."""
        return PAGE * int((self._read(pid, "statm").split() or [0, 0])[1])

    def proportional(self, pid):
        """Bytes where a page that several processes share counts for its part in each."""
        for line in self._read(pid, "smaps_rollup").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
        return self.resident(pid)

    def descendants(self, pid):
        """Processes that this one started, and theirs; none where the kernel does not list children."""
        found = []
        try:
            threads = os.listdir(os.path.join(self.proc, str(pid), "task"))
        except OSError:
            return found
        for thread in threads:  # each lists the children that it started
            for child in map(int, self._read(pid, "task/%s/children" % thread).split()):
                found += [child, *self.descendants(child)]
        return found

    def _read(self, pid, name):
        try:
            with open(os.path.join(self.proc, str(pid), name)) as text:
                return text.read()
        except OSError:
            return ""
