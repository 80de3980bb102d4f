"""Keeps what no single-user server uses out of the server's process, so that it starts faster."""
import sys


def prepare():
    # jsonschema's optional "iri" format check builds a grammar at import.
    sys.modules["rfc3987_syntax"] = None
