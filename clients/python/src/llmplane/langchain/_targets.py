"""LangChain's own chat models for the targets of an answer, each made once."""

from __future__ import annotations

import copy
import hashlib
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

from langchain.chat_models import init_chat_model
from langchain_core.language_models import BaseChatModel
from pydantic import SecretStr

from .. import models

MAX_MODELS = 16
# An endpoint that failed is tried last for so long, unless llmplane has found it healthy since.
COOL_DOWN_SECONDS = 30.0
# Classes that take a key from the machine's environment where they are given none: it is not for this host.
_TAKES_ANY_KEY = ("openai", "azure_openai", "anthropic")
# Where a call goes, and as whom, is llmplane's to say.
_CONNECTION = (
    "anthropic_api_key",
    "anthropic_api_url",
    "api_key",
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "azure_ad_token",
    "azure_endpoint",
    "base_url",
    "endpoint_url",
    "http_async_client",
    "http_client",
    "model",
    "model_provider",
    "openai_api_base",
    "openai_api_key",
    "openai_proxy",
)


def only_parameters(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The same, where none of it moves the connection.

    Raises:
        ValueError: which one does.
    """
    for name in kwargs:
        if name in _CONNECTION:
            raise ValueError(f"{name} is not a parameter of a call: llmplane says where a call goes, and as whom")
    return dict(kwargs)


class TargetModels:
    """Chat models by target. A key that was replaced ends with the model that had it."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self._parameters = parameters
        self._lock = threading.Lock()
        self._made: OrderedDict[bytes, BaseChatModel] = OrderedDict()
        self._failed_at: dict[str, float] = {}

    def of(self, target: models.Target) -> BaseChatModel:
        """The chat model that calls this target."""
        key = identity(target)
        with self._lock:
            made = self._made.get(key)
            if made is not None:
                self._made.move_to_end(key)
                return made
        made = self._make(target)
        with self._lock:
            self._made[key] = made
            while len(self._made) > MAX_MODELS:
                self._made.popitem(last=False)
        return made

    def keep_only(self, targets: Iterable[models.Target]) -> None:
        """Drops those of no target, with their keys."""
        wanted = {identity(target) for target in targets}
        with self._lock:
            for key in [key for key in self._made if key not in wanted]:
                del self._made[key]

    def failed(self, target: models.Target) -> None:
        """The endpoint did not answer."""
        with self._lock:
            self._failed_at[str(target.endpoint.id)] = time.monotonic()

    def worked(self, target: models.Target) -> None:
        """The endpoint did."""
        with self._lock:
            self._failed_at.pop(str(target.endpoint.id), None)

    def in_order(self, targets: Iterable[models.Target]) -> list[models.Target]:
        """As llmplane has them, but those last that failed a moment ago."""
        now = time.monotonic()
        with self._lock:
            self._failed_at = {id: at for id, at in self._failed_at.items() if now - at < COOL_DOWN_SECONDS}
            return sorted(targets, key=lambda target: str(target.endpoint.id) in self._failed_at)

    def _make(self, target: models.Target) -> BaseChatModel:
        config = target.langchain
        kwargs = {**copy.deepcopy(config.kwargs), **self._parameters}
        for path, field in (config.secret_kwargs or {}).items():
            value = getattr(target.secret, field, None) if target.secret is not None else None
            if value is not None:
                _put(kwargs, path.split("."), value)
        if target.secret is None and config.model_provider in _TAKES_ANY_KEY:
            kwargs.setdefault("api_key", SecretStr("none"))
        made: BaseChatModel = init_chat_model(config.model, model_provider=config.model_provider, **kwargs)
        return made


def _put(kwargs: dict[str, Any], path: list[str], value: SecretStr) -> None:
    """Puts a key where its path leads. Headers are plain text to every class; the rest takes a SecretStr."""
    *outer, last = path
    for name in outer:
        kwargs = kwargs.setdefault(name, {})
    if last == "Authorization":
        kwargs[last] = f"Bearer {value.get_secret_value()}"
    else:
        kwargs[last] = value.get_secret_value() if outer else value


def identity(target: models.Target) -> bytes:
    """What tells a target from others, its key included; nothing of the key can be read from it."""
    parts: list[Any] = [target.langchain.model_provider, target.langchain.model, target.langchain.kwargs]
    parts.append(str(target.endpoint.id))
    if target.secret is not None:
        for secret in (target.secret.api_key, target.secret.secret_key, target.secret.access_token):
            parts.append(None if secret is None else secret.get_secret_value())
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).digest()
