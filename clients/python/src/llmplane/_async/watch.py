"""Changes as they happen, over a stream that is taken up again where it broke off."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import AsyncIterator, Sequence

from .._calls import API, Call, params, text_of
from .._errors import ApiUnreachable, LlmplaneError, RateLimited, ServerError, Unauthorized, Unavailable, brief
from .._events import Beat, Event, event_of
from .._sse import Events
from .._waiting import async_sleep
from .transport import AsyncTransport

log = logging.getLogger("llmplane")

# Two heartbeats that did not come.
SILENCE_SECONDS = 30.0
MAX_PAUSE_SECONDS = 15.0
# How long whoever leaves off meanwhile may have to wait for it.
LEAVE_OFF_SECONDS = 0.5


class AsyncWatch:
    """One watch: remembers what came last, so that no event is missed or told twice."""

    def __init__(
        self, transport: AsyncTransport, namespace: str | None, kinds: Sequence[str], since: str | None
    ) -> None:
        self._transport = transport
        asked = {"namespace": namespace or transport.settings.namespace, "kind": list(kinds)}
        self._call = Call("GET", f"{API}/watch", text_of, params(asked))
        self._last_id = since
        self._failures = 0
        self._retry_seconds = 0.25
        self._token = ""

    async def beats(self) -> AsyncIterator[Event | Beat]:
        """Every event, and what is to be said of the stream, for as long as the caller asks for the next.

        While there is no stream it says so twice a second.

        Raises:
            ApiError: where the API refuses, for example since the right has ended.
        """
        while True:
            asked: float | None = None
            try:
                async for event in self._until_it_breaks():
                    yield event
                self._failures = 0
            except (ApiUnreachable, Unavailable, ServerError, RateLimited) as error:
                asked = getattr(error, "retry_after", None)
                self._failed(error)
            except Unauthorized:
                # The token was renewed while the stream was open, or does not count any more.
                if self._token == self._transport.settings.token.read().get_secret_value():
                    raise
            end = time.monotonic() + self._pause(asked)
            yield Beat.BROKEN
            while (left := end - time.monotonic()) > 0:
                await async_sleep(min(left, LEAVE_OFF_SECONDS))
                yield Beat.BROKEN

    async def _until_it_breaks(self) -> AsyncIterator[Event | Beat]:
        headers = {"Accept": "text/event-stream"}
        if self._last_id is not None:
            headers["Last-Event-ID"] = self._last_id
        self._token = self._transport.settings.token.read().get_secret_value()
        events = Events()
        async with self._transport.stream(self._call, headers, SILENCE_SECONDS) as response:
            async for data in response.aiter_bytes():
                whole = events.add(data)
                if events.retry_seconds is not None:
                    self._retry_seconds = events.retry_seconds
                for raw in whole:
                    self._failures = 0
                    yield event_of(raw)
                    # Once the caller has taken it: who comes back then gets what follows, and who has
                    # forgotten everything begins anew.
                    if raw.id is not None:
                        self._last_id = raw.id
                    elif raw.name == "reset":
                        self._last_id = None

    def _failed(self, error: LlmplaneError) -> None:
        self._failures += 1
        if self._failures == 1:
            log.warning("changes at %s are waited for: %s", self._transport.settings.url, brief(error))

    def _pause(self, asked: float | None) -> float:
        longest = min(MAX_PAUSE_SECONDS, self._retry_seconds * 2.0 ** min(self._failures, 8))
        return (asked or 0.0) + longest * random.uniform(0.5, 1.0)
