"""The contract of a parallel runtime: what the notebook's environment gets and what the launcher starts.

Knows nothing of batch systems; ``remote_run`` and ``mpi_run`` are the only ways to other nodes. The part that starts
things is the class ``Runtime`` in the module of the same name in ``node/``.
"""
from typing import Any, Mapping, Protocol

from ..options import Options


class Runtime(Protocol):
    name: str
    credentials: str  # the session's file that takes a TLS certificate with its key; "" for none
    extra: str  # the module in ``node/`` whose ``Runtime`` an extra job starts
    joins: bool  # whether that is a part of the session's own (Dask's workers), or one more of its kind

    def wanted(self, options: Options) -> bool:
        """Whether the user asked for it."""

    def environment(self, session_dir: str) -> Mapping[str, str]:
        """Variables of the whole session: server, kernels and the runtime's own processes."""

    def plan(self, options: Options, remote_run: list[str], mpi_run: list[list[str]],
             settings: Mapping[str, Any]) -> dict[str, Any]:
        """What ``node/`` needs to start it: JSON with ``name``. ``settings`` are the site's. ConfigError."""
