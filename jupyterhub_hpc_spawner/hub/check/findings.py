"""What a check found, in lines for an administrator or as JSON for a program."""
import json
import sys


class Findings:
    """One line each, at once; ``failed`` says whether one of them was a failure."""

    def __init__(self, as_json):
        self.as_json = as_json
        self.all = []

    @property
    def failed(self):
        return any(finding["state"] == "FAIL" for finding in self.all)

    def ok(self, name, text):
        self._add("OK", name, text)

    def skip(self, name, why):
        self._add("SKIP", name, why)

    def fail(self, name, text, advice):
        self._add("FAIL", name, text, advice)

    def progress(self, text):
        """What the wait is for; never among the results."""
        print(f"...   {_printable(text)}", file=sys.stderr, flush=True)

    def _add(self, state, name, text, advice=""):
        text, advice = _printable(text), _printable(advice)
        self.all.append({"state": state, "name": name, "text": text, **({"advice": advice} if advice else {})})
        if not self.as_json:
            print(f"{state:5} {name}: {text}" + (f": {advice}" if advice else ""), flush=True)

    def finish(self):
        """The exit status."""
        if self.as_json:
            print(json.dumps(self.all, indent=1))
        return int(self.failed)


def _printable(text):
    """One line for a terminal, whatever a job or a program wrote."""
    return "".join(letter if letter.isprintable() else " " for letter in " ".join(str(text).split()))


class Said:
    """Findings about one software environment."""

    def __init__(self, findings, environment):
        self.findings = findings
        self.prefix = f"{environment}, " if environment else ""

    def ok(self, name, text):
        self.findings.ok(self.prefix + name, text)

    def skip(self, name, why):
        self.findings.skip(self.prefix + name, why)

    def fail(self, name, text, advice):
        self.findings.fail(self.prefix + name, text, advice)

    def progress(self, text):
        self.findings.progress(self.prefix + text)
