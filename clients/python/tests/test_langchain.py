"""`llmplane.langchain` against the real API and servers that speak the vendors' protocols."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, get_type_hints

import httpx
import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import ModelProfile
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from plane import Namespace, Plane, until
from vendors import Anthropic, OpenAI

import llmplane
from llmplane.langchain import LlmplaneChatModel, LlmplaneMiddleware, chat_model

OPENAI_KEY = "sk-openai-0123456789abcdef0123456789"
ANTHROPIC_KEY = "sk-ant-0123456789abcdef0123456789abc"
CAN = [{"name": "Chat"}, {"name": "FunctionCalling"}, {"name": "Streaming"}]


@tool
def shout(text: str) -> str:
    """Says a text loudly."""
    return text.upper()


@dataclass
class Site:
    """Two vendors of one namespace: OpenAI's protocol at two endpoints, and Anthropic's at one."""

    namespace: Namespace
    first: OpenAI
    second: OpenAI
    anthropic: Anthropic
    settings: llmplane.Settings

    def chat(self, model: str, **options: Any) -> LlmplaneChatModel:
        return chat_model(model, settings=self.settings, **options)


@contextmanager
def made(plane: Plane) -> Iterator[Site]:
    first, second = OpenAI(OPENAI_KEY, model="gpt-1"), OpenAI(OPENAI_KEY, model="gpt-1")
    anthropic = Anthropic(ANTHROPIC_KEY, model="claude-1")
    namespace = Namespace(plane)
    more = {"capabilities": CAN, "contextWindow": 8192, "maxOutputTokens": 1024}
    namespace.provider("gpt", "OpenAICompatible", [first.url, second.url], OPENAI_KEY, "gpt-1", 60, **more)
    namespace.provider("claude", "Anthropic", [anthropic.url], ANTHROPIC_KEY, "claude-1", 60, **more)
    namespace.ready()
    settings = llmplane.Settings.of(plane.api_url, token=namespace.token(), timeout_seconds=5)
    yield Site(namespace, first, second, anthropic, settings)
    namespace.delete()
    for vendor in (first, second, anthropic):
        vendor.die()


@pytest.fixture(scope="module")
def one(plane: Plane) -> Iterator[Site]:
    with made(plane) as site:
        yield site


@pytest.fixture
def site(one: Site) -> Site:
    """The same for all tests that break nothing for good."""
    for vendor in (one.first, one.second, one.anthropic):
        vendor.reset()
    return one


@pytest.fixture
def own_site(plane: Plane) -> Iterator[Site]:
    """One of the test's own."""
    with made(plane) as site:
        yield site


def answer_of(site: Site, model: str) -> dict[str, Any]:
    """What the API answers whoever asks for this model and all keys."""
    headers = {"Authorization": f"Bearer {site.settings.token.read().get_secret_value()}"}
    body = {"model": model, "with_secret": True, "all_targets": True}
    said = httpx.post(f"{site.settings.url}/api/v1/resolve", json=body, headers=headers)
    assert said.status_code == 200, said.text
    return dict(said.json())


def text_of(answer: Any) -> str:
    return str(answer.text).strip()


@pytest.mark.parametrize("name", ["gpt", "claude"])
async def test_a_call_goes_to_the_model_that_was_asked_for(site: Site, name: str) -> None:
    chat = site.chat(name)
    assert text_of(chat.invoke("hello")) == "it says: hello"
    assert text_of(await chat.ainvoke("hello")) == "it says: hello"
    assert "".join(chunk.text for chunk in chat.stream("hello")).strip() == "it says: hello"
    assert "".join([chunk.text async for chunk in chat.astream("hello")]).strip() == "it says: hello"
    await chat.aclose()


