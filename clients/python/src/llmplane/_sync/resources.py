# Made by generate.py; edit _async/resources.py instead.
"""The kinds: what can be asked of each, and done to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from .. import models
from .._calls import Call, Id, Outcome, answer_of, outcome_of, params, path
from .transport import Transport

T = TypeVar("T")
RowT = TypeVar("RowT", bound=models.Common)
# The answer waits for the row for 5 seconds, and for the apiserver before that.
WRITE_SECONDS = 15.0
Words = str | Iterable[str] | None


def _many(words: Words) -> list[str]:
    return [] if words is None else [words] if isinstance(words, str) else list(words)


def _labels(selector: Mapping[str, str] | None) -> str | None:
    return ",".join(f"{key}={value}" for key, value in selector.items()) if selector else None


class Readable(Generic[RowT]):
    """What can be asked of every kind."""

    _name: str
    _row: type[RowT]
    _page: Any

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(
        self,
        id: Id,
        *,
        namespace: str | None = None,
        min_revision: int | None = None,
        include_deleted: bool | None = None,
    ) -> RowT:
        """One row, by its UID or its name.

        Raises:
            NotFound: there is none, or the caller may not see it.
        """
        asked = {"min_revision": min_revision, "include_deleted": include_deleted}
        return self._transport.send(self._get(path(self._name, id), self._row, namespace, asked))

    def _pages(self, where: str, namespace: str | None, asked: Mapping[str, Any]) -> Iterator[RowT]:
        cursor: str | None = None
        while True:
            page = self._transport.send(self._get(where, self._page, namespace, {**asked, "cursor": cursor}))
            for row in page.items:
                yield row
            cursor = page.next_cursor
            if cursor is None:
                return

    def _get(self, where: str, kind: type[T], namespace: str | None, asked: Mapping[str, Any]) -> Call[T]:
        query = params({"namespace": self._in(namespace), **asked})
        return Call("GET", where, answer_of(kind), query, is_kept=True, is_repeatable=True)

    def _in(self, namespace: str | None) -> str | None:
        return namespace or self._transport.settings.namespace


class Kind(Readable[RowT]):
    """What is done to every kind that can be written."""

    def delete(
        self, id: Id, *, namespace: str | None = None, force: bool = False, dry_run: bool = False
    ) -> Outcome[models.Deleted]:
        """Deletes the resource; `force` where a GitOps tool manages it, which may bring it back.

        Raises:
            Conflict: it is managed by a GitOps tool.
        """
        return self._delete(id, namespace, {"force": force or None, "dry_run": dry_run or None})

    def _delete(self, id: Id, namespace: str | None, asked: Mapping[str, Any]) -> Outcome[models.Deleted]:
        query = params({"namespace": self._in(namespace), **asked})
        longest = WRITE_SECONDS + self._transport.settings.timeout_seconds
        call = Call("DELETE", path(self._name, id), outcome_of(models.Deleted), query, timeout_seconds=longest)
        return self._transport.send(call)

    def replace(
        self,
        id: Id,
        fields: Mapping[str, Any],
        *,
        namespace: str | None = None,
        force: bool = False,
        dry_run: bool = False,
    ) -> Outcome[RowT]:
        """Puts these fields in place of the ones that are there; what is left out goes back to its default.

        Raises:
            BadRequest: a field is not valid; `errors` names it.
            Conflict: somebody else changed it meanwhile, or a GitOps tool manages it.
        """
        asked = {"force": force or None, "dry_run": dry_run or None}
        return self._write("PUT", path(self._name, id), namespace, asked, fields)

    def _create(self, where: str, namespace: str | None, dry_run: bool, fields: Mapping[str, Any]) -> Outcome[RowT]:
        return self._write("POST", where, namespace, {"dry_run": dry_run or None}, fields)

    def _act(self, where: str, namespace: str | None, wait_seconds: float | None) -> Outcome[RowT]:
        query = params({"namespace": self._in(namespace), "wait_seconds": wait_seconds})
        # The answer comes when the vendor's has come, or after the wait.
        longest = (10.0 if wait_seconds is None else wait_seconds) + self._transport.settings.timeout_seconds
        return self._transport.send(
            Call("POST", where, outcome_of(self._row), query, is_repeatable=True, timeout_seconds=longest)
        )

    def _write(
        self, method: str, where: str, namespace: str | None, asked: Mapping[str, Any], fields: Mapping[str, Any] | None
    ) -> Outcome[RowT]:
        query = params({"namespace": self._in(namespace), **asked})
        longest = WRITE_SECONDS + self._transport.settings.timeout_seconds
        return self._transport.send(Call(method, where, outcome_of(self._row), query, fields, timeout_seconds=longest))


class Providers(Kind[models.Provider]):
    """Vendor accounts and servers that offer models."""

    _name, _row, _page = "providers", models.Provider, models.ListProvider

    def list(
        self,
        *,
        namespace: str | None = None,
        type: str | None = None,
        name: str | None = None,
        is_active: bool | None = None,
        min_revision: int | None = None,
        include_deleted: bool | None = None,
        limit: int | None = None,
    ) -> Iterator[models.Provider]:
        """All rows, page by page; `limit` is a page's."""
        asked = {
            "type": type,
            "name": name,
            "is_active": is_active,
            "min_revision": min_revision,
            "include_deleted": include_deleted,
            "limit": limit,
        }
        return self._pages(path(self._name), namespace, asked)

    def create(
        self, fields: Mapping[str, Any], *, namespace: str | None = None, dry_run: bool = False
    ) -> Outcome[models.Provider]:
        """Declares a provider: `name`, `type`, and what else its row has.

        Raises:
            Conflict: there is one of this name.
        """
        return self._create(path(self._name), namespace, dry_run, fields)

    def delete(
        self,
        id: Id,
        *,
        namespace: str | None = None,
        cascade: bool = False,
        force: bool = False,
        dry_run: bool = False,
    ) -> Outcome[models.Deleted]:
        """Deletes a provider; with `cascade` all that is declared under it, too.

        Raises:
            Conflict: it is managed by a GitOps tool, or has children and `cascade` is not given.
        """
        asked = {"cascade": cascade or None, "force": force or None, "dry_run": dry_run or None}
        return self._delete(id, namespace, asked)

    def set_active(
        self,
        id: Id,
        is_active: bool,
        *,
        namespace: str | None = None,
        force: bool = False,
        dry_run: bool = False,
    ) -> Outcome[models.Provider]:
        """Switches a provider, and all that is under it, on or off."""
        asked = {"force": force or None, "dry_run": dry_run or None}
        return self._write("PATCH", path(self._name, id, "status"), namespace, asked, {"is_active": is_active})

    def sync_models(
        self, id: Id, *, namespace: str | None = None, wait_seconds: float | None = None
    ) -> Outcome[models.Provider]:
        """Asks for the vendor's list of models now, and waits for it."""
        return self._act(path(self._name, id, "models", "sync"), namespace, wait_seconds)


