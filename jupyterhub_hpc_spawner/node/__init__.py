"""What runs inside the job, on compute nodes.

Staged beside the job script and started by whatever Python (3.8 or newer) the user's environment has, which need
not have this package: standard library only at import, and no import of the rest of the package.
"""
