"""Server-sent events, as the HTML standard defines them: lines to events."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RawEvent:
    """An event as it was sent."""

    name: str
    data: str
    id: str | None
    """Its own; what an earlier event had counts for whoever comes back, and not for this one."""


class Lines:
    """Collects lines until an event is whole."""

    def __init__(self) -> None:
        self.retry_seconds: float | None = None
        self._id: str | None = None
        self._name = ""
        self._data: list[str] = []

    def add(self, line: str) -> RawEvent | None:
        """The event that this line ends, if it does."""
        if line:
            self._field(line)
            return None
        event = RawEvent(self._name or "message", "\n".join(self._data), self._id)
        self._name, self._data, self._id = "", [], None
        return event if event.data or event.id or event.name != "message" else None

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._name = value
        elif name == "data":
            self._data.append(value)
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isdecimal():
            self.retry_seconds = int(value) / 1000
