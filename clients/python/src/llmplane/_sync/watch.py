# Made by generate.py; edit _async/watch.py instead.
"""Changes as they happen, over a stream that is taken up again where it broke off."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from .._calls import API, Call, params, text_of
from .._errors import ApiUnreachable, RateLimited, ServerError, Unauthorized, Unavailable
from .._events import Event, event_of
from .._sse import Lines
from .._waiting import sleep
from .transport import Transport

# Two heartbeats that did not come.
SILENCE_SECONDS = 30.0
MAX_PAUSE_SECONDS = 15.0


class Watch:
    """One watch: remembers what came last, so that no event is missed or told twice."""

    def __init__(self, transport: Transport, namespace: str | None, kinds: Sequence[str], since: str | None) -> None:
        self._transport = transport
        asked = {"namespace": namespace or transport.settings.namespace, "kind": list(kinds)}
        self._call = Call("GET", f"{API}/watch", text_of, params(asked))
        self._last_id = since
        self._failures = 0
        self._retry_seconds = 0.25
        self._token = ""

    def beats(self) -> Iterator[Event | None]:
        """Every event, and None for each heartbeat, for as long as the caller asks for the next.

        Raises:
            ApiError: where the API refuses, for example since the right has ended.
        """
        while True:
            try:
                for event in self._until_it_breaks():
                    yield event
                self._failures = 0
            except (ApiUnreachable, Unavailable, ServerError, RateLimited) as error:
                self._failures += 1
                asked = getattr(error, "retry_after", None)
                if asked is not None:
                    sleep(asked)
            except Unauthorized:
                # The token was renewed while the stream was open, or does not count any more.
                if self._token == self._transport.settings.token.read().get_secret_value():
                    raise
            sleep(self._pause())

    def _until_it_breaks(self) -> Iterator[Event | None]:
        headers = {"Accept": "text/event-stream"}
        if self._last_id is not None:
            headers["Last-Event-ID"] = self._last_id
        self._token = self._transport.settings.token.read().get_secret_value()
        lines = Lines()
        with self._transport.stream(self._call, headers, SILENCE_SECONDS) as response:
            for line in response.iter_lines():
                raw = lines.add(line)
                if lines.retry_seconds is not None:
                    self._retry_seconds = lines.retry_seconds
                if raw is None:
                    continue
                self._failures = 0
                yield event_of(raw)
                # Once the caller has taken it: who comes back then gets what follows.
                if raw.id is not None:
                    self._last_id = raw.id

    def _pause(self) -> float:
        longest = self._retry_seconds * 2.0 ** min(self._failures, 8)
        return min(MAX_PAUSE_SECONDS, longest) * random.uniform(0.5, 1.0)
