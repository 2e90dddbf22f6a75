"""Whether this package still says what the API says: both are made from, or held against, its description."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import types
import typing
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from plane import ROOT

from llmplane import Client, LlmplaneError, Need, models

PACKAGE = ROOT / "clients" / "python"
DESCRIPTION: dict[str, Any] = json.loads((ROOT / "docs" / "openapi.json").read_text())
SCHEMAS: dict[str, Any] = DESCRIPTION["components"]["schemas"]
# What is a header, and what the client puts into the path.
NOT_ASKED = {"If-None-Match", "Last-Event-ID", "cursor", "last_event_id"}

CALLS: dict[str, Callable[[Client, dict[str, Any]], Any]] = {
    "get /api/v1/providers": lambda c, a: list(c.providers.list(**a)),
    "get /api/v1/providers/{id}": lambda c, a: c.providers.get("x", **a),
    "get /api/v1/providers/{id}/endpoints": lambda c, a: list(c.endpoints.list("x", **a)),
    "get /api/v1/endpoints/{id}": lambda c, a: c.endpoints.get("x", **a),
    "get /api/v1/endpoints/{id}/health": lambda c, a: c.endpoints.health("x", **a),
    "get /api/v1/providers/{id}/credentials": lambda c, a: list(c.credentials.list("x", **a)),
    "get /api/v1/credentials/{id}": lambda c, a: c.credentials.get("x", **a),
    "get /api/v1/credentials/{id}/holders": lambda c, a: c.credentials.holders("x", **a),
    "get /api/v1/models": lambda c, a: list(c.models.list(**a)),
    "get /api/v1/models/{id}": lambda c, a: c.models.get("x", **a),
    "get /api/v1/classes": lambda c, a: list(c.classes.list(**a)),
    "get /api/v1/classes/{id}": lambda c, a: c.classes.get("x", **a),
    "get /api/v1/audit": lambda c, a: list(c.audit(**a)),
    "get /api/v1/needs": lambda c, a: list(c.needs(**a)),
    "post /api/v1/audit/whose-key": lambda c, a: c.whose_key("x", **a),
    "post /api/v1/resolve": lambda c, a: c.resolve("x", **a),
    "get /api/v1/export": lambda c, a: c.export(**a),
    "get /api/v1/watch": lambda c, a: next(c.watch(kinds=a["kind"], **{"namespace": a["namespace"]})),
    "post /api/v1/endpoints/{id}/health-check": lambda c, a: c.endpoints.check_health("x", **a),
    "post /api/v1/credentials/{id}/validate": lambda c, a: c.credentials.validate("x", **a),
    "post /api/v1/providers/{id}/models/sync": lambda c, a: c.providers.sync_models("x", **a),
    "post /api/v1/models/{id}/test": lambda c, a: c.models.test("x", **a),
    "post /api/v1/providers": lambda c, a: c.providers.create({}, **a),
    "put /api/v1/providers/{id}": lambda c, a: c.providers.replace("x", {}, **a),
    "delete /api/v1/providers/{id}": lambda c, a: c.providers.delete("x", **a),
    "patch /api/v1/providers/{id}/status": lambda c, a: c.providers.set_active("x", True, **a),
    "post /api/v1/providers/{id}/endpoints": lambda c, a: c.endpoints.create("x", {}, **a),
    "put /api/v1/endpoints/{id}": lambda c, a: c.endpoints.replace("x", {}, **a),
    "delete /api/v1/endpoints/{id}": lambda c, a: c.endpoints.delete("x", **a),
    "post /api/v1/providers/{id}/credentials": lambda c, a: c.credentials.create("x", {}, **a),
    "put /api/v1/credentials/{id}": lambda c, a: c.credentials.replace("x", {}, **a),
    "delete /api/v1/credentials/{id}": lambda c, a: c.credentials.delete("x", **a),
    "post /api/v1/providers/{id}/models": lambda c, a: c.models.create("x", {}, **a),
    "put /api/v1/models/{id}": lambda c, a: c.models.replace("x", {}, **a),
    "delete /api/v1/models/{id}": lambda c, a: c.models.delete("x", **a),
    "post /api/v1/import": lambda c, a: c.import_manifests("x", **a),
    "get /openapi.json": lambda c, a: c.description(),
}
# What a method takes in a form of its own.
FORMS: dict[str, Any] = {"selector": {"team": "x"}}
# `models.list(capability=...)` asks for the same.
OTHER_WAYS = {"get /api/v1/models/by-capability/{capability}"}


def operations() -> dict[str, dict[str, Any]]:
    paths = DESCRIPTION["paths"].items()
    return {f"{method} {path}": operation for path, item in paths for method, operation in item.items()}


def asked_of(operation: dict[str, Any]) -> dict[str, Any]:
    """A value for each parameter of a query."""
    asked = {}
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "query" and parameter["name"] not in NOT_ASKED:
            kinds = parameter["schema"].get("type", "string")
            kind = next(one for one in ([kinds] if isinstance(kinds, str) else kinds) if one != "null")
            value = {"integer": 1, "boolean": True, "array": ["x"]}.get(kind, "x")
            asked[parameter["name"]] = FORMS.get(parameter["name"], value)
    return asked


def test_what_is_made_is_current() -> None:
    command = [sys.executable, str(PACKAGE / "generate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_route_has_a_method() -> None:
    assert set(operations()) - OTHER_WAYS == set(CALLS)


@pytest.mark.parametrize("name", sorted(CALLS))
def test_a_method_sends_every_parameter_of_its_route(name: str) -> None:
    operation = operations()[name]
    seen: list[httpx.Request] = []

    def refuse(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(400)

    client = Client("http://127.0.0.1:1", token="a")
    client._transport._http._transport = httpx.MockTransport(refuse)
    asked = asked_of(operation)
    with pytest.raises(LlmplaneError):
        CALLS[name](client, asked)
    method, _, path = name.partition(" ")
    assert seen[0].method.lower() == method
    assert re.fullmatch(re.sub(r"\{\w+\}", "x", path), seen[0].url.path)
    assert set(seen[0].url.params) == set(asked)


def test_a_need_has_the_fields_of_the_request() -> None:
    own = {"model", "class", "with_secret", "all_targets", "purpose"}
    assert set(Need.__annotations__) == set(SCHEMAS["ResolveRequest"]["properties"]) - own


def test_the_classes_have_the_fields_of_the_schemas_and_no_others() -> None:
    def fields(schema: dict[str, Any]) -> set[str]:
        parts = [
            SCHEMAS[part["$ref"].rpartition("/")[2]] if "$ref" in part else part for part in schema.get("allOf", [])
        ]
        return set(schema.get("properties", {})).union(*(fields(part) for part in parts))

    compared = 0
    for name, schema in SCHEMAS.items():
        kind = getattr(models, name.replace("_", ""), None)
        if isinstance(kind, type) and issubclass(kind, models.Answer):
            assert {field.alias or own for own, field in kind.model_fields.items()} == fields(schema), name
            compared += 1
    objects = [schema for schema in SCHEMAS.values() if schema.get("type") == "object" or "allOf" in schema]
    assert compared == len(objects) > 20


def test_whatever_is_a_key_is_of_a_type_that_does_not_show_it() -> None:
    for kind in vars(models).values():
        if isinstance(kind, type) and issubclass(kind, models.Answer) and kind.__module__ == models.__name__:
            for name, field in kind.model_fields.items():
                if name in ("api_key", "secret_key", "access_token", "key"):
                    assert "SecretStr" in str(field.annotation), f"{kind.__name__}.{name}"


def test_both_clients_have_the_same_methods() -> None:
    import llmplane

    def methods(client: object) -> set[str]:
        rename = {"aclose": "close", "__aenter__": "__enter__", "__aexit__": "__exit__"}
        names = {name for name, value in vars(type(client)).items() if isinstance(value, types.FunctionType)}
        return {rename.get(name, name) for name in names}

    other = llmplane.AsyncClient("http://127.0.0.1:1", token="a")
    client = Client("http://127.0.0.1:1", token="a")
    assert methods(other) == methods(client)
    hints = typing.get_type_hints(Client.resolve)
    assert hints["return"] is models.ResolveAnswer


def test_the_wheel_is_typed_and_holds_the_package_alone(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(tmp_path), str(PACKAGE)], check=True)
    (wheel,) = tmp_path.glob("llmplane-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "llmplane/py.typed" in names
    assert all(name.startswith(("llmplane/", "llmplane-")) for name in names)


def test_the_types_hold() -> None:
    done = subprocess.run([sys.executable, "-m", "mypy"], cwd=PACKAGE, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
