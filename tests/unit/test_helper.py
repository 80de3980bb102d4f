"""The helper as the real program it is: what it stages, what it runs, what it refuses."""
import io
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from jupyterhub_hpc_spawner import helper

HELPER = Path(sys.executable).parent / "jupyterhub-hpc-spawner-helper"
FILES = {"environment.sh": "export A='b'\n", "plan.json": "{}", "tls.pem": "key é"}
SBATCH = """#!/bin/sh
printf '%s\\0' "$@" >"{record}/argv"; /usr/bin/env -0 >"{record}/env"; cat >"{record}/stdin"; pwd >"{record}/cwd"
echo words >&2; echo 35; exit {status}
"""


def mode(path):
    return stat.S_IMODE(path.lstat().st_mode)


class User:
    """A user's home, a directory of fake programs, and the helper to ask."""

    def __init__(self, directory):
        self.home, self.bin, self.record = (directory / name for name in ("home", "bin", "record"))
        for path in (self.home, self.bin, self.record):
            path.mkdir()
        self.session = self.home / "sessions/jupyter-abc"
        self.sbatch()

    def sbatch(self, status=0, text=SBATCH):
        program = self.bin / "sbatch"
        program.write_text(text.format(record=self.record, status=status))
        program.chmod(0o755)

    def send_here(self, data):
        """The same in this process, for long tables: a Python is slow to start."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HOME", str(self.home))
            patch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
            patch.setattr(sys, "stdout", io.StringIO())
            assert helper.main() == 0
            return json.loads(sys.stdout.getvalue())

    def send(self, data, umask=0o022):
        done = subprocess.run([HELPER], input=data, capture_output=True, umask=umask, timeout=20,
                              env={"HOME": str(self.home), "PATH": "/usr/bin:/bin", "USER": "alice", "SECRET": "x",
                                   "PYTHONPATH": os.environ.get("PYTHONPATH", "")})
        assert (done.returncode, done.stderr) == (0, b"")
        return json.loads(done.stdout)

    def ask(self, verb, umask=0o022, **fields):
        return self.send(self.request(verb, **fields), umask)

    def request(self, verb, **fields):
        usual = {"verb": verb, "timeout": 5, "env": {"PATH": str(self.bin)}, "session_dir": str(self.session)}
        if verb == "submit":
            usual.update(argv=["sbatch", "--parsable"], files=FILES, stdin="#!/bin/sh\n")
        if verb == "end":
            usual.update(lines=2, remove=True)
        return json.dumps({**usual, **fields}).encode()

    def refused(self, verb, **fields):
        answer = self.send_here(self.request(verb, **fields))
        assert answer["ok"] is False and set(answer) == {"ok", "error"}
        return answer["error"]


@pytest.fixture
def user(tmp_path):
    return User(tmp_path)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_submission_stages_private_files_and_runs_the_command(user, umask):
    answer = user.ask("submit", umask)
    assert answer == {"ok": True, "returncode": 0, "stdout": "35\n", "stderr": "words\n", "timeout": False}
    assert {name: (user.session / name).read_text() for name in FILES} == FILES
    assert {mode(user.session / name) for name in FILES} == {0o600}
    assert mode(user.session) == mode(user.session / "node") == mode(user.session.parent) == 0o700
    assert (user.session / "run.py").is_file() and (user.session / "node/launcher.py").is_file()
    staged = user.session / "python/jupyterhub_hpc_spawner"
    assert (user.session / "startup.py").is_file() and (staged / "notebook/facts.py").is_file()
    assert sorted(path.name for path in staged.iterdir()) == ["__init__.py", "_version.py", "notebook"]
    assert {mode(folder) for folder in (staged.parent, staged, staged / "notebook")} == {0o700}
    assert (user.record / "stdin").read_text() == "#!/bin/sh\n" and (user.record / "argv").read_text() == "--parsable\0"
    assert (user.record / "cwd").read_text() == "/\n"


def test_the_command_gets_a_clean_environment_and_the_sites_variables(user):
    user.ask("run", argv=["sbatch"], env={"PATH": str(user.bin), "SLURM_CONF": "/etc/slurm.conf", "TZ": "UTC"})
    env = dict(entry.split("=", 1) for entry in (user.record / "env").read_text().split("\0") if entry)
    assert env.pop("PATH").split(":")[0] == str(user.bin) and "SECRET" not in env
    assert {name: env[name] for name in ("HOME", "USER", "SLURM_CONF", "TZ")} == {
        "HOME": str(user.home), "USER": "alice", "SLURM_CONF": "/etc/slurm.conf", "TZ": "UTC"}


@pytest.mark.parametrize("variable", [
    "LD_PRELOAD", "PYTHONPATH", "BASH_ENV", "HOME", "IFS", "SLURM CONF", "SLURM_CONF\n", "", "XSLURM_CONF",
    "slurm_conf", "PATHS", "GIT_SSH", "SLURM_CONF_SERVER", "_CONDOR_LOCAL_CONFIG_FILE", "_CONDOR_CLASSAD_USER_LIBS"])
def test_a_variable_that_is_no_batch_systems_is_refused(user, variable):
    assert "is not one of a batch system" in user.refused("run", argv=["sbatch"], env={variable: "x"})
    assert not (user.record / "argv").exists()


@pytest.mark.parametrize("argv", [["sh", "-c", "id"], ["/bin/sh"], ["../sbatch"], ["{bin}/sbatch"], [""], ["sbatch\n"],
                                  ["sbatch;id"], [], "sbatch", None, {}, [5], ["sbatch", 5], ["sbatch", "a\0b"]])
def test_a_program_that_is_no_batch_systems_is_refused(user, argv):
    argv = [str(user.bin / "sbatch")] if argv == ["{bin}/sbatch"] else argv
    assert user.refused("run", argv=argv)
    assert not (user.record / "argv").exists()


NO_SESSION = ["relative/jupyter-abc", "{home}/x/../jupyter-abc", "{home}/jupyter-abc\n", "~/jupyter-abc", "{home}", "/",
              "", "{home}/notjupyter-abc", "{home}/jupyter-", "{home}/jupyter-ABC", "{home}/jupyter-a b",
              "{home}/jupyter-a\0b", None, []]


@pytest.mark.parametrize("verb, path", [*(("end", path) for path in NO_SESSION),
                                        *(("submit", path) for path in NO_SESSION[:4])])
def test_what_is_no_session_directory_is_refused(user, verb, path):
    before = sorted(user.home.rglob("*"))
    assert user.refused(verb, session_dir=path.format(home=user.home) if isinstance(path, str) else path)
    assert sorted(user.home.rglob("*")) == before and not (user.record / "argv").exists()


@pytest.mark.parametrize("name", [
    "../x", "/etc/x", "a/b", "", ".", "..", ".bashrc", "A", "a b", "a\n", "a\0", "-x", "node", "x" * 60])
def test_a_file_name_that_is_no_sessions_is_refused_and_nothing_is_left(user, name):
    assert user.refused("submit", files={"plan.json": "{}", name: "x"})
    assert not user.session.exists() and not (user.record / "argv").exists()
    assert not list(user.home.rglob("x"))


@pytest.mark.parametrize("files", [None, [], "x", {"plan.json": None}, {"plan.json": ["x"]}, {"plan.json": "\ud800"}])
def test_files_that_cannot_be_written_are_refused_and_nothing_is_left(user, files):
    assert user.refused("submit", files=files)
    assert not user.session.exists()


@pytest.mark.parametrize("existing", ["directory", "link", "dangling", "file"])
def test_a_session_directory_that_is_there_already_is_refused_and_stays(user, tmp_path, existing):
    (tmp_path / "elsewhere").mkdir()
    user.session.parent.mkdir()
    {"directory": lambda: user.session.mkdir(), "link": lambda: user.session.symlink_to(tmp_path / "elsewhere"),
     "dangling": lambda: user.session.symlink_to(tmp_path / "gone"),
     "file": lambda: user.session.write_text("x")}[existing]()
    assert "FileExistsError" in user.refused("submit")
    assert os.path.lexists(user.session)
    assert not list((tmp_path / "elsewhere").iterdir()) and not (tmp_path / "gone").exists()


def test_a_rejected_submission_says_why_and_leaves_the_directory_to_the_hub(user):
    """Who reads the words knows whether there may be a job that needs it."""
    user.sbatch(status=1)
    answer = user.ask("submit")
    assert (answer["ok"], answer["returncode"], answer["stderr"]) == (True, 1, "words\n")
    assert user.session.is_dir()


def test_a_command_that_takes_too_long_is_ended_and_leaves_the_directory(user):
    user.sbatch(text="#!/bin/sh\nexec sleep 20\n")
    answer = user.ask("submit", timeout=0.2)
    assert answer["timeout"] is True and "did not answer in 0.2 s" in answer["stderr"]
    assert user.session.is_dir()


def test_a_long_answer_comes_whole_and_one_that_is_too_long_not_at_all(user, monkeypatch):
    user.sbatch(text="#!/bin/sh\nhead -c 1000000 /dev/zero | tr '\\0' x\n")
    assert user.ask("run", argv=["sbatch"])["stdout"] == "x" * 1000000
    monkeypatch.setattr(helper, "MAX_OUTPUT", 999999)
    answer = run_here(user, argv=["sbatch"])
    assert answer["timeout"] is True and "printed more than 999999 bytes" in answer["stderr"] and not answer["stdout"]


RUN = '{"verb": "run", "argv": ["sbatch"], "timeout": 5, %s}'


@pytest.mark.parametrize("data", [
    "", "{", "[]", "null", '"submit"', b"\xff\xfe", '{"verb": "exec"}', '{"verb": ["run"]}', "{}", '{"verb": "run"}',
    '{"verb": "end"}', '{"verb": "submit"}', RUN % '"env": []', RUN % '"timeout": "x"', RUN % '"stdin": 5',
    "[" * 100_000, RUN % ('"x": "%s"' % ("x" * 4 * 1024 ** 2)),
], ids=lambda data: repr(data[:60]))
def test_any_other_input_is_refused_in_json(user, data):
    answer = user.send_here(data if isinstance(data, bytes) else data.encode())
    assert answer["ok"] is False and answer["error"]


def test_a_request_that_is_too_large_is_not_even_read_to_its_end(user):
    assert "too large" in user.send_here(b" " * (helper.MAX_INPUT + 1) + b"{}")["error"]


def test_a_refusal_is_an_orderly_end_of_the_program(user):
    assert user.send(b"[]") == {"ok": False, "error": "Refused: the request has no known verb"}


@pytest.mark.parametrize("text, lines, expected", [
    ("one\ntwo\nthree\n", 2, "two\nthree"), ("one\n", 5, "one"), ("", 5, ""), ("one\ntwo\n", 0, ""),
    ("a\xffb\n", 1, "a\ufffdb"), ("x" * 200_000 + "\nlast\n", 1, "last"),
])
def test_the_end_of_the_log_comes_back_and_the_directory_goes(user, text, lines, expected):
    user.ask("submit")
    (user.session / "job.log").write_bytes(text.encode("latin-1"))
    assert user.ask("end", lines=lines) == {"ok": True, "log": expected}
    assert not user.session.exists() and user.session.parent.exists()


def test_a_look_at_the_log_leaves_everything(user):
    user.ask("submit")
    (user.session / "job.log").write_text("one\n")
    assert user.ask("end", remove=False)["log"] == "one" and (user.session / "plan.json").exists()


def test_a_directory_that_is_gone_is_no_error(user):
    assert user.ask("end") == {"ok": True, "log": ""}


def make_fifo(path, secret):
    os.mkfifo(path)


def make_link(path, secret):
    path.symlink_to(secret)


def make_directory(path, secret):
    path.mkdir()


@pytest.mark.parametrize("make", [make_fifo, make_link, make_directory])
def test_a_log_that_is_no_plain_file_is_not_read(user, tmp_path, make):
    user.ask("submit")
    (tmp_path / "secret").write_text("secret\n")
    make(user.session / "job.log", tmp_path / "secret")
    assert user.ask("end") == {"ok": True, "log": ""}
    assert not user.session.exists() and (tmp_path / "secret").exists()


WRITER = """
import itertools, os, sys, time
late = time.monotonic() + 1
for number in itertools.count():
    try:
        os.makedirs(sys.argv[1] + "/node/__pycache__", exist_ok=True) if number < 5 else None
        open("%s/node/%d" % (sys.argv[1], number), "w").close()
    except OSError:
        pass
    if number == 5:
        print("writing", flush=True)
    if time.monotonic() > late:
        break
