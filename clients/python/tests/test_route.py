"""Where a call goes while the API is away, refuses, or keys end; and what a chat model leaves behind."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import psutil
import pytest
from api import Api
from langchain.agents import create_agent
from plane import Plane, gate, until
from test_langchain import Site, answer_of, made, shout, text_of

import llmplane
from llmplane.langchain import LlmplaneChatModel, LlmplaneMiddleware, chat_model

HELLO = "it says: hello"
Ask = Callable[[LlmplaneChatModel], str]


@pytest.fixture(scope="module")
def one(plane: Plane) -> Iterator[Site]:
    with made(plane) as site:
        yield site


@pytest.fixture
def site(one: Site) -> Site:
    for vendor in (one.first, one.second, one.anthropic):
        vendor.reset()
    return one


@pytest.fixture
def api(site: Site) -> Iterator[Api]:
    """An API of the test's own, which says for `gpt` what the real one says."""
    api = Api(answer_of(site, "gpt"))
    yield api
    api.close()


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(params=["waiting", "in a loop", "streaming", "streaming in a loop"])
def ask(request: pytest.FixtureRequest, runner: asyncio.Runner) -> Ask:
    """Each of the ways to ask."""

    async def streamed(chat: LlmplaneChatModel) -> str:
        return "".join([chunk.text async for chunk in chat.astream("hello")]).strip()

    ways: dict[str, Ask] = {
        "waiting": lambda chat: text_of(chat.invoke("hello")),
        "in a loop": lambda chat: text_of(runner.run(chat.ainvoke("hello"))),
        "streaming": lambda chat: "".join(chunk.text for chunk in chat.stream("hello")).strip(),
        "streaming in a loop": lambda chat: runner.run(streamed(chat)),
    }
    return ways[request.param]


def of(url: str, **options: Any) -> LlmplaneChatModel:
    return chat_model("gpt", settings=llmplane.Settings.of(url, token="a.b.c"), watch=False, **options)


def ends_in(api: Api, *seconds: float) -> None:
    """The keys of its targets end in so many seconds."""
    for target, after in zip(api.answer["targets"], seconds, strict=True):
        target["secret"]["valid_until"] = (datetime.now(timezone.utc) + timedelta(seconds=after)).isoformat()


def test_an_answer_of_the_vendor_is_given_whatever_the_api_says_by_then(site: Site, api: Api, ask: Ask) -> None:
    # Keys that end soon are asked for again at each call.
    ends_in(api, 25, 25)
    chat = of(api.url)
    assert ask(chat) == HELLO

    def refuse_from_now_on() -> None:
        api.status = 403
        time.sleep(1.2)

    # Either: LangChain's packages share connections, and the first call of a loop may meet one of a loop before.
    site.first.meanwhile = site.second.meanwhile = refuse_from_now_on
    assert ask(chat) == HELLO
    with pytest.raises(llmplane.Forbidden):
        ask(chat)


def test_an_api_that_swallows_questions_holds_no_call_up_for_long(site: Site, ask: Ask) -> None:
    token = site.settings.token.read().get_secret_value()
    with gate(site.settings.url) as way:
        chat = chat_model("gpt", settings=llmplane.Settings.of(way.url, token=token), watch=False)
        assert ask(chat) == HELLO
        way.is_swallowing = True
        time.sleep(1.1)
        site.first.fail_with = 500
        began = time.monotonic()
        took = []
        for _ in range(6):
            at = time.monotonic()
            assert ask(chat) == HELLO
            took.append(time.monotonic() - at)
        assert max(took) < 4 and sum(1 for one in took if one > 1) <= 1, took
        assert time.monotonic() - began < 5
        chat.close()


def test_a_read_with_an_answer_at_hand_waits_shortly_and_once(site: Site) -> None:
    token = site.settings.token.read().get_secret_value()
    with gate(site.settings.url) as way, llmplane.Client(way.url, token=token) as client:
        client.models.get("gpt")
        way.is_swallowing = True
        began = time.monotonic()
        assert all(client.models.get("gpt").is_stale for _ in range(10))
        assert time.monotonic() - began < 4


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_ends_the_answer_and_its_keys(site: Site, api: Api, ask: Ask, status: int) -> None:
    chat = of(api.url)
    assert ask(chat) == HELLO
    api.status = status
    site.first.fail_with = 500
    time.sleep(1.1)
    seen = []
    for _ in range(4):
        with pytest.raises(llmplane.ApiError) as refused:
            ask(chat)
        assert refused.value.status == status
        seen.append(site.first.calls + site.second.calls)
    assert len(set(seen)) == 1, "no key is used any longer"
    api.status = 200
    assert ask(chat) == HELLO


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_what_is_no_refusal_ends_nothing(site: Site, api: Api, ask: Ask, status: int) -> None:
    chat = of(api.url)
    assert ask(chat) == HELLO
    api.status = status
    site.first.fail_with = 500
    time.sleep(1.1)
    for _ in range(3):
        assert ask(chat) == HELLO
        time.sleep(0.5)
    assert api.answers >= 2


def test_what_it_stands_for_says_its_age_while_the_api_is_away(api: Api) -> None:
    chat = of(api.url)
    assert not chat.resolved.is_stale
    api.status = 503
    # Without the stream of changes it is asked for every minute.
    chat._route._asked_at -= 61
    assert chat.resolved.is_stale and chat.resolved.targets
    time.sleep(0.2)
    assert chat.resolved.age_seconds > 0.2
    api.status = 200
    until("an answer of now", lambda: not chat.resolved.is_stale, 15)


