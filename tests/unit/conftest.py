"""Settings of the unit tests; no test here needs a network, root or a batch system."""
from hypothesis import settings

# No deadline: the tests run beside others. No database: a run leaves nothing behind.
settings.register_profile("unit", deadline=None, database=None, max_examples=100)
settings.load_profile("unit")
