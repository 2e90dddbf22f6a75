"""A LangChain chat model that is whichever model llmplane names, at whichever endpoint answers."""

from __future__ import annotations

import os
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableBinding
from langchain_core.tools import BaseTool
from pydantic import ConfigDict, Field, PrivateAttr, SecretStr

from .. import models
from .._ask import Ask
from .._async.client import AsyncClient
from .._async.route import AsyncRoute
from .._changes import Changes
from .._need import Need
from .._settings import Settings
from .._sync.client import Client
from .._sync.route import Route
from ._loops import PerLoop
from ._profile import profile_of
from ._targets import only_parameters


class LlmplaneChatModel(BaseChatModel):
    """Made by `chat_model`. What it was asked for stays; the vendor, the endpoint and the key may change."""

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    model: str | None = None
    """The model's name, else its display name, else its `model_id`; else the name of a class."""
    need: dict[str, Any] | None = None
    """What the model must be, where it has no name."""
    namespace: str | None = None
    purpose: str | None = None
    patience_seconds: float = Field(default=30.0, gt=0)
    """How long a call is tried before its last error is raised."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Of the vendor's chat model, for example `temperature`; they go before the model's default parameters."""

    _client: Client = PrivateAttr()
    _changes: Changes = PrivateAttr()
    _route: Route = PrivateAttr()
    _async_routes: PerLoop[AsyncRoute] = PrivateAttr()
    _answered: models.ResolveAnswer | None = PrivateAttr(default=None)

    def _connect(self, settings: Settings, watch: bool) -> None:
        """Resolves for the first time, so that what is wrong shows at once."""
        ask, client, changes = (
            self._ask(),
            Client.of(settings),
            Changes((lambda: Client.of(settings)) if watch else None),
        )

        def async_route() -> tuple[AsyncRoute, Callable[[], Awaitable[None]]]:
            other = AsyncClient.of(settings)
            return AsyncRoute(ask, other, changes), other.aclose

        self._client, self._changes = client, changes
        self._route = Route(ask, client, changes)
        self._async_routes = PerLoop(async_route)
        # Whoever drops the last reference to it has closed it.
        weakref.finalize(self, _close, client, changes, self._async_routes).atexit = False
        self._seen(self._route.answer())

    def _ask(self) -> Ask:
        return Ask(
            model=self.model,
            need=cast("Need | None", self.need),
            purpose=self.purpose,
            namespace=self.namespace,
            patience_seconds=self.patience_seconds,
            parameters=only_parameters(self.parameters),
        )

    def _seen(self, answer: models.ResolveAnswer) -> None:
        if answer is not self._answered:
            self._answered = answer
            self.profile = profile_of(answer.model)

    @property
    def resolved(self) -> models.ResolveAnswer:
        """What it stands for now: the model, its endpoints in order, and why no other. Its keys are SecretStr."""
        self._seen(self._route.answer())
        return cast("models.ResolveAnswer", self._answered)

    def close(self) -> None:
        """Closes the connections to llmplane; those of an event loop as soon as it runs."""
        _close(self._client, self._changes, self._async_routes)

    async def aclose(self) -> None:
        """Closes the connections to llmplane, and has those of this event loop closed when it returns."""
        await self._async_routes.aclose()
        self.close()

    @property
    def _llm_type(self) -> str:
        return "llmplane"

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        return {"model": self.model, "need": self.need, "namespace": self.namespace, "parameters": self.parameters}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        named = super()._get_ls_params(stop=stop, **kwargs)
        if self._answered is not None:
            target = next(iter(self._answered.targets), None)
            named["ls_model_name"] = self._answered.model.model_id
            if target is not None:
                named["ls_provider"] = target.langchain.model_provider
        return named

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The same with these tools. Each vendor's own chat model puts them into its form when it is called."""
        if tool_choice is not None:
            kwargs["tool_choice"] = tool_choice
        return cast("Runnable[LanguageModelInput, AIMessage]", self.bind(tools=list(tools), **kwargs))

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        def use(model: BaseChatModel) -> ChatResult:
            return model._generate(messages, stop=stop, run_manager=run_manager, **_arguments(model, kwargs))

        result, answer = self._route.run(use)
        self._seen(answer)
        return result

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        async def use(model: BaseChatModel) -> ChatResult:
            return await model._agenerate(messages, stop=stop, run_manager=run_manager, **_arguments(model, kwargs))

        route = await self._async_routes.get()
        result, answer = await route.run(use)
        self._seen(answer)
        return result

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        def use(model: BaseChatModel) -> tuple[list[ChatGenerationChunk], Iterator[ChatGenerationChunk]]:
            arguments = _arguments(model, kwargs)
            if type(model)._stream is BaseChatModel._stream:
                result = model._generate(messages, stop=stop, run_manager=run_manager, **arguments)
                return _chunks(result), iter(())
            chunks = iter(model._stream(messages, stop=stop, run_manager=run_manager, **arguments))
            first: list[ChatGenerationChunk] = []
            for chunk in chunks:
                first.append(chunk)
                if _says_something(chunk):
                    break
            return first, chunks

        (first, rest), answer = self._route.run(use)
        self._seen(answer)
        yield from first
        yield from rest

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        async def use(model: BaseChatModel) -> tuple[list[ChatGenerationChunk], AsyncIterator[ChatGenerationChunk]]:
            arguments = _arguments(model, kwargs)
            if type(model)._astream is BaseChatModel._astream:
                result = await model._agenerate(messages, stop=stop, run_manager=run_manager, **arguments)
                return _chunks(result), _nothing()
            chunks = aiter(model._astream(messages, stop=stop, run_manager=run_manager, **arguments))
            first: list[ChatGenerationChunk] = []
            async for chunk in chunks:
                first.append(chunk)
                if _says_something(chunk):
                    break
            return first, chunks

        route = await self._async_routes.get()
        (first, rest), answer = await route.run(use)
        self._seen(answer)
        for chunk in first:
            yield chunk
        async for chunk in rest:
            yield chunk