class _OfProvider(Kind[RowT]):
    def create(
        self, provider: Id, fields: Mapping[str, Any], *, namespace: str | None = None, dry_run: bool = False
    ) -> Outcome[RowT]:
        """Declares one of this provider: `name`, and what else its row has.

        Raises:
            Conflict: there is one of this name, or the provider has as many as it may.
        """
        return self._create(path("providers", provider, self._name), namespace, dry_run, fields)


class _Listed(_OfProvider[RowT]):
    def list(
        self,
        provider: Id,
        *,
        namespace: str | None = None,
        name: str | None = None,
        is_active: bool | None = None,
        min_revision: int | None = None,
        include_deleted: bool | None = None,
        limit: int | None = None,
    ) -> Iterator[RowT]:
        """All rows of a provider, page by page; `limit` is a page's."""
        asked = {
            "name": name,
            "is_active": is_active,
            "min_revision": min_revision,
            "include_deleted": include_deleted,
            "limit": limit,
        }
        return self._pages(path("providers", provider, self._name), namespace, asked)


class Endpoints(_Listed[models.Endpoint]):
    """Base URLs of providers."""

    _name, _row, _page = "endpoints", models.Endpoint, models.ListEndpoint

    def health(
        self,
        id: Id,
        *,
        namespace: str | None = None,
        min_revision: int | None = None,
        include_deleted: bool | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> models.EndpointHealth:
        """Whether it answers, and a page of the probes that say so, newest first."""
        asked = {
            "min_revision": min_revision,
            "include_deleted": include_deleted,
            "limit": limit,
            "cursor": cursor,
        }
        call = self._get(path(self._name, id, "health"), models.EndpointHealth, namespace, asked)
        return self._transport.send(call)

    def check_health(
        self, id: Id, *, namespace: str | None = None, wait_seconds: float | None = None
    ) -> Outcome[models.Endpoint]:
        """Asks for a probe now, and waits for it."""
        return self._act(path(self._name, id, "health-check"), namespace, wait_seconds)


class Credentials(_Listed[models.Credential]):
    """Keys of providers, masked."""

    _name, _row, _page = "credentials", models.Credential, models.ListCredential

    def holders(
        self,
        id: Id,
        *,
        namespace: str | None = None,
        min_revision: int | None = None,
        include_deleted: bool | None = None,
        limit: int | None = None,
    ) -> models.Holders:
        """Who was given which version last."""
        asked = {"min_revision": min_revision, "include_deleted": include_deleted, "limit": limit}
        call = self._get(path(self._name, id, "holders"), models.Holders, namespace, asked)
        return self._transport.send(call)

    def validate(
        self, id: Id, *, namespace: str | None = None, wait_seconds: float | None = None
    ) -> Outcome[models.Credential]:
        """Asks the vendor now whether it takes the key, and waits for the answer."""
        return self._act(path(self._name, id, "validate"), namespace, wait_seconds)


class Models(_OfProvider[models.Model]):
    """Models that can be called."""

    _name, _row, _page = "models", models.Model, models.ListModel

    def list(
        self,
        *,
        namespace: str | None = None,
        provider: Id | None = None,
        type: str | None = None,
        status: str | None = None,
        capability: Words = None,
        min_score: int | None = None,
        base_model: str | None = None,
        input_modality: Words = None,
        output_modality: Words = None,
        embedding_dimensions: int | None = None,
        selector: Mapping[str, str] | None = None,
        retires_before: str | None = None,
        min_context_window: int | None = None,
        max_input_price: str | None = None,
        prompt_tokens: int | None = None,
        cached_tokens: int | None = None,
        output_tokens: int | None = None,
        currency: str | None = None,
        sort: str | None = None,
        name: str | None = None,
        is_active: bool | None = None,
        min_revision: int | None = None,
        include_deleted: bool | None = None,
        limit: int | None = None,
    ) -> Iterator[models.Model]:
        """All rows that pass these filters, page by page; `limit` is a page's."""
        asked = {
            "provider": provider,
            "type": type,
            "status": status,
            "capability": _many(capability),
            "min_score": min_score,
            "base_model": base_model,
            "input_modality": _many(input_modality),
            "output_modality": _many(output_modality),
            "embedding_dimensions": embedding_dimensions,
            "selector": _labels(selector),
            "retires_before": retires_before,
            "min_context_window": min_context_window,
            "max_input_price": max_input_price,
            "prompt_tokens": prompt_tokens,
            "cached_tokens": cached_tokens,
            "output_tokens": output_tokens,
            "currency": currency,
            "sort": sort,
            "name": name,
            "is_active": is_active,
            "min_revision": min_revision,
            "include_deleted": include_deleted,
            "limit": limit,
        }
        return self._pages(path(self._name), namespace, asked)

    def test(self, id: Id, *, namespace: str | None = None, wait_seconds: float | None = None) -> Outcome[models.Model]:
        """Asks the vendor now whether the model can be called, and waits for the answer."""
        return self._act(path(self._name, id, "test"), namespace, wait_seconds)


class ModelClasses(Readable[models.ModelClass]):
    """Names that agents ask for, each with the model that it means now."""

    _name, _row, _page = "classes", models.ModelClass, models.ListModelClass

    def list(
        self,
        *,
        namespace: str | None = None,
        name: str | None = None,
        is_active: bool | None = None,
        min_revision: int | None = None,
        include_deleted: bool | None = None,
        limit: int | None = None,
    ) -> Iterator[models.ModelClass]:
        """All rows, page by page; `limit` is a page's."""
        asked = {
            "name": name,
            "is_active": is_active,
            "min_revision": min_revision,
            "include_deleted": include_deleted,
            "limit": limit,
        }
        return self._pages(path(self._name), namespace, asked)