"""


def test_a_process_that_is_just_ending_and_still_writes_does_not_keep_the_directory(user):
    user.ask("submit")
    writer = subprocess.Popen([sys.executable, "-c", WRITER, user.session], stdout=subprocess.PIPE)
    assert writer.stdout.readline() == b"writing\n"
    assert user.ask("end") == {"ok": True, "log": ""}
    assert not user.session.exists()
    writer.communicate(timeout=20)


def test_what_cannot_be_removed_is_said_and_the_keys_are_gone_all_the_same(user, monkeypatch):
    user.ask("submit")
    monkeypatch.setattr(helper, "REMOVAL", 0.2)
    rmdir = os.rmdir

    def busy(path, **where):
        if str(path) == "node":
            raise OSError(16, "Device or resource busy", path)
        rmdir(path, **where)
    monkeypatch.setattr(os, "rmdir", busy)
    assert "Device or resource busy" in user.refused("end")
    assert [path.name for path in user.session.iterdir()] == ["node"] and not list((user.session / "node").iterdir())


def test_links_inside_the_directory_are_removed_and_not_followed(user, tmp_path):
    user.ask("submit")
    (tmp_path / "precious").mkdir()
    (user.session / "link").symlink_to(tmp_path / "precious")
    user.ask("end")
    assert not user.session.exists() and (tmp_path / "precious").exists()


def test_a_link_in_place_of_the_directory_is_refused_and_not_followed(user, tmp_path):
    precious = tmp_path / "jupyter-precious"
    precious.mkdir()
    (precious / "job.log").write_text("secret\n")
    user.session.parent.mkdir()
    user.session.symlink_to(precious)
    assert "is not a directory of this user" in user.refused("end")
    assert precious.exists()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
def test_another_users_directory_is_refused_and_stays(user):
    user.ask("submit")
    os.chown(user.session, 12345, 12345)
    assert "is not a directory of this user" in user.refused("end")
    assert (user.session / "plan.json").exists()


@pytest.fixture
def more(tmp_path, monkeypatch):
    """The file in which root allows more, as the helper of this process sees it; root here is whoever runs the test."""
    path = tmp_path / "more"
    monkeypatch.setattr(helper, "MORE", path)
    real = Path.stat

    def stat_as_root(self, **options):
        found = real(self, **options)
        return SimpleNamespace(st_uid=0, st_mode=found.st_mode) if self == path else found

    monkeypatch.setattr(Path, "stat", stat_as_root)
    return path


def run_here(user, **request):
    return user.send_here(json.dumps({"verb": "run", "timeout": 5, "env": {"PATH": str(user.bin)}, **request}).encode())


def test_root_may_allow_the_programs_of_another_batch_system(user, more):
    (user.bin / "oarsub").symlink_to("sbatch")
    assert "not a program of a batch system" in run_here(user, argv=["oarsub"])["error"]
    more.write_text("oarsub oarstat\nOAR_CONF\n")
    more.chmod(0o644)
    answer = run_here(user, argv=["oarsub"], env={"PATH": str(user.bin), "OAR_CONF": "/x"})
    assert answer["ok"] and answer["stdout"] == "35\n"
    assert b"OAR_CONF=/x" in (user.record / "env").read_bytes()


@pytest.mark.parametrize(("text", "mode", "words"), [
    ("oarsub\n", 0o664, "root's alone"), ("oarsub\n", 0o646, "root's alone"), ("/bin/sh\n", 0o644, "only hold names"),
    ("x;y", 0o644, "only hold names"),
])
def test_what_others_could_have_written_allows_nothing(user, more, text, mode, words):
    more.write_text(text)
    more.chmod(mode)
    assert words in run_here(user, argv=["oarsub"])["error"]


HUB = 64123
COMMAND = {"verb": "run", "argv": ["sbatch"], "timeout": 5}


@pytest.fixture
def system(user, monkeypatch):
    """Asked through sudo by the Hub's account; what was made in the test's directory is the system's."""
    monkeypatch.setenv("SUDO_UID", str(HUB))
    owners, real = {}, Path.lstat

    def lstat(self):
        found = real(self)
        return SimpleNamespace(st_uid=owners.get(str(self), 0), st_mode=found.st_mode & ~owners.get("less", 0))

    monkeypatch.setattr(Path, "lstat", lstat)
    return owners


