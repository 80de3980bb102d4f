"""The helper and the way to it: who could change it, and whether sudo allows it and no more."""
import os
import pwd
import stat
import subprocess
import sys
from pathlib import Path

from ...errors import HelperError, QueryError
from ..commands import HELPER
from ..session import new_name

SUDO_PATIENCE = 20


class HelperCheck:
    """``user`` is as whom it would act, "" where nobody was named."""

    def __init__(self, spawner, user, findings):
        self.spawner = spawner
        self.user = user
        self.findings = findings

    def look(self):
        """At the program itself."""
        name, path = "helper", self.spawner.helper
        if self.spawner.helper_prefix:
            return self.findings.skip(name, f"it is where {self.spawner.helper_prefix[0]} leads to, and not looked at")
        if not os.access(path, os.X_OK):
            return self.findings.fail(name, f"{path} is not there, or cannot be run",
                                      f"set c.HPCSpawner.helper to where {HELPER} is installed")
        if self._as_itself():
            return self.findings.ok(name, f"{path}, run by the user itself")
        for part in (path, Path(__file__).parents[2] / "helper.py", sys.executable):
            if loose := writable(Path(part)) or writable(Path(part).resolve()):
                return self.findings.fail(name, f"{loose}, and what is there runs as users",
                                          "install it where root alone can write")
        self.findings.ok(name, f"{path}, only root can change it")

    def _as_itself(self):
        try:
            return not self.user or pwd.getpwnam(self.user).pw_uid == os.geteuid()
        except KeyError:
            return False

    async def answers(self):
        """With a verb that does nothing: the log of a session that is not there."""
        try:
            await self.spawner.cluster.helper.ask(
                self.user, "end", SUDO_PATIENCE, session_dir=f"/{new_name()}", lines=0, remove=False)
        except (HelperError, QueryError) as error:
            self.findings.fail("acting as the user", error, self._advice())
            return False
        loose = [what for what in (("root", self.spawner.helper), (self.user, "/bin/sh")) if self._sudo_allows(*what)]
        if loose:
            also = " and ".join(f"{program} as {user}" for user, program in loose)
            self.findings.fail("acting as the user", f"sudo also allows {also}",
                               f"the Hub needs only {self._sudoers_line()}")
        else:
            self.findings.ok("acting as the user", f"the helper answers as {self.user}")
        return True

    def _advice(self):
        if self.spawner.helper_prefix:
            return f"try it: echo {{}} | {' '.join(self.spawner.helper_prefix)} {self.spawner.helper}"
        return f"a file below /etc/sudoers.d must have the line {self._sudoers_line()}"

    def _sudoers_line(self):
        return f'{account_name(os.geteuid())} ALL=({self.user}) NOPASSWD: {self.spawner.helper} ""'

    def _sudo_allows(self, user, program):
        """Whether the sudoers file says so; nothing is run."""
        if self.spawner.helper_prefix or self._as_itself() or os.geteuid() == 0:
            return False
        done = subprocess.run(["sudo", "-n", "-l", "-u", user, "--", program], capture_output=True, check=False,
                              timeout=SUDO_PATIENCE, stdin=subprocess.DEVNULL)
        return done.returncode == 0


def writable(path):
    """Why others than root could change what is at the path, or None."""
    for part in (path, *path.parents):
        there = part.stat()
        if there.st_uid != 0:
            return f"{part} belongs to {account_name(there.st_uid)}"
        others = there.st_mode & (0o002 if there.st_gid == 0 else 0o022)
        if others and not (stat.S_ISDIR(there.st_mode) and there.st_mode & stat.S_ISVTX):
            return f"{part} can be written by others than root"
    return None


def account_name(uid):
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