@pytest.mark.parametrize("name", ["gpt", "claude"])
async def test_tools_pass_through_in_the_vendors_own_form(site: Site, name: str) -> None:
    bound = site.chat(name).bind_tools([shout])
    whole = bound.invoke("hello")
    assert isinstance(whole, AIMessage) and whole.tool_calls[0]["name"] == "shout"
    assert whole.tool_calls[0]["args"] == {"text": "hello"}
    assert (await bound.ainvoke("hello")).tool_calls == whole.tool_calls
    streamed: Any = None
    for chunk in bound.stream("hello"):
        streamed = chunk if streamed is None else streamed + chunk
    assert streamed.tool_calls[0]["args"] == {"text": "hello"}
    sent = (site.first if name == "gpt" else site.anthropic).last_body["tools"][0]
    assert sent.get("function", sent)["name"] == "shout"


def test_the_profile_has_keys_of_model_profile_and_says_what_the_row_says(site: Site) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        profile = site.chat("gpt").profile
    assert profile is not None
    assert set(profile) <= set(get_type_hints(ModelProfile))
    wanted = {"name": "gpt", "status": "active", "max_input_tokens": 8192, "max_output_tokens": 1024}
    wanted.update(tool_calling=True, image_inputs=False, text_inputs=True, text_outputs=True)
    assert {key: profile.get(key) for key in wanted} == wanted


def test_a_dead_endpoint_costs_no_call(own_site: Site) -> None:
    chat = own_site.chat("gpt")
    chat.invoke("hello")
    assert (own_site.first.calls, own_site.second.calls) == (1, 0)
    own_site.first.die()
    for _ in range(3):
        assert text_of(chat.invoke("hello")) == "it says: hello"
    assert own_site.second.calls == 3


def test_an_endpoint_that_fails_is_passed_over_until_it_is_well_again(site: Site) -> None:
    chat = site.chat("gpt")
    site.first.fail_with = 500
    assert text_of(chat.invoke("hello")) == "it says: hello"
    before = site.first.calls
    for _ in range(5):
        chat.invoke("hello")
    assert site.first.calls == before, "it is not asked again within its time"


def test_what_is_the_callers_to_mend_is_raised_at_once(site: Site) -> None:
    chat = site.chat("gpt")
    site.first.fail_with = 400
    began = time.monotonic()
    with pytest.raises(Exception, match="problem"):
        chat.invoke("hello")
    assert site.second.calls == 0 and time.monotonic() - began < 5


def test_patience_ends(own_site: Site) -> None:
    chat = own_site.chat("claude", patience_seconds=1.5)
    own_site.anthropic.die()
    began = time.monotonic()
    with pytest.raises(Exception, match=r"(?i)connect"):
        chat.invoke("hello")
    assert time.monotonic() - began < 10


def test_a_stream_moves_on_until_its_first_word(site: Site) -> None:
    chat = site.chat("gpt")
    site.first.break_stream_after = 1
    assert "".join(chunk.text for chunk in chat.stream("hello")).strip() == "it says: hello"
    assert (site.first.calls, site.second.calls) == (1, 1)


def test_a_stream_that_breaks_off_after_it_began_is_an_error(site: Site) -> None:
    site.first.break_stream_after = 3
    seen = []
    with pytest.raises(Exception, match=r"."):
        for chunk in site.chat("gpt").stream("hello"):
            seen.append(chunk.text)
    assert "".join(seen).startswith("it")
    assert site.second.calls == 0


def test_a_model_without_a_name_is_found_by_what_it_must_be(site: Site) -> None:
    chat = chat_model(need={"provider_types": ["Anthropic"]}, settings=site.settings)
    chat.invoke("hello")
    assert site.anthropic.calls == 1
    assert chat.resolved.model.name == "claude"
    with pytest.raises(llmplane.NoModel):
        chat_model(need={"capabilities": ["Vision"]}, settings=site.settings)
    with pytest.raises(ValueError, match="either"):
        chat_model(settings=site.settings)


