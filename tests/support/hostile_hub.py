"""A real Hub whose batch system refuses every job, but one on request, and keeps what it was sent; and the roads to
it, as a browser has them and as others misuse them."""
import http.cookiejar
import json
import re
import urllib.error
import urllib.parse
import urllib.request

from jupyterhub_hpc_spawner.errors import OptionErrors

from . import hostile
from .running_hub import TOKEN, Answer, RunningHub, server_path, wait_for

CONFIG = hostile.SITE + """
c.JupyterHub.tornado_settings = {{"slow_spawn_timeout": 60}}
c.HPCSpawner.command_environment = {{"PATH": "{directory}/bin"}}
c.HPCSpawner.helper_prefix = ["env"]
c.HPCSpawner.start_estimates = False
"""
SBATCH = """#!/bin/sh
[ ! -e "{directory}/take" ] || {{ cat >"{directory}/taken"; echo 7; exit; }}
cat >"{directory}/submitted.new" && mv "{directory}/submitted.new" "{directory}/submitted.$$"
echo "sbatch: error: no jobs today" >&2
exit 1
"""
# Nothing is listed; of a job that was taken nothing is known.
SQUEUE = """#!/bin/sh
[ ! -e "{directory}/taken" ]
"""
SCANCEL = """#!/bin/sh
echo "$@" >>"{directory}/cancelled"
"""
REFUSAL = "no jobs today"
SESSION = re.compile(r"--job-name=(jupyter-[0-9a-f]{12})")


class HostileHub(RunningHub):
    """``try_…`` send one request by one road; what a road did is an outcome, a word. AssertionError where it did what
    it must not."""

    user = "mallory"

    def __init__(self, directory, environment):
        root = f"{directory}/sessions"
        (directory / "bin").mkdir()
        for name, text in (("sbatch", SBATCH), ("squeue", SQUEUE), ("scancel", SCANCEL)):
            (directory / "bin" / name).write_text(text.format(directory=directory))
            (directory / "bin" / name).chmod(0o755)
        super().__init__(directory, environment / "bin", CONFIG.format(
            system="slurm", settings={}, root=root, directory=directory))
        self.site = hostile.site(directory, "slurm", root)
        self.browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))

    def submitted(self):
        """What the batch system was sent since the last look."""
        paths = sorted(path for path in self.directory.glob("submitted.*") if path.suffix != ".new")
        texts = [path.read_text() for path in paths]
        for path in paths:
            path.unlink()
        return texts

    def log_in(self):
        self.open("/hub/login")
        answer = self.open("/hub/login", {"username": self.user, "password": "x", "_xsrf": self.xsrf("/hub/")})
        assert answer.status == 200, answer
        return self

    def xsrf(self, path):
        jar = next(each for each in self.browser.handlers if hasattr(each, "cookiejar")).cookiejar
        return next(cookie.value for cookie in jar if cookie.name == "_xsrf" and cookie.path == path)

    def open(self, path, form=None, body=None, method=None, headers=None):
        """As the user's browser: with its cookies."""
        data = urllib.parse.urlencode(form, doseq=True, errors="replace").encode() if form is not None else body
        call = urllib.request.Request(self.url + path, data, headers or {}, method=method)
        try:
            with self.browser.open(call, timeout=60) as answer:
                return Answer(answer.status, answer.read(), answer.headers)
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.read(), error.headers)

    def rest(self, method, path, raw):
        """As a program with a token, which may send any JSON."""
        return self.raw(method, path, json.dumps(raw).encode())

    def raw(self, method, path, data):
        call = urllib.request.Request(f"{self.url}/hub/api{path}", data, {"Authorization": f"token {TOKEN}"},
                                      method=method)
        try:
            with urllib.request.urlopen(call, timeout=60) as answer:
                return Answer(answer.status, answer.read(), answer.headers)
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.read(), error.headers)

    def try_rest(self, raw, server=""):
        answer = self.rest("POST", f"/users/{self.user}/{server_path(server)}", {"user_options": raw})
        # JupyterHub takes what is nothing for "as the last time".
        return self.outcome(answer, raw if raw else {})

    def try_form(self, data):
        data = {key: values for key, values in data.items() if key not in ("", "_xsrf")}
        answer = self.open("/hub/spawn?_xsrf=" + urllib.parse.quote(self.xsrf("/hub/")), data)
        wait_for(lambda: not self.servers(self.user), 60, lambda: "the refused session does not end")
        return self.outcome(answer, {key: values[-1] for key, values in data.items() if values[-1].strip()},
                            answered=answer.status == 200)

    def try_link(self, data):
        query = urllib.parse.urlencode({f"opt-{key}": values for key, values in data.items()}, doseq=True)
        answer = self.open(f"/hub/spawn?{query}")
        if len(query) > 8000 and answer.status == 431:
            return "too long for the proxy, 431"
        assert answer.status == 200 and b'id="spawn_form"' in answer.body, answer
        assert not self.submitted(), (query, answer)
        return "a form, nothing started"

    def outcome(self, answer, raw, answered=False):
        """What the answer must be, by the same check as at the start; the job exactly what was asked for.

        ``answered``: before the batch system had refused, as JupyterHub answers a form after a second.
        """
        scripts = self.submitted()
        try:
            options = self.site.parse_options(raw)
        except OptionErrors:
            assert answer.status == 400 and not scripts, (raw, answer, scripts)
            return "refused, 400"
        assert answered or (answer.status == 400 and REFUSAL in answer.body.decode()), (raw, answer)
        assert len(scripts) == 1, (raw, answer, scripts)
        session = self.site.new_session()
        session.state.name = SESSION.search(scripts[0])[1]
        session.state.directory = f"{self.directory}/sessions/{session.state.name}"
        assert scripts[0] == self.site.render(options, session)[1], raw
        return "submitted as asked"
