"""When what ended starts again: at once, and later each time where it ends right after its start."""
import time

LASTED = 10
DELAYS = (0, 0, 0.5, 1, 2, 5, 10, 30)


class Backoff:
    """Of one process and those that come after it. ``quick_ends`` counts how many in a row did not last."""

    quick_ends = 0

    def begin(self):
        self.began = time.monotonic()

    def end(self, as_told=False):
        """Seconds until the next."""
        fine = as_told or time.monotonic() - self.began > LASTED
        self.quick_ends = 0 if fine else self.quick_ends + 1
        return DELAYS[min(self.quick_ends, len(DELAYS) - 1)]