def test_parameters_reach_the_vendor_and_cannot_move_the_connection(site: Site) -> None:
    site.chat("gpt", temperature=0.3).invoke("hello")
    assert site.first.last_body["temperature"] == 0.3
    for name in ("base_url", "api_key", "http_client"):
        with pytest.raises(ValueError, match=name):
            site.chat("gpt", **{name: "https://elsewhere.example.com"})


def test_structured_output_passes_through(site: Site) -> None:
    bound = site.chat("claude").with_structured_output(
        {"title": "shout", "description": "d", "type": "object", "properties": {"text": {"type": "string"}}}
    )
    assert bound.invoke("hello") == {"text": "hello"}


class Seen(BaseCallbackHandler):
    """Everything that LangChain tells its tracers."""

    def __init__(self) -> None:
        self.text = ""

    def on_chat_model_start(self, *arguments: Any, **more: Any) -> None:
        self.text += repr((arguments, more))

    def on_llm_end(self, *arguments: Any, **more: Any) -> None:
        self.text += repr((arguments, more))

    def on_llm_error(self, error: BaseException, **more: Any) -> None:
        self.text += repr((error, more))


def test_no_key_is_shown_by_anything(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    seen = Seen()
    chat = site.chat("gpt")
    chat.invoke("hello", config={"callbacks": [seen]})
    site.first.fail_with = site.second.fail_with = 400
    with pytest.raises(Exception, match=r".") as refused:
        chat.invoke("hello", config={"callbacks": [seen]})
    route = chat._route
    inner = list(route._models._made.values())
    shown = [
        repr(chat),
        str(chat),
        repr(chat.resolved),
        repr(refused.value),
        str(vars(route)),
        repr(route),
        repr(inner),
    ]
    shown += [seen.text, caplog.text, chat.model_dump_json(exclude={"profile"}), repr(chat._identifying_params)]
    token = site.settings.token.read().get_secret_value()
    assert seen.text
    for text in shown:
        assert OPENAI_KEY not in text and token not in text


def test_an_agent_gets_the_model_that_is_wanted_for_each_call(site: Site) -> None:
    middleware = LlmplaneMiddleware(
        lambda request: "gpt" if len(request.messages) < 2 else {"provider_types": ["Anthropic"]},
        settings=site.settings,
    )
    agent = create_agent(site.chat("claude"), tools=[shout], middleware=[middleware])
    answer = agent.invoke({"messages": [("user", "hello")]})
    assert text_of(answer["messages"][-1]) == "it says: HELLO"
    assert (site.first.calls, site.anthropic.calls) == (1, 1)
    middleware.close()


async def test_an_agents_stream_that_broke_off_is_made_again(site: Site) -> None:
    middleware = LlmplaneMiddleware("gpt", settings=site.settings)
    agent = create_agent(site.chat("claude"), tools=[shout], middleware=[middleware])
    site.first.break_stream_after = 2
    async for _ in agent.astream({"messages": [("user", "hello")]}, stream_mode="messages"):
        pass
    assert site.first.calls + site.second.calls >= 3
    middleware.close()


def test_a_rotated_key_is_taken_without_a_call_lost(own_site: Site) -> None:
    chat = own_site.chat("claude")
    chat.invoke("hello")
    for number in range(3):
        key = f"sk-ant-rotated-{number}-0123456789abcdef"
        own_site.anthropic.keys = {key}
        own_site.namespace.apply(own_site.namespace.secret("claude-key", "Anthropic", key))
        assert text_of(chat.invoke("hello")) == "it says: hello"
    assert len(chat._route._models._made) == 1, "the models of the keys before are gone"


def test_changes_are_followed(own_site: Site) -> None:
    chat = own_site.chat("gpt")
    until("the stream of changes", lambda: chat._changes.is_following)
    before = chat._changes.count
    own_site.namespace.kubectl("patch", "llmendpoint", "gpt-1", "--type=merge", "-p", '{"spec":{"priority":50}}')
    until("a change", lambda: chat._changes.count > before)
    until("the second endpoint first", lambda: chat.resolved.targets[0].endpoint.name == "gpt-2", 10)
