"""Agents that go on while an endpoint dies and keys rotate, and keys that rotate a thousand times."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from api import Api
from langchain.agents import create_agent
from plane import Plane, until
from test_langchain import Site, answer_of, made, shout, text_of
from vendors import Vendor

import llmplane
from llmplane.langchain import chat_model


@pytest.fixture
def site(plane: Plane) -> Iterator[Site]:
    with made(plane) as site:
        yield site


class Agents:
    """Agents that ask again and again, each in its own way, and what became of each request."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.done: dict[str, int] = {}
        self.errors: list[str] = []
        self.is_over = threading.Event()
        work = [self._waiting("gpt"), self._waiting("claude"), self._streaming("gpt"), self._in_a_loop("claude")]
        self.threads = [threading.Thread(target=one, daemon=True) for one in work]
        for thread in self.threads:
            thread.start()

    def _waiting(self, model: str) -> Any:
        agent = create_agent(self.site.chat(model), tools=[shout])
        return lambda: self._go_on(f"{model}, waiting", lambda text: agent.invoke({"messages": [("user", text)]}))

    def _streaming(self, model: str) -> Any:
        agent = create_agent(self.site.chat(model), tools=[shout])

        def ask(text: str) -> dict[str, Any]:
            states = list(agent.stream({"messages": [("user", text)]}, stream_mode="values"))
            return dict(states[-1])

        return lambda: self._go_on(f"{model}, streaming", ask)

    def _in_a_loop(self, model: str) -> Any:
        chat = self.site.chat(model)
        agent = create_agent(chat, tools=[shout])

        def work() -> None:
            with asyncio.Runner() as runner:
                question = lambda text: runner.run(agent.ainvoke({"messages": [("user", text)]}))  # noqa: E731
                self._go_on(f"{model}, in a loop", question)
                runner.run(chat.aclose())

        return work

    def _go_on(self, name: str, ask: Any) -> None:
        while not self.is_over.is_set():
            text = uuid.uuid4().hex
            try:
                answer = text_of(ask(text)["messages"][-1])
                if answer != f"it says: {text.upper()}":
                    self.errors.append(f"{name}: {text} became {answer}")
            except Exception as error:  # every one counts
                self.errors.append(f"{name}: {type(error).__name__}: {error}")
            self.done[name] = self.done.get(name, 0) + 1

    def go_on_for(self, requests: int) -> None:
        """Until each has made so many more."""
        before = dict(self.done)
        each = [f"{model}, {way}" for model, way in (("gpt", "waiting"), ("claude", "waiting"), ("gpt", "streaming"))]
        for name in [*each, "claude, in a loop"]:
            wanted = before.get(name, 0) + requests
            until(f"{name}: {wanted} requests", lambda: self.done.get(name, 0) >= wanted, 40)  # noqa: B023

    def end(self) -> None:
        self.is_over.set()
        for thread in self.threads:
            thread.join(40)
        assert not any(thread.is_alive() for thread in self.threads)


def test_no_request_of_an_agent_fails_while_an_endpoint_dies_and_keys_rotate(site: Site) -> None:
    agents = Agents(site)
    try:
        agents.go_on_for(3)
        site.first.die()
        agents.go_on_for(3)
        for number in range(2):
            for vendor, secret, type in (
                (site.anthropic, "claude-key", "Anthropic"),
                (site.second, "gpt-key", "OpenAICompatible"),
            ):
                key = f"sk-rotated-{number}-0123456789abcdef012345"
                # At the vendor first, then in the Secret; the old one ends at once.
                vendor.keys = {key}
                site.namespace.apply(site.namespace.secret(secret, type, key))
                agents.go_on_for(2)
    finally:
        agents.end()
    assert agents.errors == []
    assert site.anthropic.refused > 0 and site.second.refused > 0, "the old keys were tried"


def held() -> dict[str, int]:
    """What this process holds that a leak would show in."""
    gc.collect()
    counts = {"sockets": len(psutil.Process().net_connections()), "files": psutil.Process().num_fds()}
    for one in gc.get_objects():
        name = type(one).__name__
        # The vendors' libraries have each a client of their own name, on an httpx of one name or another.
        if "Chat" in name or "Client" in name or name in ("OpenAI", "AsyncOpenAI", "Anthropic", "SecretStr"):
            counts[name] = counts.get(name, 0) + 1
    return counts


@pytest.mark.parametrize("name", ["gpt", "claude"])
def test_a_thousand_rotations_leave_nothing_behind(site: Site, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    vendor: Vendor = site.first if name == "gpt" else site.anthropic
    api = Api(answer_of(site, name))
    del api.answer["targets"][1:]
    api.meanwhile = lambda: api.answer["targets"][0]["secret"].update(api_key=next(iter(vendor.keys)))
    # What bounds the questions to the API is not what is looked at here.
    monkeypatch.setattr("llmplane._sync.route.MIN_AGE_SECONDS", 0.0)
    settings = llmplane.Settings.of(api.url, token="a.b.c")
    chat = chat_model(name, settings=settings, watch=False)

    def rotate(times: int) -> None:
        for _ in range(times):
            vendor.keys = {f"sk-{uuid.uuid4().hex}"}
            assert text_of(chat.invoke("hello")) == "it says: hello"

    rotate(50)
    before, answers, began = held(), api.answers, time.monotonic()
    rotate(1000)
    after = held()
    assert api.answers - answers == 1000 and vendor.refused >= 1000
    assert before[{"gpt": "ChatOpenAI", "claude": "ChatAnthropic"}[name]] >= 1 and before["SecretStr"] >= 1
    for what, count in after.items():
        assert count <= before.get(what, 0) + 2, f"{what}: {before} became {after}"
    assert vendor.open_connections <= 4
    print(f"1,000 rotations in {time.monotonic() - began:.1f} s: {before} became {after}")
    chat.close()
