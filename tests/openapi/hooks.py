"""What a description cannot say: which parts of a request go together, what only an answer can name, and that a
revision is yet to come. Each rule is looked for in the request itself: an answer that refuses anything else fails.
"""

from __future__ import annotations

import re
import time
from typing import Any

import schemathesis
from schemathesis.core.deserialization import deserializer

UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

# Fields of a need, of which none stands beside a name.
NEED = set(
    "capabilities min_score min_context_window min_output_tokens max_input_price max_output_price currency prefer "
    "provider_types regions selector exclude recommended_for allow_deprecated prompt_tokens output_tokens".split()
)


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Whether a failure counts."""
    if failure.title == "SSE event violates schema" and case.path.endswith("/watch"):
        # OpenAPI 3.1 describes a stream as one text; here each event is held against that, as an object.
        return False
    problem = response.json() if "problem+json" in str(response.headers.get("content-type")) else {}
    kind = str(problem.get("type", "")).rpartition("/")[2]
    query = case.query or {}
    if response.status_code == 504:
        # Documented: it waits for 5 s, and not at all for what is a day ahead of the clock.
        return not (kind == "revision-timeout" and int(query["min_revision"]) > time.time() * 1000)
    if response.status_code == 400 and kind in ("invalid-parameter", "invalid-body"):
        body = case.body if isinstance(case.body, dict) else {}
        named = problem["detail"].partition(":")[0]
        # A name is of one namespace.
        id = str((case.path_parameters or {}).get("id", ""))
        broken = {"namespace"} if id and not UID.fullmatch(id) and query.get("namespace") == "*" else set()
        if not str((case.headers or {}).get("Last-Event-ID", "")).isdecimal():
            broken.add("Last-Event-ID")
        return named not in broken | broken_in_query(query) | broken_in_body(case.path, body)
    return True


@deserializer("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml")
def manifests(_context: Any, response: Any) -> str:
    """Several documents: text, as the description says."""
    return str(response.content.decode())


def broken_in_query(query: dict[str, Any]) -> set[str]:
    """Parameters that a rule between two of them refuses, or that are made by nobody but the server."""
    without_capability = not query.get("capability")
    rules = {
        "cursor": True,
        "max_input_price": "currency" not in query,
        "min_score": without_capability,
        "sort": without_capability and str(query.get("sort", "")).endswith("score"),
    }
    return {name for name, breaks in rules.items() if breaks and name in query}


def broken_in_body(path: str, body: dict[str, Any]) -> set[str]:
    """Fields of a need that do not go together."""
    if not path.endswith("/resolve"):
        return set()
    given = {name for name, value in body.items() if value is not None}
    without_capability = not body.get("capabilities")
    without_tokens = not body.get("prompt_tokens") and not body.get("output_tokens")
    rules = {
        "model": "model" in given and bool(given & NEED),
        # Neither a name nor a need.
        "name a model (model), or say what it must be": not given & (NEED | {"model"}),
        "max_input_price": "currency" not in given,
        "max_output_price": "currency" not in given,
        "min_score": without_capability,
        "prefer": without_capability and body.get("prefer") == "score",
        "prompt_tokens": without_tokens,
    }
    return {name for name, breaks in rules.items() if breaks}
