"""A short process that acts as the user: JSON in, JSON out, no shell.

The only program that the Hub needs sudo for::

    hub ALL=(%users) NOPASSWD: /opt/jupyterhub/bin/jupyterhub-hpc-spawner-helper ""

Reads one JSON object from standard input and writes one to standard output. Verbs: ``submit`` makes the session
directory and runs the submit command, ``run`` runs one command of the batch system, ``end`` returns the end of the
session's log and removes the directory. Standard library only.
"""
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

from .through_sudo import (
    OPTIONS, Refused, caller, refuse_arguments, refuse_foreign, refuse_lines, refuse_paths_of_people, refuse_value)

MAX_INPUT = 4 * 1024 ** 2
MAX_LOG = 64 * 1024
MAX_OUTPUT = 32 * 1024 ** 2
SESSION = re.compile(r"jupyter-[a-z0-9-]{1,80}")
FILE = re.compile(r"[a-z][a-z0-9_.-]{0,40}")
# Not those that have other names read as a configuration, which may name programs: any of _CONDOR_, a server that gives
# one to Slurm's commands.
VARIABLE = re.compile(r"(?!SLURM_CONF_SERVER\Z)(SLURM|PBS|SGE|LSF|LSB|EGO|XLSF|CONDOR|TORQUE|MUNGE|HPC_LOCAL)[A-Z0-9_]*"
                      "|_CONDOR_(CONDOR|COLLECTOR|SCHEDD)_HOST|LANG|LC_ALL|TZ|PATH")
PROGRAMS = frozenset(OPTIONS)
# Runs what it is given at once, on this machine: not for who comes through sudo, unless root says so in MORE.
LOCAL = "jupyterhub-hpc-spawner-local"
# Seconds that a directory may resist its removal.
REMOVAL = 5
# In the session's directory: what a kernel can import although its environment does not have this package.
IMPORTABLE = "python/jupyterhub_hpc_spawner"
# More programs and variables of a batch system from another package, one name a line; root's word.
MORE = Path("/etc/jupyterhub-hpc-spawner/helper")


def main():
    try:
        text = sys.stdin.buffer.read(MAX_INPUT + 1)
        if len(text) > MAX_INPUT:
            raise Refused("the request is too large")
        request = json.loads(text)
        verbs = {"submit": submit, "run": run, "end": end}
        if not isinstance(request, dict) or request.get("verb") not in verbs:
            raise Refused("the request has no known verb")
        print(flush=True)  # should this process be killed now, the Hub knows that it had begun
        answer = dict(verbs[request["verb"]](request), ok=True)
    except Exception as error:  # whatever came in, the Hub gets JSON
        answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}
    json.dump(answer, sys.stdout)
    return 0


def submit(request):
    """The directory stays where the program ran, whatever it said: a job that needs it may be there all the same."""
    directory = session_directory(request["session_dir"])
    directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    refuse_foreign(directory.parent)
    directory.mkdir(mode=0o700)
    try:
        _stage(directory, request["files"])
        return run(request)
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise


def run(request):
    program, *arguments = request["argv"]
    if program not in PROGRAMS | more() | ({LOCAL} if caller() is None else set()):
        raise Refused(f"{program!r} is not a program of a batch system, and not in {MORE}")
    env = environment(request.get("env", {}))
    path = shutil.which(program, path=env["PATH"])
    if path is None:
        raise Refused(f"{program} is not in PATH ({env['PATH']})")
    if caller() is not None:
        _refuse_for_caller(request, path)
    try:
        done = subprocess.run([path, *arguments], input=request.get("stdin", "").encode(), capture_output=True,
                              env=env, cwd="/", timeout=float(request["timeout"]), check=False)
    except subprocess.TimeoutExpired:
        return _given_up(f"{program} did not answer in {request['timeout']} s")
    if len(done.stdout) > MAX_OUTPUT:  # an answer that is cut would say that the rest is not there
        return _given_up(f"{program} printed more than {MAX_OUTPUT} bytes")
    return {"returncode": done.returncode, "stdout": done.stdout.decode(errors="replace"),
            "stderr": done.stderr[:MAX_LOG].decode(errors="replace"), "timeout": False}


