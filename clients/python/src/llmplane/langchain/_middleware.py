"""Middleware for LangChain's agents: each call of the model goes where llmplane says."""

from __future__ import annotations

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

    def model_for(self, request: ModelRequest[Any]) -> LlmplaneChatModel:
        """The chat model of what is wanted for this call."""
        wanted = self._wanted(request) if callable(self._wanted) else self._wanted
        key = wanted if isinstance(wanted, str) else repr(sorted(wanted.items()))
        with self._lock:
            model = self._models.get(key)
            if model is None:
                asked: dict[str, Any] = {"model": wanted} if isinstance(wanted, str) else {"need": wanted}
                model = chat_model(settings=self._settings, **asked, **self._options)
                self._models[key] = model
            self._models.move_to_end(key)
            while len(self._models) > MAX_MODELS:
                self._models.popitem(last=False)[1].close()
            return model

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
        request = request.override(model=self.model_for(request))
        for _ in range(1, ATTEMPTS):
            try:
                return await handler(request)
            except Exception as error:
                if verdict_of(error) is Verdict.RAISE:
                    raise
        return await handler(request)

    def close(self) -> None:
        """Closes the connections to llmplane."""
        with self._lock:
            while self._models:
                self._models.popitem()[1].close()
