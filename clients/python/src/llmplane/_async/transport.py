"""One call, answered: with the token of the moment, tried again where that helps, from memory where not."""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TypeVar

import httpx

from .._calls import Call, plain, problem_of
from .._errors import ApiError, ApiUnreachable, LlmplaneError, ServerError, Unauthorized, Unavailable, brief
from .._memory import Memory
from .._settings import Settings
from .._waiting import async_sleep

T = TypeVar("T")
log = logging.getLogger("llmplane")

ATTEMPTS = 3
USER_AGENT = "llmplane-python/0.1.0"
# How long whoever has an answer to go by waits for a newer one.
SHORT_SECONDS = 2.0


class AsyncTransport:
    """The connections of one client."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.memory = Memory(settings.max_stale_seconds)
        headers = {"User-Agent": USER_AGENT}
        self._http = httpx.AsyncClient(headers=headers, **settings.http_options())  # type: ignore[arg-type]

    async def aclose(self) -> None:
        """Closes the connections and forgets every answer."""
        self.memory.clear()
        await self._http.aclose()

    async def send(self, call: Call[T], *, fresh: bool = False, has_answer: bool = False) -> T:
        """The answer; with `fresh` not the one that is at hand.

        With an answer at hand, here or (`has_answer`) the caller's own, there is one short attempt, and none
        shortly after the API was away.

        Raises:
            ApiError: as the API says.
            ApiUnreachable: where nobody answers, and no earlier answer is at hand.
        """
        if not call.is_kept:
            return call.read(await self._attempts(call, None))
        kept = None if fresh else self.memory.find(call.key)
        has_answer = has_answer or kept is not None
        if has_answer and self.memory.pauses:
            if kept is None:
                raise ApiUnreachable(f"llmplane at {self.settings.url} did not answer a moment ago")
            return self.memory.stale(kept)  # type: ignore[no-any-return]
        try:
            # A key is never asked for by ETag: its answer has none.
            response = await self._attempts(call, None if kept is None else kept.etag, is_short=has_answer)
        except (ApiUnreachable, Unavailable, ServerError) as error:
            is_away = not isinstance(error, ApiError) or error.is_of_all
            if is_away and self.memory.missed():
                log.warning("llmplane at %s does not answer (%s)", self.settings.url, brief(error))
            if kept is None:
                raise
            return self.memory.stale(kept)  # type: ignore[no-any-return]
        except ApiError as error:
            if error.ends_an_answer:
                self.memory.forget(call.key)
            raise
        if self.memory.answered():
            log.warning("llmplane at %s answers again", self.settings.url)
        if response.status_code == 304 and kept is not None:
            return self.memory.renew(call.key, kept)  # type: ignore[no-any-return]
        answer = call.read(response)
        return self.memory.keep(call.key, answer, response.headers.get("ETag"))  # type: ignore[no-any-return]

    @asynccontextmanager
    async def stream(self, call: Call[T], headers: dict[str, str], silence: float) -> AsyncIterator[httpx.Response]:
        """An answer without an end; a silence of so many seconds ends it.

        Raises:
            ApiError: as the API says.
            ApiUnreachable: where nobody answers, or the answer breaks off.
        """
        request = self._request(call, headers)
        timeout = self._http.timeout
        # Reading has a time of its own: the answer goes on, and is silent between two heartbeats.
        request.extensions["timeout"] = {**timeout.as_dict(), "read": silence}
        try:
            response = await self._http.send(request, stream=True)
            try:
                if response.status_code != 200:
                    await response.aread()
                    raise problem_of(response)
                yield response
            finally:
                await response.aclose()
        except httpx.HTTPError as error:
            raise self._unreachable(error) from None

    async def _attempts(self, call: Call[T], etag: str | None, is_short: bool = False) -> httpx.Response:
        attempts = 1 if is_short or not call.is_repeatable else ATTEMPTS
        if is_short and call.timeout_seconds is None:
            call = replace(call, timeout_seconds=min(SHORT_SECONDS, self.settings.timeout_seconds))
        for attempt in range(1, attempts + 1):
            try:
                return await self._with_token(call, etag)
            except (ApiUnreachable, Unavailable) as error:
                if attempt == attempts:
                    raise
                await async_sleep(_pause(attempt, error))
        raise AssertionError("there is at least one attempt")

    async def _with_token(self, call: Call[T], etag: str | None) -> httpx.Response:
        token = self.settings.token.read()
        try:
            return await self._once(call, etag)
        except Unauthorized:
            # It may have been renewed while the request was under way.
            if self.settings.token.read().get_secret_value() == token.get_secret_value():
                raise
            return await self._once(call, etag)

    async def _once(self, call: Call[T], etag: str | None) -> httpx.Response:
        request = self._request(call, {} if etag is None else {"If-None-Match": etag})
        try:
            response = await self._http.send(request)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from None
        if response.status_code < 300 or (response.status_code == 304 and etag is not None):
            return response
        raise problem_of(response)

    def _request(self, call: Call[T], headers: dict[str, str]) -> httpx.Request:
        token = self.settings.token.read().get_secret_value()
        content = call.body if isinstance(call.body, (str, bytes)) else None
        return self._http.build_request(
            call.method,
            call.path,
            params=call.params,
            content=content,
            json=None if call.body is None or content is not None else plain(call.body),
            headers={"Authorization": f"Bearer {token}", **headers, **dict(call.headers)},
            timeout=httpx.USE_CLIENT_DEFAULT if call.timeout_seconds is None else call.timeout_seconds,
        )

    def _unreachable(self, error: httpx.HTTPError) -> LlmplaneError:
        return ApiUnreachable(f"llmplane at {self.settings.url} does not answer: {type(error).__name__}")


def _pause(attempt: int, error: LlmplaneError) -> float:
    asked = error.retry_after if isinstance(error, ApiError) else None
    return min(5.0, asked if asked is not None else 0.2 * 2**attempt) * random.uniform(0.5, 1.0)
