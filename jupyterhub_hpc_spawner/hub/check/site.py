"""The checks in their order, and those that need no job."""
import os
import pwd
import time
from itertools import chain

from ...batch.base import info_rounds, require_success
from ...errors import ConfigError, HelperError, HPCSpawnerError, OptionErrors
from .. import staging
from ..commands import run
from ..session import new_name
from .helper import HelperCheck, account_name
from .job import JobCheck
from .listener import hub_listener


class SiteCheck:
    """One site; ``arguments`` are those of the command line."""

    def __init__(self, spawner, arguments, findings):
        self.spawner = spawner
        self.cluster = spawner.cluster
        self.arguments = arguments
        self.findings = findings
        self.user = arguments.user

    async def run(self):
        await self.spawner.apply_group_overrides()
        helper = HelperCheck(self.spawner, self.user, self.findings)
        self._account()
        helper.look()
        await self._batch_system()
        self._requests()
        if not self.user:
            self.findings.skip("user", "nothing was tried as a user: name one with --user")
        elif self._user_exists() and await helper.answers() and await self._directory():
            await self._jobs()

    def _account(self):
        """The Hub's own files tell whose it is."""
        me = account_name(os.geteuid())
        for path in (self.spawner.parent.cookie_secret_file, self.spawner.parent.db_url.removeprefix("sqlite:///")):
            if os.path.exists(path) and os.stat(path).st_uid != os.geteuid():
                owner = account_name(os.stat(path).st_uid)
                return self.findings.fail("account", f"this is {me}, and the Hub's {path} belongs to {owner}",
                                          f"run the check as the Hub's account: sudo -u {owner} …")
        self.findings.ok("account", f"everything is asked as {me}; that must be the Hub's account")

    async def _batch_system(self):
        """Every command that the Hub runs as itself, as it runs it."""
        answers, system = {}, self.cluster.system
        info = chain.from_iterable(commands.items() for commands in info_rounds(system, answers))
        for name, argv in chain([("status", system.status_command())], info):
            start = time.monotonic()
            try:
                answers[name] = require_success(await run(argv, env=self.cluster.env, timeout=self.cluster.timeout))
                told = f"{len(system.parse_status(answers.pop(name)))} jobs" if name == "status" else "answered"
                self.findings.ok(f"batch system, {name}", f"{argv[0]}: {told} after {time.monotonic() - start:.2f} s")
            except HPCSpawnerError as error:
                self.findings.fail(f"batch system, {name}", error, "its commands must work for this account; PATH and "
                                   "the like go into c.HPCSpawner.command_environment")
        if answers:
            self.cluster.info = system.parse_info(answers)

    def _requests(self):
        """That users could start what the site offers: the form as it comes, and each preset."""
        wrong = False
        for what, options in (("the form as it comes", {}),
                              *((f"profiles[{name!r}]", {"profile": name}) for name in self.spawner.profiles)):
            try:
                self.spawner.parse_options(options)
            except (OptionErrors, ConfigError) as error:
                wrong = True
                self.findings.fail("requests", f"{what} is refused: {error}",
                                   "correct limits, allowed, profiles or the req_* settings")
        if not wrong:
            self.findings.ok("requests", f"the form as it comes and {len(self.spawner.profiles)} presets are accepted")

    def _user_exists(self):
        try:
            home = pwd.getpwnam(self.user).pw_dir
        except KeyError:
            if self.spawner.helper_prefix:
                self.findings.skip("user", f"{self.user} is not known here")
                return True
            self.findings.fail("user", f"there is no system user {self.user} on this machine",
                               "make the cluster's users known here (LDAP, sssd), or name another with --user")
            return False
        self.findings.ok("user", f"{self.user}, home {home}")
        return True

    async def _directory(self):
        """A session's files are staged and removed; in place of a job is submitted that its owner asks for jobs."""
        name = "session directory"
        advice = "the user must be able to write there: set c.HPCSpawner.session_root to a place that is on all nodes"
        directory = f"{staging.session_root(self.spawner)}/{new_name()}"
        helper, patience = self.cluster.helper, self.cluster.timeout
        try:
            try:
                done = await helper.run(self.user, self.cluster.system.status_command(), patience, verb="submit",
                                        session_dir=directory, files={}, stdin="")
            finally:
                await helper.ask(self.user, "end", patience, session_dir=directory, lines=0, remove=True)
            self.cluster.system.parse_status(done)
        except HelperError as error:
            self.findings.fail(name, error, advice)
            return False
        except HPCSpawnerError as error:
            self.findings.fail("batch system, as the user", error, f"{self.user} must be able to use its commands")
            return False
        self.findings.ok(name, f"made and removed in {os.path.dirname(directory)}")
        return True

    async def _jobs(self):
        wanted = self.arguments.environment
        if wanted and wanted not in self.spawner.environments and not self.spawner.custom_environment:
            return self.findings.fail("environment", f"there is no {wanted!r}", "one of " + ", ".join(
                self.spawner.environments))
        async with hub_listener(self.spawner, self.findings) as peers:
            for environment in [wanted] if wanted else [*self.spawner.environments] or [None]:
                await JobCheck(self.spawner, environment, self.arguments, self.findings, peers).run()
