"""Server-sent events, as the HTML standard defines them: bytes to lines, and lines to events."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ._errors import UnexpectedAnswer

# A row is far below 2 MiB, as etcd stores it. What goes on without an end is no event.
MAX_EVENT_BYTES = 8 * 1024 * 1024
# These alone: `str.splitlines`, and with it httpx's `iter_lines`, splits on U+2028, U+2029, U+0085 and others too,
# which a row may hold.
_END_OF_LINE = re.compile(rb"\r\n|\r|\n")
_MILLISECONDS = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class RawEvent:
    """An event as it was sent."""

    name: str
    data: str
    id: str | None
    """Its own; what an earlier event had counts for whoever comes back, and not for this one."""


class Events:
    """Collects bytes until events are whole."""

    def __init__(self, max_bytes: int = MAX_EVENT_BYTES) -> None:
        self.retry_seconds: float | None = None
        self._max_bytes = max_bytes
        self._line = bytearray()
        self._after_cr = False
        self._bytes = 0
        self._id: str | None = None
        self._name = ""
        self._data: list[str] = []

    def add(self, data: bytes) -> list[RawEvent]:
        """The events that these bytes end.

        Raises:
            UnexpectedAnswer: where one has more bytes than an event may have.
        """
        if self._after_cr and data.startswith(b"\n"):
            # The second half of a CRLF, whose line has ended already.
            data, self._after_cr = data[1:], False
        if data:
            self._after_cr = data.endswith(b"\r")
        *ends, rest = _END_OF_LINE.split(data)
        events = []
        for end in ends:
            self._take(end)
            event = self._ended(self._line.decode("utf-8", "replace"))
            self._line.clear()
            if event is not None:
                events.append(event)
        self._take(rest)
        return events

    def _take(self, part: bytes) -> None:
        self._bytes += len(part)
        if self._bytes > self._max_bytes:
            raise UnexpectedAnswer(f"an event has more than {self._max_bytes} bytes, which no row has")
        self._line += part

    def _ended(self, line: str) -> RawEvent | None:
        if line:
            self._field(line)
            return None
        event = RawEvent(self._name or "message", "\n".join(self._data), self._id)
        self._name, self._data, self._id, self._bytes = "", [], None, 0
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
        elif name == "retry" and _MILLISECONDS.fullmatch(value):
            self.retry_seconds = int(value) / 1000
