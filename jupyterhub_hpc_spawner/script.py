"""JobRequest to job script: the request is the only input, every value is quoted once, no clock, no environment."""
import re
import shlex
from functools import cache

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PackageLoader, StrictUndefined

from .errors import ConfigError
from .units import format_clock, format_walltime

# sbatch(1) and qsub(1) read quotes and backslashes in directives each in their own way: none may come this far.
_DIRECTIVE = re.compile(r"[\w.,:/=+@%~&|*()\[\]-]+")


def directive(value):
    """The value as it stands on a directive line. Raises ConfigError for what could reach beyond it."""
    text = str(value)
    if not _DIRECTIVE.fullmatch(text):
        raise ConfigError(f"{text!r} cannot stand in a directive of a job script")
    return text


def directive_line(value):
    """A whole directive of the site's configuration, blanks and quotes included, but never a second line."""
    if "\n" in value or "\r" in value or "\0" in value:
        raise ConfigError(f"{value!r} is more than one line")
    return value


def quote(value):
    """One word of the shell, whatever it holds. Raises ConfigError for NUL, which no word can hold."""
    if "\0" in str(value):
        raise ConfigError(f"{value!r} holds a NUL")
    return shlex.quote(str(value))


def make_templates(site_paths=()):
    """The templates of the package, where a file of the same name in a site's directory comes first.

    A site's template extends ours by the name ``default/…`` and overrides single blocks. What was read is kept, and
    read again when its file changes.
    """
    return _templates(tuple(map(str, site_paths)))


@cache
def _templates(site_paths):
    package = PackageLoader("jupyterhub_hpc_spawner.templates", "")
    env = Environment(
        loader=ChoiceLoader([FileSystemLoader(site_paths), package, _Default(package)]),
        undefined=StrictUndefined, autoescape=lambda name: name is not None and ".html" in name,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )
    env.filters.update(quote=quote, directive=directive, directive_line=directive_line, walltime=format_walltime,
                       clock=format_clock)
    return env


class _Default(PackageLoader):
    """``default/job/slurm.sh.j2`` is the package's own, also for a site's file of the same name."""

    def __init__(self, package):
        self.package = package

    def get_source(self, environment, template):
        return self.package.get_source(environment, template.removeprefix("default/"))


def render_script(request, system, templates):
    """The job script for one batch system."""
    return templates.get_template(system.template).render(request=request, system=system)


def render_submission(request, system, templates):
    """(what the submit command reads, the session's further files by name)."""
    script = render_script(request, system, templates)
    if not system.description:
        return script, {}
    return templates.get_template(system.description).render(request=request, system=system), {"job.sh": script}


def environment_file(env):
    """Shell text that exports the variables; bad names raise ConfigError, values may hold anything but NUL."""
    for name in env:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise ConfigError(f"environment: {name!r} is not a name of a variable")
    return "".join(f"export {name}={quote(value)}\n" for name, value in sorted(env.items()))
