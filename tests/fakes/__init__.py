"""A toy batch scheduler as real programs, one flavour per batch system.

A test makes a ``toy.Toy``: a directory with the system's programs in ``bin``, each a line that runs ``program.py``. The
flavour (``pbs.py``, ``slurm.py`` …) reads command line and directives and prints what the real system prints;
``store.py`` keeps the jobs as files; ``mom.py`` is the process above each job, which runs the script as this system
does, signals it as this system does, and starts its tasks on "other nodes": all of them are this machine, in UTS name
spaces with names of their own. ``faults.json`` and ``control.json`` in the directory say what goes wrong. A command
line that a toy does not know is an error that the test sees (``Toy.strange``).

Standard library only.
"""
