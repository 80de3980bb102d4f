"""The scheduler behind ``batch_system = "local"``: runs job scripts as processes of whoever submits them.

For laptops, demonstrations and tests. Every job is one file in a private directory; a job's process group is its
leader's, and the leader's start time tells it from a later process of the same number. Standard library only.
"""
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

KEEP_ENDED = 300


def main(argv=None):
    """``submit OUTPUT`` (script on standard input), ``list``, ``find NAME`` (the output's directory) or ``cancel ID``;
    returns the exit status."""
    verb, *rest = sys.argv[1:] if argv is None else argv
    try:
        return {"submit": submit, "list": list_jobs, "find": find, "cancel": cancel}[verb](*rest)
    except OSError as error:
        print(f"local: {error}", file=sys.stderr)
        return 1


def jobs_directory():
    base = os.environ.get("XDG_RUNTIME_DIR") or f"/tmp/jupyterhub-hpc-local-{os.getuid()}"
    path = Path(os.environ.get("HPC_LOCAL_JOBS") or Path(base) / "jupyterhub-hpc-local")
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.stat().st_uid != os.getuid():
        raise PermissionError(f"{path} belongs to another user")
    return path


def submit(output):
    directory = jobs_directory()
    job_id = _new_id(directory)
    script = directory / f"{job_id}.sh"
    script.write_bytes(sys.stdin.buffer.read())
    script.chmod(0o700)
    env = dict(os.environ, HPC_JOB_ID=job_id)
    with open(output, "ab") as log:
        process = subprocess.Popen([str(script)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env,
                                   cwd=os.path.expanduser("~"), start_new_session=True)
    _write(directory / f"{job_id}.json", {"pid": process.pid, "started": _start_time(process.pid), "ended": None,
                                          "name": Path(output).parent.name})
    print(job_id)
    return 0


def list_jobs():
    for path, job in _jobs():
        state = "RUNNING" if alive(job) else "ENDED"
        if state == "ENDED" and job["ended"] is None:
            job["ended"] = time.time()
            _write(path, job)
        if state == "ENDED" and time.time() - job["ended"] > KEEP_ENDED:
            path.unlink(missing_ok=True)
            path.with_suffix(".sh").unlink(missing_ok=True)
            continue
        print(f"{path.stem}\t{state}")
    return 0


def find(name):
    for path, job in _jobs():
        if job.get("name") == name and alive(job):
            print(path.stem)
    return 0


def cancel(job_id):
    """TERM to the job; KILL after ten seconds, by a process that stays behind for it."""
    for path, job in _jobs():
        if path.stem == job_id and alive(job):
            _signal(job, signal.SIGTERM)
            if os.fork() == 0:
                _kill_later(job)
    return 0


def _kill_later(job):
    os.setsid()
    for number in range(3):
        os.close(number)
    deadline = time.monotonic() + 10
    while alive(job) and time.monotonic() < deadline:
        time.sleep(0.1)
    _signal(job, signal.SIGKILL)
    os._exit(0)


def _jobs():
    for path in sorted(jobs_directory().glob("*.json")):
        try:
            yield path, json.loads(path.read_text())
        except FileNotFoundError:  # another "list" has just cleared it away
            continue


def _new_id(directory):
    number = 1 + max((int(path.stem) for path in directory.glob("*.json") if path.stem.isdigit()), default=0)
    while True:
        try:
            _write(directory / f"{number}.json", {"pid": os.getpid(), "started": _start_time(os.getpid()),
                                                  "ended": None}, exclusive=True)
            return str(number)
        except FileExistsError:
            number += 1


def _write(path, job, exclusive=False):
    """The whole record or none: others read at any time. FileExistsError where an exclusive one is there already."""
    temporary = path.with_suffix(f".new-{os.getpid()}")
    temporary.write_text(json.dumps(job))
    if exclusive:
        try:
            os.link(temporary, path)
        finally:
            temporary.unlink()
    else:
        os.replace(temporary, path)


def _start_time(pid):
    """Clock ticks after boot (proc(5), field 22 of stat), 0 where the process is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] == "Z" else int(fields[19])


def alive(job):
    return job["started"] != 0 and _start_time(job["pid"]) == job["started"]


def _signal(job, number):
    if alive(job) or number == signal.SIGKILL:
        try:
            os.killpg(job["pid"], number)
        except ProcessLookupError:
            pass


if __name__ == "__main__":
    sys.exit(main())
