"""Calls of the API as data: what is sent, and what is made of the answer. Nothing here waits for anything."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar
from urllib.parse import quote
from uuid import UUID

import httpx
from pydantic import SecretStr, TypeAdapter, ValidationError

from ._errors import UnexpectedAnswer, error_of

T = TypeVar("T")
Id = str | UUID
"""An object's UID, or its name in the namespace asked for."""

API = "/api/v1"
Params = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What came of a write or an action."""

    row: T | None
    """The row as it is now, or what was deleted; none where it is not there yet, and where it was only tried."""
    is_done: bool
    """False: it was accepted, and the outcome is not visible yet (202)."""
    revision: int | None
    """The revision of the answer: a read with `min_revision` sees at least this."""


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request. `read` makes the result of an answer below 400."""

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    params: Params = ()
    body: Any = field(default=None, repr=False)
    is_kept: bool = False
    """Whether its last good answer serves while the API is away."""
    is_repeatable: bool = False
    """Whether it can be sent again where nobody knows what became of it."""
    timeout_seconds: float | None = None
    headers: Params = ()

    @property
    def key(self) -> tuple[str, str, Params, str]:
        """What tells it from other calls."""
        return (self.method, self.path, self.params, json.dumps(plain(self.body), sort_keys=True))


def path(*segments: Id) -> str:
    """A path below the API's root, each segment escaped. `.` and `..` are names of nothing, not places."""
    texts = (quote(str(segment), safe="") for segment in segments)
    return API + "".join("/" + (text.replace(".", "%2E") if set(text) == {"."} else text) for text in texts)


def params(values: Mapping[str, Any]) -> Params:
    """Parameters of a query; what is None is left out, a list is repeated."""
    pairs: list[tuple[str, str]] = []
    for name, value in values.items():
        for one in value if isinstance(value, (list, tuple, set, frozenset)) else [value]:
            if one is not None:
                pairs.append((name, _text(one)))
    return tuple(pairs)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, datetime) else str(value)


def plain(value: Any) -> Any:
    """The same as JSON takes it: keys in the clear, for they are sent."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, (UUID, datetime)):
        return _text(value)
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return str(value)


def answer_of(kind: type[T]) -> Callable[[httpx.Response], T]:
    """Reads a body of this type."""
    adapter = TypeAdapter(kind)

    def read(response: httpx.Response) -> T:
        try:
            return adapter.validate_json(response.content)
        except ValidationError as error:
            # Without the input, which may hold a key.
            fields = ", ".join(".".join(map(str, one["loc"])) for one in error.errors(include_input=False)[:5])
            what = (
                f"the answer of {response.request.url.path} is not what this version understands: {fields or 'no JSON'}"
            )
            raise UnexpectedAnswer(what) from None

    return read


def outcome_of(kind: type[T]) -> Callable[[httpx.Response], Outcome[T]]:
    """Reads what came of a write: the row, unless there is none yet or it was only tried."""
    row = answer_of(kind)

    def read(response: httpx.Response) -> Outcome[T]:
        is_done = response.status_code != 202
        # What was only tried is declared nowhere, and has no row.
        has_row = is_done and not _is_declaration(response)
        return Outcome(row=row(response) if has_row else None, is_done=is_done, revision=revision_of(response))

    return read


def _is_declaration(response: httpx.Response) -> bool:
    """Whether it tells what would be declared, and not a row."""
    try:
        body = response.json()
    except ValueError:
        return False
    return isinstance(body, dict) and "declared" in body


def text_of(response: httpx.Response) -> str:
    """Reads a body that is text."""
    return response.text


def revision_of(response: httpx.Response) -> int | None:
    """The revision that an answer is of."""
    text = response.headers.get("Llmplane-Revision", "")
    return int(text) if text.isdecimal() else None


def problem_of(response: httpx.Response) -> Exception:
    """The exception for an answer that is none."""
    if response.status_code < 400:
        return UnexpectedAnswer(f"{response.status_code} instead of an answer; is LLMPLANE_URL the API's own address?")
    headers = response.headers
    return error_of(response.status_code, headers.get("Content-Type", ""), response.content, headers.get("Retry-After"))
