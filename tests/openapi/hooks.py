"""What a description cannot say: which parts of a request go together, what only an answer can name, and that a
revision is yet to come. Each rule is looked for in the request itself: an answer that refuses anything else fails.
"""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import schemathesis
from schemathesis.core.deserialization import deserializer

UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

# What a request for a target is for: a model by its name, a class by its name, or a need; and how it is answered.
DESCRIPTION = json.loads((Path(__file__).parents[2] / "docs/openapi.json").read_text())
ASKED = set(DESCRIPTION["components"]["schemas"]["ResolveRequest"]["properties"])
NAMES = {"model", "class"}
NEED = ASKED - NAMES - {"with_secret", "purpose", "all_targets"}


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
    # An object keeps its name; a body may say it all the same.
    if case.method == "PUT" and body.get("name") not in (None, id):
        broken.add("name")
    broken |= broken_in_query(query) | broken_in_body(case.path, body)
    # An object of any fields: which characters are in it is no pattern's to say.
    if r"\u0000" in json.dumps(body.get("default_parameters")):
        broken.add("default_parameters")
    unnamed = case.path.endswith("/import") and "format" not in query
    return (
        detail.partition(":")[0] in broken
        or is_of_no_endpoint(body, detail)
        or is_of_another_type(body, detail)
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
    # What a provider is of stays; which type that is only the cluster knows.
    another_type = case.method == "PUT" and (id, body.get("type")) != (SAMPLE, SAMPLE_TYPE)
    half_a_pair = case.method == "PUT" and given(body, "secret_key_entry") and not given(body, "api_key_entry")
    rules = {
        "type": case.path.endswith("/providers/{id}") and another_type,
        "max_input_tokens": window is not None and (body.get("max_input_tokens") or 0) > window,
        "max_output_tokens": window is not None and (body.get("max_output_tokens") or 0) > window,
        # Whether the credential names an access key id already.
        "secret_ref.keys": half_a_pair,
    }
    # A date is a text; from when to when it may be is no pattern's to say.
    dates = ("expires_at", "deprecated_at", "retires_at")
    rules |= {date: not "2000" <= str(body.get(date))[:4] < "9999" for date in dates}
    rules["retires_at"] |= all(given(body, date) for date in dates[1:]) and at(body, dates[2]) < at(body, dates[1])
    names = [capability.get("name") for capability in body.get("capabilities") or [] if isinstance(capability, dict)]
    # Each has its name once, whatever its score.
    rules["capabilities"] = len(names) != len(set(names))
    limits = [limit for limit in body.get("limits") or [] if isinstance(limit, dict)]
    counted = [(limit.get("unit"), limit.get("period")) for limit in limits]
    rules["limits"] = len(counted) != len(set(counted))
    for place, (unit, period) in enumerate(counted):
        # What is counted at once has no period, and all else has one.
        rules[f"limits[{place}].period"] = (unit == "ConcurrentRequests") == (period is not None)
    tiers = [tier for tier in body.get("price_tiers") or [] if isinstance(tier, dict)]
    begins = [tier.get("from_input_tokens") for tier in tiers]
    in_order = all(isinstance(begin, int) for begin in begins) and begins == sorted(set(begins))
    # In every tier and beside the tiers, or nowhere.
    complete = all(given(tier, price) == given(body, price) for tier in tiers for price in ("input_price", "output_price"))
    rules["price_tiers"] = not (in_order and complete)
    named = [error["field"] for error in problem.get("errors", [])]
    return bool(named) and all(rules.get(field, rules.get(field.partition("[")[0], False)) for field in named)


def is_of_no_endpoint(body: dict[str, Any], detail: str) -> bool:
    """Whether a body names an endpoint that its provider does not have, which only the cluster knows."""
    said = re.match(r"endpoint_ids\[(\d+)\]: provider (\S+) has no endpoint ", detail)
    if said is None:
        return False
    there = said[2] == SAMPLE and body["endpoint_ids"][int(said[1])] == SAMPLE_ENDPOINT
    return not there


def is_of_another_type(body: dict[str, Any], detail: str) -> bool:
    """Whether a body exchanges a token as another type of provider does than this one is, which only the cluster knows."""
    said = re.match(r"federation\.(\w+) is for providers of type (\w+), and this one's is (\w+)", detail)
    return said is not None and given(body["federation"], said[1]) and said[2] != said[3]


def is_of_no_format(body: dict[str, Any], detail: str) -> bool:
    """Whether an import is of no format that there is, which is told by its shape: by several fields at once."""
    ours = body.get("apiVersion") == API_VERSION
    return "this is no configuration that can be imported" in detail and not ours and not LITELLM & set(body)


def broken_in_query(query: dict[str, Any]) -> set[str]:
    """Parameters that a rule between two of them refuses, or that are made by nobody but the server."""
    without_capability = not query.get("capability")
    rules = {
        "cursor": "cursor" in query,
        "max_input_price": "max_input_price" in query and "currency" not in query,
        "min_score": "min_score" in query and without_capability,
        "sort": without_capability and str(query.get("sort", "")).endswith("score"),
        **rules_of_call(query),
    }
    return {name for name, breaks in rules.items() if breaks}


def at(body: dict[str, Any], field: str) -> datetime:
    """The moment that a field of a body names; the earliest where it names none."""
    try:
        return datetime.fromisoformat(body[field])
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)


def given(body: dict[str, Any], field: str) -> bool:
    """Whether a body has a field: null is as if it were not there."""
    return body.get(field) is not None


def broken_in_body(path: str, body: dict[str, Any]) -> set[str]:
    """Fields of a body that do not go together."""
    rules = rules_of_need(body) if path.endswith("/resolve") else {}
    return {name for name, breaks in rules.items() if breaks}


def rules_of_need(body: dict[str, Any]) -> dict[str, bool]:
    """Fields of a need that do not go together."""
    given = {name for name, value in body.items() if value is not None}
    without_capability = not body.get("capabilities")
    return {
        "model": "model" in given and bool(given & NEED),
        "class": "class" in given and bool(given & (NEED | {"model"})),
        # Neither a name nor a need.
        "name a model (model) or a class (class), or say what the model must be": not given & (NEED | NAMES),
        "max_input_price": "currency" not in given,
        "max_output_price": "currency" not in given,
        "min_score": without_capability,
        "prefer": without_capability and body.get("prefer") == "score",
        **rules_of_call(body),
    }


def rules_of_call(asked: dict[str, Any]) -> dict[str, bool]:
    """Tokens of a typical call that do not go together."""
    prompt, cached, output = (int(asked.get(f"{part}_tokens") or 0) for part in ("prompt", "cached", "output"))
    return {"prompt_tokens": prompt + output == 0, "cached_tokens": cached > prompt}
