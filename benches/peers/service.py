"""What a team would write for the same job: FastAPI in front of PostgreSQL.

Honest means: uvloop, httptools and orjson; a pool whose connections keep their prepared statements; an index for
each lookup; callers remembered for ten seconds; keys encrypted at rest, and given out with a row in an audit table
that is committed first. `service.py FILE` makes the tables from what `benches/table/peers.rs` wrote there.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import asyncpg
import orjson
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response

REMEMBERED_SECONDS = 10.0
# Columns of a model; what is a list or an object in the answer is JSON in the table.
PLAIN = ("model_id", "display_name", "version", "type", "status", "currency", "input_price", "output_price")
NUMBERS = ("context_window", "max_input_tokens", "max_output_tokens")
JSON = (
    "conditions",
    "endpoint_ids",
    "capabilities",
    "recommended_for",
    "default_parameters",
    "availability",
    "origin",
    "provider_id",
    "created_at",
    "updated_at",
    "is_active",
    "id",
)
COLUMNS = ("namespace", "name", *PLAIN, *NUMBERS, *JSON)
TABLES = f"""
CREATE TABLE models (
    namespace text NOT NULL, name text NOT NULL,
    {", ".join(f"{name} text" for name in PLAIN)}, {", ".join(f"{name} bigint" for name in NUMBERS)},
    {", ".join(f"{name} jsonb" for name in JSON)},
    PRIMARY KEY (namespace, name));
CREATE TABLE credentials (
    namespace text NOT NULL, name text NOT NULL, provider_id jsonb NOT NULL, priority int NOT NULL,
    nonce bytea NOT NULL, sealed bytea NOT NULL, row jsonb NOT NULL, endpoint jsonb NOT NULL, langchain jsonb NOT NULL,
    PRIMARY KEY (namespace, name));
CREATE INDEX ON credentials (namespace, provider_id, priority);
CREATE TABLE callers (hash bytea PRIMARY KEY, account text NOT NULL, namespace text NOT NULL);
CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(), actor text NOT NULL,
    namespace text NOT NULL, credential text NOT NULL, model text NOT NULL, purpose text);
"""
MODEL = f"SELECT {', '.join(COLUMNS)} FROM models WHERE namespace = $1 AND name = $2"
CREDENTIAL = """SELECT name, nonce, sealed, row, endpoint, langchain FROM credentials
    WHERE namespace = $1 AND provider_id = $2 ORDER BY priority LIMIT 1"""
AUDIT = "INSERT INTO audit (actor, namespace, credential, model, purpose) VALUES ($1, $2, $3, $4, $5)"
CALLER = "SELECT account, namespace FROM callers WHERE hash = $1"


async def prepare_types(connection: asyncpg.Connection) -> None:
    """JSON columns as Python's own values."""

    def decoded(text: bytes) -> Any:
        return orjson.loads(text[1:])

    def encoded(value: Any) -> bytes:
        return b"\x01" + orjson.dumps(value)

    await connection.set_type_codec("jsonb", encoder=encoded, decoder=decoded, schema="pg_catalog", format="binary")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.pool = await asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=8, max_size=8, init=prepare_types)
    app.state.callers = {}
    app.state.cipher = AESGCM(base64.b64decode(os.environ["PEER_KEY"]))
    yield
    await app.state.pool.close()


app = FastAPI(lifespan=lifespan, openapi_url=None)


async def caller(request: Request, authorization: Annotated[str, Header()]) -> tuple[str, str]:
    """Who asks: account and namespace."""
    token = authorization.removeprefix("Bearer ")
    hash = hashlib.sha256(token.encode()).digest()
    known = request.app.state.callers.get(hash)
    if known is None or known[0] < time.monotonic():
        row = await request.app.state.pool.fetchrow(CALLER, hash)
        if row is None:
            raise HTTPException(401)
        known = (time.monotonic() + REMEMBERED_SECONDS, (row["account"], row["namespace"]))
        request.app.state.callers[hash] = known
    return known[1]


Caller = Annotated[tuple[str, str], Depends(caller)]


@app.get("/models/{name}")
async def model(request: Request, name: str, caller: Caller) -> Response:
    row = await request.app.state.pool.fetchrow(MODEL, caller[1], name)
    if row is None:
        raise HTTPException(404)
    return Response(orjson.dumps(dict(row)), media_type="application/json")


@app.post("/resolve")
async def resolve(request: Request, caller: Caller) -> Response:
    asked = orjson.loads(await request.body())
    account, namespace = caller
    async with request.app.state.pool.acquire() as connection:
        model = await connection.fetchrow(MODEL, namespace, asked["model"])
        if model is None:
            raise HTTPException(404)
        found = await connection.fetchrow(CREDENTIAL, namespace, model["provider_id"])
        if found is None:
            raise HTTPException(404)
        await connection.execute(AUDIT, account, namespace, found["name"], asked["model"], asked.get("purpose"))
    key = request.app.state.cipher.decrypt(found["nonce"], found["sealed"], found["name"].encode())
    target = {"endpoint": found["endpoint"], "credential": found["row"], "langchain": found["langchain"]}
    target["secret"] = {"api_key": key.decode()}
    return Response(orjson.dumps({"model": dict(model), "targets": [target]}), media_type="application/json")


async def prepare(file: Path) -> None:
    """Makes the tables, and rows from an answer of the measured API."""
    given = orjson.loads(file.read_bytes())
    connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    await prepare_types(connection)
    await connection.execute(TABLES)
    await connection.copy_records_to_table(
        "models", columns=COLUMNS, records=[[row.get(name) for name in COLUMNS] for row in given["models"]]
    )
    target = given["resolve"]["targets"][0]
    credential = target["credential"]
    nonce = os.urandom(12)
    key = target["secret"]["api_key"].encode()
    sealed = AESGCM(base64.b64decode(os.environ["PEER_KEY"])).encrypt(nonce, key, credential["name"].encode())
    await connection.execute(
        "INSERT INTO credentials VALUES ($1, $2, $3, 1, $4, $5, $6, $7, $8)",
        credential["namespace"],
        credential["name"],
        credential["provider_id"],
        nonce,
        sealed,
        credential,
        target["endpoint"],
        target["langchain"],
    )
    callers = [
        (hashlib.sha256(token.encode()).digest(), f"agent-{number}") for number, token in enumerate(given["tokens"])
    ]
    namespace = credential["namespace"]
    await connection.executemany("INSERT INTO callers VALUES ($1, $2, $3)", [(*one, namespace) for one in callers])
    await connection.execute("ANALYZE")
    await connection.close()


if __name__ == "__main__":
    asyncio.run(prepare(Path(sys.argv[1])))
