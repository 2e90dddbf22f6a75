"""From an ask to a call that worked: over the targets in order, with a new answer where that helps."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar, cast

from .. import models
from .._ask import Ask
from .._base import stamp
from .._changes import Changes
from .._errors import ApiError, LlmplaneError, NoModel
from .._keys import ends_within, without_ended
from .._waiting import async_sleep
from ..langchain._targets import TargetModels, identity
from ..langchain._verdict import Verdict, verdict_of
from .client import AsyncClient

T = TypeVar("T")

# An answer is asked for again after so long, and sooner after what makes it doubtful.
AGE_FOLLOWED_SECONDS = 600.0
AGE_UNFOLLOWED_SECONDS = 60.0
# However many calls fail, and however much changes.
MIN_AGE_SECONDS = 1.0
# A key that ends is replaced before it does.
BEFORE_END = timedelta(seconds=30)


class AsyncRoute:
    """The targets of one ask, and the chat models for them."""

    def __init__(self, ask: Ask, client: AsyncClient, changes: Changes) -> None:
        self._ask = ask
        self._client = client
        self._changes = changes
        self._models = TargetModels(ask.parameters)
        self._answer: models.ResolveAnswer | None = None
        self._asked_at = 0.0
        # One asks, and the others go by what is at hand.
        self._is_asking = False
        self._is_doubtful = False
        self._changes_seen = 0

    async def run(self, use: Callable[[Any], Awaitable[T]]) -> tuple[T, models.ResolveAnswer]:
        """What `use` makes of the first chat model with which it works, and the answer that named it.

        Raises:
            LlmplaneError: where there is no answer to go by.
            Exception: the vendor's, once it is the caller's to mend, or patience has ended.
        """
        deadline = time.monotonic() + self._ask.patience_seconds
        attempt = 0
        while True:
            tried: set[bytes] = set()
            last: Exception | None = None
            may_wait = False
            while (target := self._next(answer := await self.answer(), tried)) is not None:
                tried.add(identity(target))
                try:
                    result = await use(self._models.of(target))
                except Exception as error:
                    last = error
                    may_wait = self._failed(target, error) or may_wait
                else:
                    self._models.worked(target)
                    return result, answer
            attempt += 1
            pause = min(2.0, 0.1 * 2.0**attempt) * random.uniform(0.5, 1.0)
            if not may_wait or time.monotonic() + pause > deadline:
                raise last or LlmplaneError(f"no endpoint serves {self._ask}")
            await async_sleep(pause)

    def _failed(self, target: models.Target, error: Exception) -> bool:
        """Whether waiting may help. Raises what another target would say too."""
        verdict = verdict_of(error)
        if verdict is Verdict.RAISE:
            raise error
        if verdict is not Verdict.KEY:
            self._models.failed(target)
        self._is_doubtful = True
        return verdict is not Verdict.ELSEWHERE

    def _next(self, answer: models.ResolveAnswer, tried: set[bytes]) -> models.Target | None:
        targets = self._models.in_order(answer.targets)
        return next((target for target in targets if identity(target) not in tried), None)

    async def answer(self) -> models.ResolveAnswer:
        """The answer to go by: the one at hand, unless something makes it doubtful."""
        at_hand = self._answer
        if at_hand is not None and not self._wants_another(at_hand):
            return at_hand
        changes_seen = self._changes.count
        self._is_asking = True
        try:
            answer = await self._resolve(has_answer=at_hand is not None)
        except LlmplaneError as error:
            # A refusal ends what was given before. What else went wrong does not: the key at hand still counts.
            is_refused = isinstance(error, ApiError) and error.ends_an_answer
            kept = None if at_hand is None or is_refused else self._kept(at_hand)
            self._take(kept)
            if kept is None:
                raise
            return kept
        finally:
            # Not before it ends: it may have taken long.
            self._asked_at = time.monotonic()
            self._is_asking = False
        self._is_doubtful = False
        self._changes_seen = changes_seen
        self._take(answer)
        self._changes.follow(answer.model.namespace, answer.revision)
        return answer

    def _take(self, answer: models.ResolveAnswer | None) -> None:
        self._answer = answer
        self._models.keep_only(() if answer is None else answer.targets)

    def _kept(self, answer: models.ResolveAnswer) -> models.ResolveAnswer | None:
        """What is left of an answer that the API cannot confirm."""
        longest = self._client.settings.max_stale_seconds
        if longest is not None and answer.age_seconds > longest:
            return None
        said_at = time.monotonic() - answer.age_seconds
        living = without_ended(answer)
        return None if living is None else cast("models.ResolveAnswer", stamp(living, said_at, from_memory=True))

    async def _resolve(self, has_answer: bool) -> models.ResolveAnswer:
        asked = {"model": self._ask.model, **(self._ask.need or {}), "purpose": self._ask.purpose}
        where = {"namespace": self._ask.namespace}
        # Not from the client's memory, where there is one here: it may have the key that was refused.
        how = {"fresh": has_answer, "has_answer": has_answer}
        try:
            return await self._client._resolve({**asked, "with_secret": True, "all_targets": True}, where, **how)
        except NoModel as error:
            if not any(model["reason"] == "NoCredential" for model in error.considered):
                raise
            # A server that takes no key.
            return await self._client._resolve(asked, where, **how)

    def _wants_another(self, answer: models.ResolveAnswer) -> bool:
        if answer.is_stale and without_ended(answer) is not answer:
            return True
        age = time.monotonic() - self._asked_at
        if self._is_asking or age < MIN_AGE_SECONDS:
            return False
        longest = AGE_FOLLOWED_SECONDS if self._changes.is_following else AGE_UNFOLLOWED_SECONDS
        changed = self._changes.count != self._changes_seen
        ends = any(ends_within(target, BEFORE_END) for target in answer.targets)
        return self._is_doubtful or changed or age > longest or answer.is_stale or ends
