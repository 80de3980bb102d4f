"""How long one answer of the batch system takes to be read: 1,000 and 10,000 jobs, for each system.

The answers are captured ones (tests/captured), their jobs repeated under new numbers. The floor is to cut the same text
into words: ``[line.split() for line in text.splitlines()]``. One such answer comes every ``status_interval``, for all
sessions together. Prints one Markdown table.
"""
import re
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests/unit"))

from captured import captured, print_jobs, read_jobs  # noqa: E402
from jupyterhub_hpc_spawner.batch import make_batch_system  # noqa: E402
from jupyterhub_hpc_spawner.model import Completed  # noqa: E402

# Of each system: a captured answer, what one job is in it, its number there, and what stands between two jobs.
ANSWERS = {
    "slurm": ("slurm-22.05.8/squeue-pending-and-running", r"^\d+\x1f[^\n]*\n", r"^\d+", ""),
    "pbs": ("openpbs-23.06.06/qstat-mixed", r"^\d+\.[^\n]*\n   [^\n]*\n", r"^\d+\.\S+ *", ""),
    "sge": ("gridengine-8.1.9/qstat-all-kinds", r'^ +<job_list state="running">.*?</job_list>\n',
            r"(?<=<JB_job_number>)\d+", ""),
    "torque": ("torque-6.1-master/qstat-states", r"<Job>.*?</Job>", r"(?<=<Job_Id>)\d+", ""),
    "lsf": ("lsf-10.1/bjobs-states", r"^\d+\^[^\n]*\n", r"^\d+", ""),
    "condor": ("htcondor-23.9.6/condor_q-states", r"^\{\n.*?^\}", r'(?<="ClusterId": )\d+', "\n,\n"),
}
ROUNDS = 7


def answer(name, jobs):
    """The system's answer with that many jobs."""
    file, record, number, between = ANSWERS[name]
    given = captured(file)
    if name == "slurm":  # captured with one field more than are asked for
        given = print_jobs(read_jobs(given), make_batch_system(name, {}).status_command())
    found = [match.group() for match in re.finditer(record, given.stdout, re.MULTILINE | re.DOTALL)]
    first = given.stdout.index(found[0])
    last = given.stdout.rindex(found[-1]) + len(found[-1])
    records = [re.sub(number, lambda match: _renumbered(match.group(), 100000 + n), found[n % len(found)], count=1)
               for n in range(jobs)]
    return Completed(given.argv, 0, given.stdout[:first] + between.join(records) + given.stdout[last:], "")


def _renumbered(text, number):
    """``28.pbshub    `` with another number, as wide as before."""
    return re.sub(r"\d+", str(number), text, count=1).rstrip().ljust(len(text)) if text.endswith(" ") else re.sub(
        r"\d+", str(number), text, count=1)


def milliseconds(function):
    """The smallest of some rounds: what disturbs a measurement only ever adds."""
    times = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        function()
        times.append(time.perf_counter() - begin)
    return 1000 * min(times)


def main():
    print("| system | jobs | answer | parse | per 1,000 | floor | parse / floor |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name in ANSWERS:
        system = make_batch_system(name, {})
        for jobs in (1000, 10000):
            completed = answer(name, jobs)
            found = system.parse_status(completed)
            assert len(found) >= jobs * 0.9, (name, len(found))
            took = milliseconds(lambda: system.parse_status(completed))
            floor = milliseconds(lambda: [line.split() for line in completed.stdout.splitlines()])
            print(f"| {name} | {jobs:,} | {len(completed.stdout) / 1e6:.2f} MB | {took:.1f} ms | "
                  f"{took * 1000 / jobs:.1f} ms | {floor:.1f} ms | {took / floor:.1f} |", flush=True)


if __name__ == "__main__":
    main()
