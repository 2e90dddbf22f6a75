"""What goes wrong, as exceptions: one class for each kind of problem that a caller handles differently."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

TYPE_PREFIX = "https://llmplane.dev/problems/"


class LlmplaneError(Exception):
    """Anything that this package raises."""


class SettingsError(LlmplaneError):
    """A setting is missing or not valid; the message names it."""


class ApiUnreachable(LlmplaneError):
    """The API did not answer, and no earlier answer is at hand."""


class UnexpectedAnswer(LlmplaneError):
    """Something answered that is not llmplane's API, or not one that this version understands."""


class ApiError(LlmplaneError):
    """The API answered with a problem (RFC 9457). `type` is its last part, for example `not-found`."""

    def __init__(self, status: int, members: Mapping[str, Any], retry_after: float | None = None) -> None:
        self.status = status
        self.type = str(members.get("type", "")).removeprefix(TYPE_PREFIX)
        self.title = str(members.get("title", ""))
        self.detail = str(members.get("detail", ""))
        self.retry_after = retry_after
        """Seconds to wait before the next attempt."""
        self.members = dict(members)
        """All members of the problem, for example `errors` by field, or the `patch` for a repository."""
        super().__init__(f"{status} {self.type or 'without a type'}: {self.detail or self.title}")

    @property
    def is_of_all(self) -> bool:
        """Whether no question would be answered now: what one lacks, a key for example, others may not need."""
        return not self.type or self.type in ("not-ready", "overloaded")

    @property
    def ends_an_answer(self) -> bool:
        """Whether an answer that was given before does not count any longer, nor a key in it."""
        return self.status in (400, 401, 403, 404)


class BadRequest(ApiError):
    """The request is not valid; `detail` names the parameter or field, and `errors` each that is wrong."""

    @property
    def errors(self) -> list[dict[str, Any]]:
        """What is wrong, as `{"field": ..., "message": ...}`."""
        return [error for error in self.members.get("errors") or [] if isinstance(error, dict)]


class Unauthorized(ApiError):
    """The token does not count: it is missing, expired, or for another audience."""


class Forbidden(ApiError):
    """The caller lacks a right; `detail` names it."""


class NotFound(ApiError):
    """There is no such thing, or the caller may not see it."""


class NoModel(NotFound):
    """No model is what was asked for; `considered` says of each why not."""

    @property
    def considered(self) -> list[dict[str, Any]]:
        """The models that were looked at, as `{"namespace", "model", "reason", "detail"}`."""
        return [model for model in self.members.get("considered") or [] if isinstance(model, dict)]


class AmbiguousModel(NoModel):
    """Several models have this name: ask for one of `considered` by name and namespace."""


class Conflict(ApiError):
    """It is there already, was changed by someone else, or is managed by a GitOps tool."""


class RateLimited(ApiError):
    """Too many requests; wait for `retry_after`."""


class QuotaExhausted(RateLimited):
    """The credential's quota is used up until `retry_after` has passed."""


class Unavailable(ApiError):
    """Something that the answer needs is away; try again."""


class ServerError(ApiError):
    """A defect of the server."""


_BY_TYPE: dict[str, type[ApiError]] = {
    "no-model": NoModel,
    "ambiguous-model": AmbiguousModel,
    "quota-exhausted": QuotaExhausted,
}
_BY_STATUS: dict[int, type[ApiError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: Conflict,
    429: RateLimited,
    500: ServerError,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def error_of(status: int, content_type: str, body: bytes, retry_after: str | None) -> LlmplaneError:
    """The exception for an answer of 400 or above."""
    members: Any = None
    if content_type.partition(";")[0].strip() == "application/problem+json":
        try:
            members = json.loads(body)
        except ValueError:
            members = None
    if not isinstance(members, dict):
        # A proxy in between answers in a form of its own, which is not worth showing.
        members = {"title": "no problem+json", "detail": "the answer is not llmplane's own; is a proxy in between?"}
    kind = _BY_TYPE.get(str(members.get("type", "")).removeprefix(TYPE_PREFIX)) or _BY_STATUS.get(status)
    if kind is None:
        kind = BadRequest if status < 500 else ServerError
    return kind(status, members, _seconds(retry_after))


def _seconds(header: str | None) -> float | None:
    try:
        return None if header is None else max(0.0, float(header))
    except ValueError:
        return None


def brief(error: LlmplaneError) -> str:
    """What happened, in the few words of a log's line."""
    return (error.type or str(error.status)) if isinstance(error, ApiError) else str(error)
