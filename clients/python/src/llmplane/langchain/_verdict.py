"""What a vendor's error says about where to go next."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

import httpx
from langchain_core import exceptions as langchain


class Verdict(Enum):
    """What to do after an error."""

    RAISE = "the request is the caller's own to mend"
    ELSEWHERE = "another endpoint may do; waiting does not help"
    WAIT = "another endpoint may do, and so may this one later"
    KEY = "the key was refused: there may be a newer one"


# Since langchain-core 1.6 or so; looked up by name, for an older one has none of them.
_BY_CLASS = {
    "ModelAuthenticationError": Verdict.KEY,
    "ModelPermissionDeniedError": Verdict.KEY,
    "ContextOverflowError": Verdict.RAISE,
    "ModelInvalidRequestError": Verdict.RAISE,
    "ModelNotFoundError": Verdict.ELSEWHERE,
    "ModelRateLimitError": Verdict.WAIT,
    "ModelAPIError": Verdict.WAIT,
    "ModelConnectionError": Verdict.WAIT,
    "ModelTimeoutError": Verdict.WAIT,
}
_LANGCHAIN = tuple(
    (kind, verdict) for name, verdict in _BY_CLASS.items() if isinstance(kind := getattr(langchain, name, None), type)
)
# Of the vendors' own libraries, of which none need be installed: openai, anthropic, botocore.
_LOST = {"APIConnectionError", "APITimeoutError", "EndpointConnectionError", "ReadTimeoutError", "ConnectTimeoutError"}
_LATER = (408, 409, 425, 429)


def verdict_of(error: BaseException) -> Verdict:
    """What this error, or one that it was made from, says."""
    for one in _causes(error):
        status = status_of(one)
        if status is not None:
            return _of_status(status)
        for kind, verdict in _LANGCHAIN:
            if isinstance(one, kind):
                return verdict
        # LangChain's packages share connections among event loops: this one was left by a loop that ended.
        if isinstance(one, RuntimeError) and str(one) == "Event loop is closed":
            return Verdict.WAIT
        names = {kind.__name__ for kind in type(one).__mro__}
        lost = isinstance(one, (ConnectionError, TimeoutError, httpx.TransportError))
        if lost or names & _LOST or _is_transport(one):
            return Verdict.WAIT
    return Verdict.RAISE


def status_of(error: BaseException) -> int | None:
    """The HTTP status that a vendor's library noted: `status_code`, that of `response`, or botocore's."""
    response = getattr(error, "response", None)
    candidates = [getattr(error, "status_code", None), getattr(response, "status_code", None)]
    if isinstance(response, dict):
        candidates.append(response.get("ResponseMetadata", {}).get("HTTPStatusCode"))
    # Google's library.
    candidates.append(getattr(error, "code", None))
    return next((one for one in candidates if isinstance(one, int) and 100 <= one < 600), None)


def _of_status(status: int) -> Verdict:
    if status in (401, 403):
        return Verdict.KEY
    if status == 404:
        return Verdict.ELSEWHERE
    return Verdict.WAIT if status in _LATER or status >= 500 else Verdict.RAISE


def _is_transport(error: BaseException) -> bool:
    # The same class of another distribution of httpx, which some vendors' libraries bring.
    return any(kind.__name__ == "TransportError" and kind.__module__.startswith("http") for kind in type(error).__mro__)


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
