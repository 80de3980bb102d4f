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

MAX_INPUT = 4 * 1024 ** 2
MAX_LOG = 64 * 1024
MAX_OUTPUT = 32 * 1024 ** 2
SESSION = re.compile(r"jupyter-[a-z0-9-]{1,80}")
FILE = re.compile(r"[a-z][a-z0-9_.-]{0,40}")
VARIABLE = re.compile(r"(SLURM|PBS|SGE|LSF|LSB|EGO|XLSF|_?CONDOR|TORQUE|MUNGE|HPC_LOCAL)[A-Z0-9_]*|LANG|LC_ALL|TZ|PATH")
PROGRAMS = frozenset("""sbatch squeue scancel qsub qstat qselect qdel bsub bjobs bkill condor_submit condor_q condor_rm
    """.split())
# Runs what it is given at once, on this machine: not for who comes through sudo, unless root says so in MORE.
LOCAL = "jupyterhub-hpc-spawner-local"
# Accounts below are the system's own, no people's (useradd's default).
FIRST_UID = 1000
# Variables of the helper's own list that name no files.
PLAIN = ("LANG", "LC_ALL", "TZ")
NOBODY = 65534
# Seconds that a directory may resist its removal.
REMOVAL = 5
# In the session's directory: what a kernel can import although its environment does not have this package.
IMPORTABLE = "python/jupyterhub_hpc_spawner"
# More programs and variables of a batch system from another package, one name a line; root's word.
MORE = Path("/etc/jupyterhub-hpc-spawner/helper")


class Refused(Exception):
    """The request is not one that the helper acts on."""


def main():
    try:
        text = sys.stdin.buffer.read(MAX_INPUT + 1)
        if len(text) > MAX_INPUT:
            raise Refused("the request is too large")
        request = json.loads(text)
        verbs = {"submit": submit, "run": run, "end": end}
        if not isinstance(request, dict) or request.get("verb") not in verbs:
            raise Refused("the request has no known verb")
        answer = dict(verbs[request["verb"]](request), ok=True)
    except Exception as error:  # whatever came in, the Hub gets JSON
        answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}
    json.dump(answer, sys.stdout)
    return 0


def submit(request):
    """The directory stays where the program ran, whatever it said: a job that needs it may be there all the same."""
    directory = session_directory(request["session_dir"])
    directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _refuse_foreign(directory.parent)
    directory.mkdir(mode=0o700)
    try:
        _stage(directory, request["files"])
        return run(request)
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise


def run(request):
    program, *arguments = request["argv"]
    if program not in PROGRAMS | more() | ({LOCAL} if _caller() is None else set()):
        raise Refused(f"{program!r} is not a program of a batch system, and not in {MORE}")
    env = environment(request.get("env", {}))
    path = shutil.which(program, path=env["PATH"])
    if path is None:
        raise Refused(f"{program} is not in PATH ({env['PATH']})")
    if _caller() is not None:
        for value in (path, *(value for name, value in request.get("env", {}).items() if name not in PLAIN)):
            _refuse_paths_of_people(str(value))
    try:
        done = subprocess.run([path, *arguments], input=request.get("stdin", "").encode(), capture_output=True,
                              env=env, cwd="/", timeout=float(request["timeout"]), check=False)
    except subprocess.TimeoutExpired:
        return {"returncode": -1, "stdout": "", "stderr": f"{program} did not answer in {request['timeout']} s",
                "timeout": True}
    if len(done.stdout) > MAX_OUTPUT:  # an answer that is cut would say that the rest is not there
        raise Refused(f"{program} printed more than {MAX_OUTPUT} bytes")
    return {"returncode": done.returncode, "stdout": done.stdout.decode(errors="replace"),
            "stderr": done.stderr[:MAX_LOG].decode(errors="replace"), "timeout": False}


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


def _caller():
    """The uid that came through sudo, None where nobody did, or root, or the user itself."""
    uid = os.environ.get("SUDO_UID", "")
    return int(uid) if uid.isdigit() and int(uid) not in (0, os.getuid()) else None


def _refuse_paths_of_people(text):
    """A program, or a file that tells one what to load, must not be what the caller could have put there."""
    for word in filter(lambda word: "/" in word, re.split("[:,; =]", text)):
        for part, owner in _ways(Path("/", word)):
            if owner and (owner >= FIRST_UID or owner in (_caller(), os.getuid())):
                raise Refused(f"{word!r} leads through {part}, which is not the system's alone to write")


def _refuse_foreign(directory):
    """Who could rename a directory on the way could put another there, and read the session's keys."""
    for part, owner in _ways(directory, os.path.expanduser("~")):
        if owner not in (0, os.getuid()):
            raise Refused(f"{part} is not root's or the user's alone to write: no place for session directories")


def _ways(path, end="/"):
    """(what is there, its owner) on the way to the path, as it is written and as it is, not beyond ``end``.

    NOBODY owns what anybody could replace; of a path that is not there, where anybody could make it.
    """
    for way in (os.path.abspath, os.path.realpath):
        private = stat.S_ISVTX
        for part in (Path(way(path)), *Path(way(path)).parents):
            if part == Path(way(end)) != Path("/"):
                break
            if not os.path.lexists(part):
                private = 0
                continue
            found = part.lstat()
            anybody = found.st_mode & 0o002 and not stat.S_ISLNK(found.st_mode) and not found.st_mode & private
            private = stat.S_ISVTX
            yield part, NOBODY if anybody else found.st_uid


def more():
    """The names in MORE, where only root can write it."""
    try:
        found = MORE.stat()
    except FileNotFoundError:
        return frozenset()
    if found.st_uid != 0 or found.st_mode & 0o022:
        raise Refused(f"{MORE} is not root's alone to write")
    names = frozenset(MORE.read_text().split())
    if not all(re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]*", name) for name in names):
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
