"""What a chat model asks `resolve` for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ._need import Need


@dataclass(frozen=True)
class Ask:
    """A model by name, or by what it must be; and how patient the caller is."""

    model: str | None = None
    need: Need | None = None
    purpose: str | None = None
    namespace: str | None = None
    patience_seconds: float = 30.0
    """How long a call is tried, over all targets, before its last error is raised."""
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.model or str(dict(self.need or {}))