def test_a_key_that_ended_ends_its_target_alone(site: Site, api: Api, ask: Ask) -> None:
    ends_in(api, 1.5, 5.0)
    chat = of(api.url, patience_seconds=0.5)
    assert ask(chat) == HELLO
    assert (site.first.calls, site.second.calls) == (1, 0)
    api.status = 503
    time.sleep(1.6)
    assert ask(chat) == HELLO
    assert (site.first.calls, site.second.calls) == (1, 1), "the first one's key has ended"
    time.sleep(3.6)
    with pytest.raises(llmplane.Unavailable):
        ask(chat)
    assert (site.first.calls, site.second.calls) == (1, 1)


def test_the_clients_memory_drops_ended_targets_alone(api: Api) -> None:
    ends_in(api, 0.5, 2.0)
    with llmplane.Client(api.url, token="a.b.c") as client:
        assert len(client.resolve("gpt", with_secret=True).targets) == 2
        api.status = 503
        time.sleep(0.6)
        (left,) = client.resolve("gpt", with_secret=True).targets
        assert left.endpoint.name == "gpt-2" and left.secret is not None
        time.sleep(1.6)
        with pytest.raises(llmplane.Unavailable):
            client.resolve("gpt", with_secret=True)


def sockets() -> int:
    gc.collect()
    return len(psutil.Process().net_connections())


def by_run(chat: LlmplaneChatModel) -> str:
    return text_of(asyncio.run(chat.ainvoke("hello")))


def by_hand(chat: LlmplaneChatModel) -> str:
    """As older programs have it, which do not tell a loop's generators of its end."""
    loop = asyncio.new_event_loop()
    try:
        return text_of(loop.run_until_complete(chat.ainvoke("hello")))
    finally:
        loop.close()


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("once", [by_run, by_hand])
def test_two_hundred_event_loops_leave_nothing_behind(site: Site, once: Callable[[LlmplaneChatModel], str]) -> None:
    token = site.settings.token.read().get_secret_value()
    with gate(site.settings.url) as way:
        chat = chat_model("gpt", settings=llmplane.Settings.of(way.url, token=token), watch=False)
        for _ in range(5):
            assert once(chat) == HELLO
        before = sockets()
        for _ in range(200):
            assert once(chat) == HELLO
        after = sockets()
        assert way.accepted >= 200
        assert after <= before + 4, f"{before} sockets became {after}"
        assert len(chat._async_routes._held) <= 1
        chat.close()
        if once is by_run:
            until("no connection", lambda: way.connections == 0, 5)


def test_a_chat_model_that_nobody_holds_is_closed(site: Site) -> None:
    token = site.settings.token.read().get_secret_value()
    with gate(site.settings.url) as way, asyncio.Runner() as runner:
        chat = chat_model("gpt", settings=llmplane.Settings.of(way.url, token=token), watch=False)
        chat.invoke("hello")
        runner.run(chat.ainvoke("hello"))
        assert way.connections == 2
        del chat
        gc.collect()
        runner.run(asyncio.sleep(0.1))
        until("no connection", lambda: way.connections == 0, 5)


async def test_an_agents_first_question_lets_the_event_loop_go_on(site: Site, api: Api) -> None:
    middleware = LlmplaneMiddleware("gpt", settings=llmplane.Settings.of(api.url, token="a.b.c"), watch=False)
    agent = create_agent(site.chat("claude"), tools=[shout], middleware=[middleware])
    api.meanwhile = lambda: time.sleep(1.0)
    # What is loaded and made once takes its time too.
    await site.chat("gpt").ainvoke("hello")
    longest, is_over = 0.0, False

    async def tick() -> None:
        nonlocal longest
        while not is_over:
            at = time.monotonic()
            await asyncio.sleep(0.01)
            longest = max(longest, time.monotonic() - at)

    ticking = asyncio.create_task(tick())
    answers = await asyncio.gather(*(agent.ainvoke({"messages": [("user", "hello")]}) for _ in range(3)))
    is_over = True
    await ticking
    assert all(text_of(answer["messages"][-1]) == "it says: HELLO" for answer in answers)
    assert longest < 0.7, f"the event loop stood still for {longest:.2f} s"
    await middleware.aclose()


async def test_a_model_that_gives_way_is_closed_once_it_is_not_in_use(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmplane.langchain._middleware.MAX_MODELS", 1)
    token = site.settings.token.read().get_secret_value()
    with gate(site.settings.url) as way:
        settings = llmplane.Settings.of(way.url, token=token)
        wanted = iter(["gpt", "claude"])
        middleware = LlmplaneMiddleware(lambda _: next(wanted), settings=settings, watch=False)
        in_use = await middleware.amodel_for(None)  # type: ignore[arg-type]
        await in_use.ainvoke("hello")
        other = middleware.model_for(None)  # type: ignore[arg-type]
        assert list(middleware._models.values()) == [other]
        time.sleep(1.1)
        site.first.fail_with = 500
        # It asks again, for its endpoint failed.
        asked = len(way.sent)
        assert text_of(in_use.invoke("hello")) == text_of(await in_use.ainvoke("hello")) == HELLO
        assert len(way.sent) > asked
        del in_use
        gc.collect()
        await asyncio.sleep(0.2)
        until("the other's connection alone", lambda: way.connections == 1, 5)
        await middleware.aclose()
        until("no connection", lambda: way.connections == 0, 5)


def test_a_right_that_ended_ends_the_calls(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(site.settings.token.read().get_secret_value())
    namespace = site.namespace.name
    settings = llmplane.Settings.of(site.settings.url, token_file=file, namespace=namespace)
    chat = chat_model("gpt", settings=settings, watch=False)
    assert text_of(chat.invoke("hello")) == HELLO
    file.write_text(site.namespace.token("nobody"))
    site.first.fail_with = 500
    time.sleep(1.1)
    with pytest.raises((llmplane.Forbidden, llmplane.NotFound)):
        chat.invoke("hello")
    chat.close()
