"""What belongs to an event loop: a connection can be used, and closed, in the one that opened it alone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerLoop(Generic[T]):
    """One of each for every event loop. It is closed with its loop, or before by `end` or `aclose`.

    A loop closes the asynchronous generators that began in it before it ends (`shutdown_asyncgens`, as
    `asyncio.run` has it), so that what is to be closed is held by such a one. Where a loop ends without, it is
    dropped as soon as another one asks.
    """

    def __init__(self, make: Callable[[], tuple[T, Callable[[], Awaitable[None]]]]) -> None:
        """`make` gives one, and how it is closed."""
        self._make = make
        self._lock = threading.Lock()
        self._held: dict[asyncio.AbstractEventLoop, tuple[T, AsyncGenerator[None, None]]] = {}

    async def get(self) -> T:
        """The one of the loop that runs."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if (held := self._held.get(loop)) is not None:
                return held[0]
            for other in [other for other in self._held if other.is_closed()]:
                del self._held[other]
            one, close = self._make()
            life = self._life(loop, one, close)
            self._held[loop] = (one, life)
        await anext(life)
        return one

    async def _life(
        self, loop: asyncio.AbstractEventLoop, one: T, close: Callable[[], Awaitable[None]]
    ) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            with self._lock:
                if loop in self._held and self._held[loop][0] is one:
                    del self._held[loop]
            await close()

    async def aclose(self) -> None:
        """Closes the one of the loop that runs."""
        with self._lock:
            held = self._held.pop(asyncio.get_running_loop(), None)
        if held is not None:
            await held[1].aclose()

    def end(self) -> None:
        """Has every loop close its own, as soon as it runs."""
        with self._lock:
            held, self._held = self._held, {}
        for loop, (_, life) in held.items():
            if not loop.is_closed():
                asyncio.run_coroutine_threadsafe(_closed(life), loop)


async def _closed(life: AsyncGenerator[None, None]) -> None:
    await life.aclose()
