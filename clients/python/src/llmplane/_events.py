"""What `watch` gives: events of the change feed, typed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from . import models
from ._errors import UnexpectedAnswer
from ._sse import RawEvent

_KINDS: dict[str, type[models.Common]] = {
    "LlmProvider": models.Provider,
    "LlmEndpoint": models.Endpoint,
    "LlmCredential": models.Credential,
    "LlmModel": models.Model,
}


@dataclass(frozen=True)
class Upsert:
    """A row that is new, or has changed."""

    kind: str
    id: str
    row: models.Common
    """Of the kind's class; with the common fields alone where this version does not know the kind."""
    revision: int | None


@dataclass(frozen=True)
class Delete:
    """A row that is gone, or that the caller may no longer see."""

    kind: str
    id: str
    revision: int | None


@dataclass(frozen=True)
class Reset:
    """What was said before does not count: changes were missed. Forget all rows; those that are come anew."""

    revision: int | None


Event = Upsert | Delete | Reset


def event_of(raw: RawEvent) -> Event | None:
    """The event; None for a heartbeat and for what this version does not know."""
    revision = revision_of(raw.id)
    if raw.name == "reset":
        return Reset(revision)
    if raw.name not in ("upsert", "delete"):
        return None
    try:
        data = json.loads(raw.data)
        kind, id = str(data["kind"]), str(data["id"])
        if raw.name == "delete":
            return Delete(kind, id, revision)
        return Upsert(kind, id, _row(kind, data["row"]), revision)
    except (ValueError, KeyError, TypeError, ValidationError):
        raise UnexpectedAnswer(f"an event {raw.name} is not what this version understands") from None


def _row(kind: str, row: Mapping[str, Any]) -> models.Common:
    return _KINDS.get(kind, models.Common).model_validate(row)


def revision_of(id: str | None) -> int | None:
    """The revision in an event's id, which may have more to it."""
    digits = (id or "").partition("-")[0].partition(".")[0]
    return int(digits) if digits.isdecimal() else None
