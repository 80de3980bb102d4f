"""A bound on what runs at once, fair between users: whoever asks for much delays himself."""
import asyncio
from collections import OrderedDict, deque
from contextlib import asynccontextmanager


class Turns:
    """At most ``limit`` at once. Who waits is served user by user, and each user's wishes in their order."""

    def __init__(self, limit):
        self._free = limit
        self._waiting = OrderedDict()

    @asynccontextmanager
    async def turn(self, username):
        await self._take(username)
        try:
            yield
        finally:
            self._pass_on()

    def __len__(self):
        """How many wait."""
        return sum(map(len, self._waiting.values()))

    async def _take(self, username):
        if self._free:
            self._free -= 1
            return
        mine = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(username, deque()).append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():
                self._pass_on()
            raise

    def _pass_on(self):
        """To the user whose turn it is; who went away meanwhile is left out."""
        while self._waiting:
            username, wishes = self._waiting.popitem(last=False)
            first = wishes.popleft()
            if wishes:
                self._waiting[username] = wishes  # behind all others
            if not first.done():
                first.set_result(None)
                return
        self._free += 1
