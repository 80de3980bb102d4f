"""What runs in the Hub's process: all of its I/O is in ``commands``."""