def ask_through_sudo(user, **request):
    return user.send_here(json.dumps({**COMMAND, "env": {"PATH": str(user.bin)}, **request}).encode())


def test_through_sudo_the_systems_own_programs_and_files_are_taken(user, system):
    (user.home / "slurm.conf").touch()
    env = {"PATH": f"/nonexistent/bin:{user.bin}", "SLURM_CONF": str(user.home / "slurm.conf"), "TZ": "Europe/Berlin"}
    assert ask_through_sudo(user, env=env)["ok"]
    system[str(user.bin / "sbatch")] = 64  # an account of the system's, say the batch system's own
    assert ask_through_sudo(user, env=env)["ok"]


@pytest.mark.parametrize("owner", [HUB, 1000, 60000])
@pytest.mark.parametrize("where", ["bin", "bin/sbatch", "home/slurm.conf", "home/link"])
def test_through_sudo_what_people_could_have_put_there_is_refused(user, system, owner, where):
    """A directory of PATH, the program, a file that names plug-ins, a link to one."""
    (user.home / "slurm.conf").touch()
    (user.home / "link").symlink_to(user.home / "slurm.conf")
    system[str(user.home.parent / where)] = owner
    answer = ask_through_sudo(user, env={"PATH": str(user.bin), "SLURM_CONF": str(user.home / "link")})
    assert not answer["ok"] and "not the system's alone to write" in answer["error"]
    assert not (user.record / "argv").exists()


