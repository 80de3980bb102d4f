"""The staged code's only entry: ``python3 SESSION_DIR/run.py VERB …`` (the helper puts this file beside ``node/``)."""
import sys

from node.verbs import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
