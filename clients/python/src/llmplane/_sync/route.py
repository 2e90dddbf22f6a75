# Made by generate.py; edit _async/route.py instead.
"""From an ask to a call that worked: over the targets in order, with a new answer where that helps."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar

from .. import models
from .._ask import Ask
from .._changes import Changes
from .._errors import LlmplaneError, NoModel
from .._waiting import sleep
from ..langchain._targets import TargetModels, identity
from ..langchain._verdict import Verdict, verdict_of
from .client import Client

T = TypeVar("T")

# An answer is asked for again after so long, and sooner after what makes it doubtful.
AGE_FOLLOWED_SECONDS = 600.0
AGE_UNFOLLOWED_SECONDS = 60.0
# However many calls fail, and however much changes.
MIN_AGE_SECONDS = 1.0
# A key that ends is replaced before it does.
BEFORE_END = timedelta(seconds=30)


class Route:
    """The targets of one ask, and the chat models for them."""

    def __init__(self, ask: Ask, client: Client, changes: Changes) -> None:
        self._ask = ask
        self._client = client
        self._changes = changes
        self._models = TargetModels(ask.parameters)
        self._answer: models.ResolveAnswer | None = None
        self._asked_at = 0.0
        self._is_doubtful = False
        self._changes_seen = 0

    def run(self, use: Callable[[Any], T]) -> T:
        """What `use` makes of the first chat model with which it works.

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
            while (target := self._next(self.answer(), tried)) is not None:
                tried.add(identity(target))
                try:
                    result = use(self._models.of(target))
                except Exception as error:
                    last = error
                    may_wait = self._failed(target, error) or may_wait
                else:
                    self._models.worked(target)
                    return result
            attempt += 1
            pause = min(2.0, 0.1 * 2.0**attempt) * random.uniform(0.5, 1.0)
            if not may_wait or time.monotonic() + pause > deadline:
                raise last or LlmplaneError(f"no endpoint serves {self._ask}")
            sleep(pause)

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

    def answer(self) -> models.ResolveAnswer:
        """The answer to go by: the one at hand, unless something makes it doubtful."""
        at_hand = self._answer
        if at_hand is not None and not self._wants_another(at_hand):
            return at_hand
        self._asked_at = time.monotonic()
        self._changes_seen = self._changes.count
        try:
            answer = self._resolve(fresh=self._is_doubtful)
        except LlmplaneError as error:
            # What it says is about the model; what else went wrong is not, and the key at hand still counts.
            if at_hand is None or isinstance(error, NoModel) or _has_ended(at_hand, timedelta()):
                raise
            return at_hand
        self._is_doubtful = False
        self._answer = answer
        self._models.keep_only(answer.targets)
        self._changes.follow(answer.model.namespace, answer.revision)
        return answer

    def _resolve(self, fresh: bool) -> models.ResolveAnswer:
        asked = {"namespace": self._ask.namespace, "purpose": self._ask.purpose, "fresh": fresh}
        model, need = self._ask.model, self._ask.need
        try:
            return self._client.resolve(model, need=need, with_secret=True, all_targets=True, **asked)  # type: ignore[arg-type]
        except NoModel as error:
            if not any(model["reason"] == "NoCredential" for model in error.considered):
                raise
            # A server that takes no key.
            return self._client.resolve(model, need=need, **asked)  # type: ignore[arg-type]

    def _wants_another(self, answer: models.ResolveAnswer) -> bool:
        age = time.monotonic() - self._asked_at
        if age < MIN_AGE_SECONDS:
            return False
        longest = AGE_FOLLOWED_SECONDS if self._changes.is_following else AGE_UNFOLLOWED_SECONDS
        changed = self._changes.count != self._changes_seen
        return self._is_doubtful or changed or age > longest or answer.is_stale or _has_ended(answer, BEFORE_END)


def _has_ended(answer: models.ResolveAnswer, before: timedelta) -> bool:
    ends = [target.secret.valid_until for target in answer.targets if target.secret is not None]
    now = datetime.now(timezone.utc)
    return any(end is not None and end <= now + before for end in ends)
