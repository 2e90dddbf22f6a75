"""Server-sent events, as the HTML standard defines them: lines to events."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RawEvent:
    """An event as it was sent."""

    name: str
    data: str
    id: str | None


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
        name, data = self._name or "message", self._data
        self._name, self._data = "", []
        if not data and name == "message":
            return None
        return RawEvent(name, "\n".join(data), self._id)

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
