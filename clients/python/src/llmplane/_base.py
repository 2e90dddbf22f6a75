"""What every answer of the API has in common."""

from __future__ import annotations

import time
from typing import Any

from pydantic import BaseModel, ConfigDict, PrivateAttr


class Answer(BaseModel):
    """An answer, or a part of one.

    Fields that this version does not know are left out, and words that it does not know are kept: a newer
    server does not break an older client.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, protected_namespaces=())

    # When the API last said so, by the monotonic clock.
    _said_at: float | None = PrivateAttr(default=None)
    _from_memory: bool = PrivateAttr(default=False)

    def __eq__(self, other: object) -> bool:
        """The same answer, whenever it was given."""
        return type(self) is type(other) and self.__dict__ == other.__dict__

    @property
    def is_stale(self) -> bool:
        """Whether the API was away when it was asked for, so that this is the last good answer."""
        return self._from_memory

    @property
    def age_seconds(self) -> float:
        """Seconds since the API said so."""
        return 0.0 if self._said_at is None else max(0.0, time.monotonic() - self._said_at)


def stamp(answer: Any, said_at: float, from_memory: bool) -> Any:
    """The same answer, which tells its age; so do the answers in it."""
    if isinstance(answer, Answer):
        fields = {name: stamp(getattr(answer, name), said_at, from_memory) for name in type(answer).model_fields}
        copy = answer.model_copy(update=fields)
        copy._said_at = said_at
        copy._from_memory = from_memory
        return copy
    if isinstance(answer, list):
        return [stamp(item, said_at, from_memory) for item in answer]
    return answer