def _close(client: Client, changes: Changes, routes: PerLoop[AsyncRoute]) -> None:
    changes.close()
    client.close()
    routes.end()


def _arguments(model: BaseChatModel, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Of a call, as this vendor's chat model takes them."""
    if "tools" not in kwargs:
        return kwargs
    bound = cast("RunnableBinding[Any, Any]", model.bind_tools(**kwargs))
    return dict(bound.kwargs)


def _says_something(chunk: ChatGenerationChunk) -> bool:
    """Whether a caller has seen a part of the answer once it has this."""
    message = chunk.message
    return bool(message.content) or bool(isinstance(message, AIMessageChunk) and message.tool_call_chunks)


def _chunks(result: ChatResult) -> list[ChatGenerationChunk]:
    whole = [generation.message for generation in result.generations]
    return [ChatGenerationChunk(message=AIMessageChunk(**message.model_dump(exclude={"type"}))) for message in whole]


async def _nothing() -> AsyncIterator[ChatGenerationChunk]:
    nothing: list[ChatGenerationChunk] = []
    for chunk in nothing:
        yield chunk


def chat_model(
    model: str | None = None,
    *,
    need: Need | None = None,
    namespace: str | None = None,
    purpose: str | None = None,
    patience_seconds: float = 30.0,
    watch: bool = True,
    settings: Settings | None = None,
    url: str | None = None,
    token: str | SecretStr | None = None,
    token_file: str | os.PathLike[str] | None = None,
    **parameters: Any,
) -> LlmplaneChatModel:
    """A chat model of what llmplane answers to this name or need.

    Args:
        model: the model's name, or a class's; or give `need`.
        need: what it must be, for example `{"capabilities": ["FunctionCalling"], "currency": "USD"}`.
        purpose: what its keys are wanted for; the audit notes it.
        patience_seconds: how long a call is tried, over all endpoints, before its last error is raised.
        watch: whether changes are followed by a stream; without it answers are asked for every minute.
        settings: instead of `url`, `token` and `token_file`, which have variables in the environment.
        parameters: of the vendor's chat model, for example `temperature`.

    Raises:
        NoModel: none is what was asked for; `considered` says why.
        SettingsError: where a setting is missing or not valid.
    """
    if (model is None) == (need is None):
        raise ValueError("say either a model's name or a need")
    chat = LlmplaneChatModel(
        model=model,
        need=None if need is None else dict(need),
        namespace=namespace,
        purpose=purpose,
        patience_seconds=patience_seconds,
        parameters=parameters,
    )
    chat._connect(settings or Settings.of(url, token=token, token_file=token_file, namespace=namespace), watch)
    return chat
