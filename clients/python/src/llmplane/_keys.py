"""Keys that end: an answer is good for as long as one of its targets can be called."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from . import models


def ends_within(target: models.Target, ahead: timedelta = timedelta()) -> bool:
    """Whether the target's key has ended by then; one without an end, or without a key, never does."""
    end = None if target.secret is None else target.secret.valid_until
    return end is not None and end <= datetime.now(timezone.utc) + ahead


def without_ended(answer: models.ResolveAnswer) -> models.ResolveAnswer | None:
    """The answer without the targets whose keys have ended; None where no other is left."""
    targets = [target for target in answer.targets if not ends_within(target)]
    if len(targets) == len(answer.targets):
        return answer
    return answer.model_copy(update={"targets": targets}) if targets else None