@pytest.mark.parametrize("variable", [
    "SLURM_CONF=/tmp/not-there-yet/slurm.conf", "PATH=/opt/bin:/tmp/not-there-yet",
    "CONDOR_CONFIG=/var/tmp/not-there-yet", "SLURM_CONF=/usr/../tmp/not-there-yet", "LSF_ENVDIR=a,/tmp/not-there-yet",
    "LSF_ENVDIR=/tmp", "SGE_ROOT=/var/tmp/", "PATH=/usr/bin:/tmp"])
def test_through_sudo_what_anybody_could_still_make_is_refused(user, system, variable):
    name, value = variable.split("=", 1)
    value = f"{value}:{user.bin}" if name == "PATH" else value
    answer = ask_through_sudo(user, env={"PATH": str(user.bin), name: value})
    assert not answer["ok"] and "leads through /" in answer["error"] and not (user.record / "argv").exists()


@pytest.mark.parametrize("mark", ":,; =")
def test_through_sudo_a_path_with_the_mark_of_a_list_in_it_is_one_path_too(user, system, mark):
    """What is root's in a directory that is open to all may have neighbours that are not."""
    (user.home / "roots").touch()
    user.home.chmod(0o1777)
    roots = {"PATH": str(user.bin), "SLURM_CONF": f"{user.home}/roots"}
    assert ask_through_sudo(user, env=roots)["ok"]
    answer = ask_through_sudo(user, env={**roots, "SLURM_CONF": f"{user.home}/roots{mark}/x"})
    assert not answer["ok"] and "leads through" in answer["error"]


