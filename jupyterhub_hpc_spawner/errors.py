"""What can go wrong, and who must act.

::

    HPCSpawnerError
    ├── OptionError         the user: one field of the request is not acceptable (a ValueError)
    ├── OptionErrors        the user: all of a request's OptionErrors at once (a ValueError)
    ├── ConfigError         the site's administrator: jupyterhub_config.py
    ├── SubmitError         the user: the batch system refused the job, in its own words
    ├── QueryError          nobody yet: the batch system did not answer; nothing is known
    │   └── TimedOut        a command took too long: what it was to do may be done or not
    ├── ParseError          us: the batch system answered something we do not understand
    └── HelperError         the administrator: the helper could not act as the user
        └── NoAnswer        its answer is none: what it was to do may be done or not
"""


class HPCSpawnerError(Exception):
    """Base of all errors of this package; never raised itself."""


class OptionError(HPCSpawnerError, ValueError):
    """One field of the request is not acceptable.

    ``field`` is a key of the option vocabulary, ``message`` a sentence for the user.
    """

    def __init__(self, field, message):
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class OptionErrors(HPCSpawnerError, ValueError):
    """A request is not acceptable; ``errors`` holds one OptionError for each bad field."""

    def __init__(self, errors):
        self.errors = tuple(errors)
        super().__init__("; ".join(str(error) for error in self.errors))


class ConfigError(HPCSpawnerError):
    """The site's configuration cannot work; the text names the setting."""


class SubmitError(HPCSpawnerError):
    """The batch system refused the job; the text is its own."""


class QueryError(HPCSpawnerError):
    """The batch system could not be asked. Says nothing about any job."""


class TimedOut(QueryError):
    """A command was given up. What it was to do may be done or not."""


class ParseError(HPCSpawnerError):
    """The batch system's answer was not understood; carries the command and the text."""

    def __init__(self, message, completed):
        super().__init__(f"{message}: {' '.join(completed.argv)!r} answered {completed.stdout[:500]!r}")
        self.completed = completed


class HelperError(HPCSpawnerError):
    """The helper could not act as the user; the text says what to check."""


class NoAnswer(HelperError):
    """The helper began, and its answer is none. What it was to do may be done or not."""
