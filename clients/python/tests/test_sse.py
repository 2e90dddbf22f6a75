"""Server-sent events, byte by byte."""

from __future__ import annotations

import pytest

import llmplane
from llmplane._sse import Events, RawEvent

# What Python takes for the end of a line, and the standard does not.
OTHER_ENDS = "\u2028\u2029\x85\x0b\x0c\x1c\x1d\x1e"


def test_lines_end_by_cr_lf_and_crlf_wherever_the_bytes_are_parted() -> None:
    first, second = "id: 1\revent: upsert\rdata: a\r\r", "id: 2\nevent: delete\ndata: b\ndata: ä\n\n"
    text = f"retry: 1500\r\n\r\n{first}{second}: comment\r\n\r\n"
    wanted = [RawEvent("upsert", "a", "1"), RawEvent("delete", "b\nä", "2")]
    sent = text.encode()
    for size in range(1, len(sent) + 1):
        events = Events()
        found = [event for at in range(0, len(sent), size) for event in events.add(sent[at : at + size])]
        assert found == wanted, size
        assert events.retry_seconds == 1.5


@pytest.mark.parametrize("end", OTHER_ENDS)
def test_nothing_else_ends_a_line(end: str) -> None:
    data = f"a{end}event: reset{end}id: 99999{end}{end}data: b"
    (event,) = Events().add(f"id: 5\nevent: upsert\ndata: {data}\n\n".encode())
    assert event == RawEvent("upsert", data, "5")


def test_an_event_without_an_end_is_given_up() -> None:
    for more in (b"data: " + b"x" * 100, b"data: x\n" * 100, b": x\n" * 100, b"x" * 100):
        events = Events(max_bytes=1000)
        with pytest.raises(llmplane.UnexpectedAnswer, match="1000 bytes"):
            for _ in range(100):
                events.add(more)
    events = Events(max_bytes=1000)
    assert sum(len(events.add(b"data: " + b"x" * 900 + b"\n\n")) for _ in range(100)) == 100


@pytest.mark.parametrize("retry", ["9" * 5000, "-1", "1.5", "\u0661", ""])
def test_a_retry_that_is_no_number_is_passed_over(retry: str) -> None:
    events = Events()
    assert events.add(f"retry: {retry}\n\n".encode()) == []
    assert events.retry_seconds is None