def test_through_sudo_no_variable_argument_or_line_names_what_runs_here(user, system):
    (user.bin / "qsub").symlink_to("sbatch")
    for request, words in (({"env": {"PATH": str(user.bin), "TZ": "/var/tmp/x"}}, "cannot be the value of TZ"),
                           ({"argv": ["qsub", "-jsv", "x"]}, "is no argument of qsub"),
                           ({"argv": ["qsub"], "stdin": "#$ -jsv x\n"}, "-jsv or -@")):
        answer = ask_through_sudo(user, **request)
        assert not answer["ok"] and words in answer["error"] and not (user.record / "argv").exists()


def test_through_sudo_root_may_leave_a_programs_arguments_and_lines_to_the_hub(user, system, more):
    (user.bin / "qsub").symlink_to("sbatch")
    more.write_text("qsub")
    more.chmod(0o644)
    assert ask_through_sudo(user, argv=["qsub", "-ac", "a"], stdin="#$ -jsv x\n")["ok"]
    assert "is no argument of sbatch" in ask_through_sudo(user, argv=["sbatch", "-o", "a"])["error"]


def test_without_sudo_all_of_it_is_the_users_own(user):
    assert run_here(user, argv=["sbatch", "-o", "a"])["ok"]


def test_through_sudo_nothing_runs_on_this_machine_unless_root_says_so(user, system, more):
    (user.bin / helper.LOCAL).symlink_to("sbatch")
    assert "is not a program of a batch system" in ask_through_sudo(user, argv=[helper.LOCAL])["error"]
    more.write_text(helper.LOCAL)
    more.chmod(0o644)
    assert ask_through_sudo(user, argv=[helper.LOCAL])["ok"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
@pytest.mark.parametrize("make", ["owner", "mode", "link"])
def test_a_place_that_somebody_else_could_exchange_takes_no_session(user, tmp_path, make):
    """Whoever may rename the directory's parent puts his own there and gets the keys."""
    place = tmp_path / "scratch/alice/sessions"
    place.mkdir(parents=True)
    if make == "owner":
        os.chown(place.parent, 12345, 12345)
    elif make == "mode":
        place.parent.chmod(0o777)
    else:
        (tmp_path / "link").symlink_to(place)
        os.chown(tmp_path / "link", 12345, 12345, follow_symlinks=False)
        place = tmp_path / "link"
    assert "no place for session directories" in user.refused("submit", session_dir=str(place / "jupyter-abc"))
    assert not list((tmp_path / "scratch/alice/sessions").iterdir())
    place.parent.chmod(0o1777)
    if make == "mode":
        assert user.send_here(user.request("submit", session_dir=str(place / "jupyter-abc")))["ok"]
