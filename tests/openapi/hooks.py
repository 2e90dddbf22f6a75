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


# Fields that say which entries of a Secret that is there hold the key, and those that hold the key itself.
ENTRIES = ("api_key_entry", "secret_key_entry", "access_token_entry")
KEY = {"api_key", "secret_key", "access_token"}

# Sections that tell a configuration of LiteLLM's.
LITELLM = {"model_list", "credential_list", "litellm_settings", "router_settings", "general_settings"}

API_VERSION = "llmplane.dev/v1alpha1"

# Of what the run declares itself: a refusal of it counts.
SAMPLE = "sample"
SAMPLE_TYPE = "OpenAICompatible"
SAMPLE_ENDPOINT = "sample-1"

REJECTED = "Schema-valid request rejected"


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
    if failure.title != REJECTED:
        return True
    if response.status_code == 400 and kind in ("invalid-parameter", "invalid-body"):
        return not is_explained(case, problem["detail"])
    if response.status_code == 422 and kind == "invalid-object":
        return not is_explained_to_the_cluster(case, problem)
    return True


@deserializer("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml")
def manifests(_context: Any, response: Any) -> str:
    """Several documents: text, as the description says."""
    return str(response.content.decode())


def is_explained(case: Any, detail: str) -> bool:
    """Whether what a 400 names breaks a rule that no description can say."""
    query = case.query or {}
    body = case.body if isinstance(case.body, dict) else {}
    id = str((case.path_parameters or {}).get("id", ""))
    # A name is of one namespace.
    broken = {"namespace"} if id and not UID.fullmatch(id) and query.get("namespace") == "*" else set()
    if not str((case.headers or {}).get("Last-Event-ID", "")).isdecimal():
        broken.add("Last-Event-ID")
    broken |= broken_in_query(query) | broken_in_body(case.path, body)
    unnamed = case.path.endswith("/import") and "format" not in query
    return (
        detail.partition(":")[0] in broken
        or is_of_no_endpoint(body, detail)
        or (unnamed and is_of_no_format(body, detail))
    )


def is_explained_to_the_cluster(case: Any, problem: dict[str, Any]) -> bool:
    """Whether all that a 422 names breaks a rule between two fields, or between a field and what is there."""
    body = case.body if isinstance(case.body, dict) else {}
    if case.path.endswith("/import"):
        # What the fields of a configuration may hold is its format's to say. The example is one of ours.
        return body.get("apiVersion") != API_VERSION
    id = str((case.path_parameters or {}).get("id", ""))
    window = body.get("context_window")
    expires = str(body.get("expires_at"))
    # What a provider is of stays; which type that is only the cluster knows.
    another_type = case.method == "PUT" and (id, body.get("type")) != (SAMPLE, SAMPLE_TYPE)
    rules = {
        "type": case.path.endswith("/providers/{id}") and another_type,
        "max_input_tokens": window is not None and (body.get("max_input_tokens") or 0) > window,
        "max_output_tokens": window is not None and (body.get("max_output_tokens") or 0) > window,
        # A date is a text; from when to when it may be is no pattern's to say.
        "expires_at": not "2000" <= expires[:4] < "9999",
    }
    named = [error["field"] for error in problem.get("errors", [])]
    return bool(named) and all(rules.get(field, False) for field in named)


def is_of_no_endpoint(body: dict[str, Any], detail: str) -> bool:
    """Whether a body names an endpoint that its provider does not have, which only the cluster knows."""
    said = re.match(r"endpoint_ids\[(\d+)\]: provider (\S+) has no endpoint ", detail)
    if said is None:
        return False
    there = said[2] == SAMPLE and body["endpoint_ids"][int(said[1])] == SAMPLE_ENDPOINT
    return not there


def is_of_no_format(body: dict[str, Any], detail: str) -> bool:
    """Whether an import is of no format that there is, which is told by its shape: by several fields at once."""
    ours = body.get("apiVersion") == API_VERSION
    return "this is no configuration that can be imported" in detail and not ours and not LITELLM & set(body)


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
    """Fields of a body that do not go together."""
    given = {name for name, value in body.items() if value is not None}
    if path.endswith("/resolve"):
        rules = rules_of_need(given, body)
    elif "/credentials" in path:
        rules = rules_of_key(given, is_new=path.endswith("/credentials"))
    else:
        rules = {}
    return {name for name, breaks in rules.items() if breaks}


def rules_of_key(given: set[str], is_new: bool) -> dict[str, bool]:
    """A credential has its key of a Secret that is there, or with it."""
    key, names = bool(given & KEY), "secret_name" in given
    about_its_own = key or "allowed_hosts" in given
    return {
        # Neither a key nor a Secret, or half of a pair.
        "api_key": (is_new and not key and not names) or ("secret_key" in given and "api_key" not in given),
        "secret_name": key and names,
        "allowed_hosts": names and "allowed_hosts" in given,
        **{entry: about_its_own and entry in given for entry in ENTRIES},
    }


def rules_of_need(given: set[str], body: dict[str, Any]) -> dict[str, bool]:
    """Fields of a need that do not go together."""
    without_capability = not body.get("capabilities")
    without_tokens = not body.get("prompt_tokens") and not body.get("output_tokens")
    return {
        "model": "model" in given and bool(given & NEED),
        # Neither a name nor a need.
        "name a model (model), or say what it must be": not given & (NEED | {"model"}),
        "max_input_price": "currency" not in given,
        "max_output_price": "currency" not in given,
        "min_score": without_capability,
        "prefer": without_capability and body.get("prefer") == "score",
        "prompt_tokens": without_tokens,
    }