def _given_up(why):
    """What the program was to do may be done or not."""
    return {"returncode": -1, "stdout": "", "stderr": why, "timeout": True}


def _refuse_for_caller(request, path):
    """Root may have named the program in MORE: then anything goes that it reads, but nothing that it loads."""
    program, *arguments = request["argv"]
    refuse_paths_of_people(path)
    for name, value in request.get("env", {}).items():
        refuse_value(name, str(value))
    if program not in more():
        refuse_arguments(program, arguments)
        refuse_lines(program, request.get("stdin", ""))


def end(request):
    """The last lines of the session's log; with ``remove`` the directory goes. A directory that is gone is no error."""
    directory = session_directory(request["session_dir"])
    try:
        found = directory.lstat()
    except FileNotFoundError:
        return {"log": ""}
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise Refused(f"{directory} is not a directory of this user")
    log = _tail(directory / "job.log", int(request["lines"]))
    if request["remove"]:
        _remove(directory)
    return {"log": log}


def session_directory(text):
    """An absolute, plain path whose last name is that of a session."""
    path = Path(text)
    if not path.is_absolute() or ".." in path.parts or not SESSION.fullmatch(path.name):
        raise Refused(f"{text!r} is not a session directory")
    return path


def environment(given):
    """A clean environment: the user's own identity and the batch system's variables that the site sets."""
    home = os.path.expanduser("~")
    # The Hub's own programs come last: batch systems hand this PATH on to the job.
    path = os.pathsep.join(["/usr/local/bin", "/usr/bin", "/bin", os.path.dirname(os.path.abspath(sys.argv[0]))])
    env = {"HOME": home, "PATH": path, "LANG": "C.UTF-8"}
    for name in ("USER", "LOGNAME", "SHELL"):
        if name in os.environ:
            env[name] = os.environ[name]
    for name, value in given.items():
        if not VARIABLE.fullmatch(name) and name not in more():
            raise Refused(f"the variable {name!r} is not one of a batch system, and not in {MORE}")
        env[name] = f"{value}{os.pathsep}{path}" if name == "PATH" else str(value)
    return env


def more():
    """The names in MORE, where only root can write it."""
    try:
        found = MORE.stat()
    except FileNotFoundError:
        return frozenset()
    if found.st_uid != 0 or found.st_mode & 0o022:
        raise Refused(f"{MORE} is not root's alone to write")
    names = frozenset(MORE.read_text().split())
    if not all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", name) for name in names):
        raise Refused(f"{MORE} may only hold names of programs and variables")
    return names


def _stage(directory, files):
    """Files of mode 0600, and beside them the code that runs in the job and what kernels import."""
    for name, text in files.items():
        if not FILE.fullmatch(name):
            raise Refused(f"{name!r} is not a name of a session's file")
        with open(os.open(directory / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as new:
            new.write(text)
    package = Path(__file__).parent
    code = {source: f"node/{source.name}" for source in (package / "node").glob("*.py")}
    code |= {source: f"{IMPORTABLE}/notebook/{source.name}" for source in (package / "notebook").glob("*.py")}
    code |= {package / name: f"{IMPORTABLE}/{name}" for name in ("__init__.py", "_version.py")}
    code |= {package / "node/run.py": "run.py", package / "notebook/startup.py": "startup.py"}
    for folder in ("node", "python", IMPORTABLE, f"{IMPORTABLE}/notebook"):
        (directory / folder).mkdir(mode=0o700)
    for source, target in code.items():
        (directory / target).write_bytes(source.read_bytes())


def _remove(directory):
    """The keys at once, whatever else resists: processes that are just ending still write there, and on NFS what they
    hold open stays as long as they do."""
    late = time.monotonic() + REMOVAL
    while os.path.lexists(directory):
        shutil.rmtree(directory, ignore_errors=time.monotonic() < late)
        time.sleep(0.05)


def _tail(path, lines):
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return ""
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        return ""
    with open(descriptor, "rb") as log:
        log.seek(max(0, found.st_size - MAX_LOG))
        read = log.read().decode(errors="replace").splitlines()
    return "\n".join(read[max(0, len(read) - lines):])


if __name__ == "__main__":
    sys.exit(main())
