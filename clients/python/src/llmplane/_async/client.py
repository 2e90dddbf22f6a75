"""The client: what agents, scripts and notebooks hold."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, TypeVar

from pydantic import SecretStr

from .. import models
from .._calls import API, Call, Id, answer_of, params, text_of
from .._events import Beat, Event
from .._need import Need
from .._settings import Settings
from .resources import AsyncCredentials, AsyncEndpoints, AsyncModelClasses, AsyncModels, AsyncProviders
from .transport import AsyncTransport
from .watch import AsyncWatch

Page = TypeVar("Page", models.AuditPage, models.NeedPage)


class AsyncClient:
    """llmplane's API.

    Every argument has a variable in the environment: `LLMPLANE_URL`, `LLMPLANE_TOKEN` or
    `LLMPLANE_TOKEN_FILE`, `LLMPLANE_NAMESPACE`, `LLMPLANE_CA_FILE`, `LLMPLANE_TIMEOUT_SECONDS`,
    `LLMPLANE_MAX_STALE_SECONDS`. In a pod the URL is enough: the token is read from
    `/var/run/secrets/llmplane/token`, again whenever it is renewed.

    Reads and `resolve` keep their last good answers. While the API is away these serve, and say so:
    `is_stale` and `age_seconds` of each answer.

    Raises:
        SettingsError: where one is missing or not valid.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | SecretStr | None = None,
        token_file: str | os.PathLike[str] | None = None,
        namespace: str | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        timeout_seconds: float | None = None,
        max_stale_seconds: float | None = None,
    ) -> None:
        self._open(
            Settings.of(
                url,
                token=token,
                token_file=token_file,
                namespace=namespace,
                ca_file=ca_file,
                timeout_seconds=timeout_seconds,
                max_stale_seconds=max_stale_seconds,
            )
        )

    @classmethod
    def of(cls, settings: Settings) -> AsyncClient:
        """A client of settings that are at hand."""
        client = cls.__new__(cls)
        client._open(settings)
        return client

    def _open(self, settings: Settings) -> None:
        self.settings = settings
        self._transport = AsyncTransport(self.settings)
        self.providers = AsyncProviders(self._transport)
        self.endpoints = AsyncEndpoints(self._transport)
        self.credentials = AsyncCredentials(self._transport)
        self.models = AsyncModels(self._transport)
        self.classes = AsyncModelClasses(self._transport)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the connections and forgets every answer."""
        await self._transport.aclose()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.settings.url!r})"

    async def resolve(
        self,
        model: str | None = None,
        *,
        class_: str | None = None,
        need: Need | None = None,
        with_secret: bool = False,
        all_targets: bool = False,
        purpose: str | None = None,
        namespace: str | None = None,
        min_revision: int | None = None,
        fresh: bool = False,
    ) -> models.ResolveAnswer:
        """A model, by its name, by a class or by what it must be, and where to call it.

        Args:
            model: its name, else its display name, else its `model_id`; where no model has it, a class's name.
            class_: name of a class: the model that it means now, with the endpoints of its others behind.
            need: what it must be, for example `{"capabilities": ["FunctionCalling"], "currency": "USD"}`.
            with_secret: whether the key is wanted too, which takes the right to use the credential.
            all_targets: whether every target is to carry its key, and not the first alone.
            purpose: what the key is wanted for; the audit notes it.
            fresh: not from memory, even while the API is away.

        Raises:
            NoModel: none is what was asked for; `considered` says why.
        """
        named = {"model": model, "class": class_}
        asked = {**named, "with_secret": with_secret or None, "all_targets": all_targets or None}
        where = {"namespace": namespace, "min_revision": min_revision}
        return await self._resolve({**(need or {}), **asked, "purpose": purpose}, where, fresh=fresh)

    async def _resolve(
        self, asked: Mapping[str, Any], where: Mapping[str, Any], *, fresh: bool = False, has_answer: bool = False
    ) -> models.ResolveAnswer:
        """The same for a caller that may have an answer of its own, and then waits no longer than is worth it."""
        body = {name: value for name, value in asked.items() if value is not None}
        query = params({**where, "namespace": where.get("namespace") or self.settings.namespace})
        read = answer_of(models.ResolveAnswer)
        call = Call("POST", f"{API}/resolve", read, query, body, is_kept=True, is_repeatable=True)
        return await self._transport.send(call, fresh=fresh, has_answer=has_answer)

    async def watch(
        self, *, namespace: str | None = None, kinds: Sequence[str] = (), since: int | str | None = None
    ) -> AsyncIterator[Event]:
        """All that is there, then changes as they happen, without an end. A stream that breaks off is taken up.

        What was told may come again then; where changes were missed, a `Reset` says so and all rows follow.

        Args:
            kinds: these alone, for example `("LlmModel", "LlmEndpoint")`.
            since: the revision of what is known already, for example a list's: what changed since is told, and no more.

        Raises:
            ApiError: where the API refuses, for example once the right has ended.
        """
        async for beat in self._beats(namespace=namespace, kinds=kinds, since=since):
            if not isinstance(beat, Beat):
                yield beat

    def _beats(
        self, *, namespace: str | None, kinds: Sequence[str], since: int | str | None = None
    ) -> AsyncIterator[Event | Beat]:
        """The same, which also says whether the stream is there, so that a caller can leave off between two events."""
        return AsyncWatch(self._transport, namespace, kinds, None if since is None else str(since)).beats()

    async def audit(
        self,
        *,
        namespace: str | None = None,
        action: str | None = None,
        result: str | None = None,
        actor: str | None = None,
        kind: str | None = None,
        name: str | None = None,
        object_id: Id | None = None,
        credential_version: int | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[models.AuditRow]:
        """Who used which key, and who changed what, newest first."""
        asked: dict[str, Any] = {
            "namespace": namespace or self.settings.namespace,
            "action": action,
            "result": result,
            "actor": actor,
            "kind": kind,
            "name": name,
            "object_id": object_id,
            "credential_version": credential_version,
            "since": since,
            "until": until,
            "limit": limit,
        }
        async for page in self._pages("audit", models.AuditPage, asked):
            for row in page.items:
                yield row

    async def needs(
        self, *, namespace: str | None = None, days: int | None = None, limit: int | None = None
    ) -> AsyncIterator[models.CountedNeed]:
        """What agents asked `resolve` for, and how often; `limit` is a page's."""
        asked: dict[str, Any] = {"namespace": namespace or self.settings.namespace, "days": days, "limit": limit}
        async for page in self._pages("needs", models.NeedPage, asked):
            for row in page.items:
                yield row

    async def _pages(self, name: str, page_type: type[Page], asked: dict[str, Any]) -> AsyncIterator[Page]:
        read = answer_of(page_type)
        cursor: str | None = None
        while True:
            query = params({**asked, "cursor": cursor})
            page = await self._transport.send(Call("GET", f"{API}/{name}", read, query, is_repeatable=True))
            yield page
            cursor = page.next_cursor
            if cursor is None:
                return

    async def whose_key(self, key: str | SecretStr, *, namespace: str | None = None) -> models.WhoseKey:
        """Whose key a string is, and who was given it. The string is neither logged nor kept."""
        body = {"key": key if isinstance(key, SecretStr) else SecretStr(key)}
        where = params({"namespace": namespace or self.settings.namespace})
        call = Call("POST", f"{API}/audit/whose-key", answer_of(models.WhoseKey), where, body)
        return await self._transport.send(call)

    async def export(
        self,
        *,
        namespace: str | None = None,
        kind: Sequence[str] = (),
        format: str | None = None,
        min_revision: int | None = None,
    ) -> str:
        """What is declared, as manifests that `kubectl apply` takes; `format` is `yaml`, the default, or `json`."""
        asked = {"kind": list(kind), "format": format, "min_revision": min_revision}
        where = params({"namespace": namespace or self.settings.namespace, **asked})
        return await self._transport.send(Call("GET", f"{API}/export", text_of, where, is_repeatable=True))

    async def import_manifests(
        self, text: str, *, format: str | None = None, namespace: str | None = None, dry_run: bool = False
    ) -> models.Imported:
        """Converts manifests, or others' configuration, and applies what comes of it, as the caller."""
        where = params(
            {"namespace": namespace or self.settings.namespace, "format": format, "dry_run": dry_run or None}
        )
        read, yaml = answer_of(models.Imported), (("Content-Type", "application/yaml"),)
        # Up to 8 MiB, and an object after the other.
        return await self._transport.send(
            Call("POST", f"{API}/import", read, where, text, timeout_seconds=120.0, headers=yaml)
        )

    async def description(self) -> Mapping[str, Any]:
        """The API's own description (OpenAPI 3.1)."""
        read = answer_of(dict[str, Any])
        return await self._transport.send(Call("GET", "/openapi.json", read, is_repeatable=True))
