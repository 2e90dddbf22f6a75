"""What `watch` gives: events of the change feed, typed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
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
    "LlmModelClass": models.ModelClass,
}


@dataclass(frozen=True)
class Upsert:
    """A row that is new, or has changed: put it in place of the one of this id."""

    kind: str
    id: str
    namespace: str
    name: str
    row: models.Common
    """Of the kind's class; with the common fields alone where this version does not know the kind."""
    revision: int | None
    """Where everything up to this revision was told with this event."""


@dataclass(frozen=True)
class Delete:
    """A row that is gone: forget the one of this id."""

    kind: str
    id: str
    namespace: str
    name: str
    revision: int | None


@dataclass(frozen=True)
class Reset:
    """What was said before does not count: forget all rows. Those that are there follow."""

    revision: int | None


Event = Upsert | Delete | Reset


class Beat(Enum):
    """What is said of the stream itself, between two events."""

    HEARD = "it is there, and nothing changed"
    BROKEN = "it is not there, and is taken up again as soon as it can be"


def event_of(raw: RawEvent) -> Event | Beat:
    """The event; a heartbeat also for what this version does not know."""
    if raw.name not in ("upsert", "delete", "reset"):
        return Beat.HEARD
    try:
        data = json.loads(raw.data)
        revision = int(raw.id) if raw.id is not None else None
        if raw.name == "reset":
            return Reset(int(data["revision"]))
        about = {name: str(data[name]) for name in ("kind", "id", "namespace", "name")}
        if raw.name == "delete":
            return Delete(**about, revision=revision)
        return Upsert(**about, row=_row(about["kind"], data["row"]), revision=revision)
    except (ValueError, KeyError, TypeError, ValidationError):
        raise UnexpectedAnswer(f"an event {raw.name} is not what this version understands") from None


def _row(kind: str, row: Mapping[str, Any]) -> models.Common:
    return _KINDS.get(kind, models.Common).model_validate(row)
