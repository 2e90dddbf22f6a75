"""The last good answers: they spare transfers by ETag, and serve while the API is away."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any

from . import models
from ._base import stamp
from ._keys import without_ended

MAX_ANSWERS = 256
# While the API is away nobody waits for it more often than this, where an answer is at hand.
PAUSE_SECONDS = (1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True)
class Kept:
    """An answer, and since when it is known."""

    answer: Any
    etag: str | None
    said_at: float


class Memory:
    """At most 256 answers, those that were used last."""

    def __init__(self, max_stale_seconds: float | None) -> None:
        self._max_stale = max_stale_seconds
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, Kept] = OrderedDict()
        self._failures = 0
        self._pause_until = 0.0

    def find(self, key: Hashable) -> Kept | None:
        """The answer that may still be given."""
        with self._lock:
            kept = self._kept.get(key)
            if kept is None:
                return None
            too_old = self._max_stale is not None and time.monotonic() - kept.said_at > self._max_stale
            # A key that has ended ends its target, and not those beside it.
            answer = without_ended(kept.answer) if isinstance(kept.answer, models.ResolveAnswer) else kept.answer
            if too_old or answer is None:
                del self._kept[key]
                return None
            if answer is not kept.answer:
                kept = self._kept[key] = replace(kept, answer=answer)
            self._kept.move_to_end(key)
            return kept

    def keep(self, key: Hashable, answer: Any, etag: str | None) -> Any:
        """Keeps an answer that just came; gives it back with its age."""
        answer = stamp(answer, time.monotonic(), from_memory=False)
        with self._lock:
            self._kept[key] = Kept(answer, etag, time.monotonic())
            self._kept.move_to_end(key)
            while len(self._kept) > MAX_ANSWERS:
                self._kept.popitem(last=False)
        return answer

    def renew(self, key: Hashable, kept: Kept) -> Any:
        """The API says that the answer still holds."""
        renewed = replace(kept, answer=stamp(kept.answer, time.monotonic(), False), said_at=time.monotonic())
        with self._lock:
            self._kept[key] = renewed
            self._kept.move_to_end(key)
        return renewed.answer

    def forget(self, key: Hashable) -> None:
        """The API says something else now: that it is gone, or not for this caller."""
        with self._lock:
            self._kept.pop(key, None)

    def clear(self) -> None:
        """Forgets all."""
        with self._lock:
            self._kept.clear()

    @staticmethod
    def stale(kept: Kept) -> Any:
        """The answer, marked as one that the API could not confirm."""
        return stamp(kept.answer, kept.said_at, from_memory=True)

    @property
    def pauses(self) -> bool:
        """Whether the API was away a moment ago."""
        return time.monotonic() < self._pause_until

    def answered(self) -> bool:
        """The API is there; true where it was away before."""
        with self._lock:
            was_away, self._failures, self._pause_until = self._failures > 0, 0, 0.0
            return was_away

    def missed(self) -> bool:
        """The API is away; true where it was there before."""
        with self._lock:
            pause = PAUSE_SECONDS[min(self._failures, len(PAUSE_SECONDS) - 1)]
            self._failures += 1
            self._pause_until = time.monotonic() + pause
            return self._failures == 1
