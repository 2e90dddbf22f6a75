"""Middleware for LangChain's agents: each call of the model goes where llmplane says."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse
from langchain_core.messages import AIMessage

from .._need import Need
from .._settings import Settings
from ._chat import LlmplaneChatModel, chat_model
from ._verdict import Verdict, verdict_of

Wanted = str | Need
Result = ModelResponse[Any] | AIMessage
MAX_MODELS = 16
# A stream that breaks off after its first words cannot be taken up; the call is made again.
ATTEMPTS = 3


class LlmplaneMiddleware(AgentMiddleware[Any, Any, Any]):
    """Gives each call of the agent the model that is wanted for it, and makes it again where a stream broke off.

    `wanted` is a model's name, a need, or a function that says for a request which of the two: by the state,
    the number of messages, or the tools. The agent's own model is what it has until then.
    """

    def __init__(
        self,
        wanted: Wanted | Callable[[ModelRequest[Any]], Wanted],
        *,
        settings: Settings | None = None,
        **options: Any,
    ) -> None:
        """`settings` and `options` are those of `chat_model`.

        Raises:
            SettingsError: where a setting is missing or not valid.
        """
        super().__init__()
        self._wanted = wanted
        self._settings = settings or Settings.of()
        self._options = options
        self._lock = threading.Lock()
        self._models: OrderedDict[str, LlmplaneChatModel] = OrderedDict()
        # One at a time makes the model of a key; the others wait for it.
        self._making: dict[str, threading.Lock] = {}

    def model_for(self, request: ModelRequest[Any]) -> LlmplaneChatModel:
        """The chat model of what is wanted for this call."""
        wanted = self._wanted_for(request)
        model = self._known(_key(wanted))
        return self._made(wanted) if model is None else model

    async def amodel_for(self, request: ModelRequest[Any]) -> LlmplaneChatModel:
        """The same; the first question to llmplane is asked in a thread, and the event loop goes on."""
        wanted = self._wanted_for(request)
        model = self._known(_key(wanted))
        return await asyncio.to_thread(self._made, wanted) if model is None else model

    def _wanted_for(self, request: ModelRequest[Any]) -> Wanted:
        return self._wanted(request) if callable(self._wanted) else self._wanted

    def _known(self, key: str) -> LlmplaneChatModel | None:
        with self._lock:
            model = self._models.get(key)
            if model is not None:
                self._models.move_to_end(key)
            return model

    def _made(self, wanted: Wanted) -> LlmplaneChatModel:
        key = _key(wanted)
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        with making:
            model = self._known(key)
            if model is not None:
                return model
            asked: dict[str, Any] = {"model": wanted} if isinstance(wanted, str) else {"need": wanted}
            try:
                model = chat_model(settings=self._settings, **asked, **self._options)
                self._keep(key, model)
            finally:
                with self._lock:
                    self._making.pop(key, None)
            return model

    def _keep(self, key: str, model: LlmplaneChatModel) -> None:
        with self._lock:
            self._models[key] = model
            while len(self._models) > MAX_MODELS:
                # It may be in use: it closes once nobody holds it any more.
                self._models.popitem(last=False)

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> Result:
        """Calls the model that is wanted."""
        request = request.override(model=self.model_for(request))
        for _ in range(1, ATTEMPTS):
            try:
                return handler(request)
            except Exception as error:
                if verdict_of(error) is Verdict.RAISE:
                    raise
        return handler(request)

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> Result:
        """Calls the model that is wanted."""
        request = request.override(model=await self.amodel_for(request))
        for _ in range(1, ATTEMPTS):
            try:
                return await handler(request)
            except Exception as error:
                if verdict_of(error) is Verdict.RAISE:
                    raise
        return await handler(request)

    def close(self) -> None:
        """Closes the connections to llmplane; those of an event loop as soon as it runs."""
        for model in self._forget_all():
            model.close()

    async def aclose(self) -> None:
        """Closes the connections to llmplane, and has those of this event loop closed when it returns."""
        for model in self._forget_all():
            await model.aclose()

    def _forget_all(self) -> list[LlmplaneChatModel]:
        with self._lock:
            models = list(self._models.values())
            self._models.clear()
            return models


def _key(wanted: Wanted) -> str:
    return wanted if isinstance(wanted, str) else repr(sorted(wanted.items()))
