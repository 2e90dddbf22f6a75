"""Changes and actions, against the real API."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from conftest import Sample
from plane import Namespace, Plane, gate, until
from pydantic import SecretStr

import llmplane
from llmplane import AsyncClient, Client, Delete, Event, Reset, Upsert, models


class Follower:
    """Follows a namespace in a thread, as an agent would, and holds what it was told."""

    def __init__(self, url: str, token: str, since: int | None = None) -> None:
        self.events: list[Event] = []
        self.rows: dict[str, models.Common] = {}
        self.error: Exception | None = None
        self.client = Client(url, token=token)
        threading.Thread(target=self._follow, args=(since,), daemon=True).start()

    def _follow(self, since: int | None) -> None:
        try:
            for event in self.client.watch(since=since):
                self.events.append(event)
                if isinstance(event, Reset):
                    self.rows.clear()
                elif isinstance(event, Upsert):
                    self.rows[event.id] = event.row
                else:
                    self.rows.pop(event.id, None)
        except Exception as error:
            self.error = error

    def names(self) -> set[str]:
        return {row.name for row in self.rows.values()}


@pytest.fixture
def own(plane: Plane) -> Iterator[Namespace]:
    namespace = Namespace(plane)
    yield namespace
    namespace.delete()


def test_a_watch_begins_with_all_and_tells_what_changes(plane: Plane, own: Namespace) -> None:
    own.apply(own.declare("LlmProvider", "first", type="OpenAI"))
    follower = Follower(plane.api_url, own.token())
    until("what is there", lambda: follower.names() == {"first"})
    own.apply(own.declare("LlmProvider", "second", type="Anthropic"))
    until("what is new", lambda: follower.names() == {"first", "second"})
    assert all(isinstance(row, models.Provider) for row in follower.rows.values())
    own.kubectl("delete", "llmprovider", "first")
    until("what is gone", lambda: follower.names() == {"second"})
    assert any(isinstance(event, Delete) and event.name == "first" for event in follower.events)


def test_a_watch_that_broke_off_goes_on_where_it_did(plane: Plane, own: Namespace) -> None:
    own.apply(own.declare("LlmProvider", "first", type="OpenAI"))
    with gate(plane.api_url) as way:
        follower = Follower(way.url, own.token())
        until("what is there", lambda: follower.names() == {"first"})
        # An id has been told by then: the heartbeat that follows all that is there.
        until("a revision", lambda: len(follower.events) >= 2)
        time.sleep(1)
        way.shut()
        own.apply(own.declare("LlmProvider", "second", type="OpenAI"))
        way.open()
        until("what happened meanwhile", lambda: follower.names() == {"first", "second"})
        assert sum(isinstance(event, Reset) for event in follower.events) <= 1, (
            "it lost nothing, and began nothing anew"
        )


def test_a_watch_from_a_lists_revision_tells_what_came_after(plane: Plane, own: Namespace) -> None:
    own.apply(own.declare("LlmProvider", "first", type="OpenAI"))
    with Client(plane.api_url, token=own.token()) as client:
        until("the row", lambda: list(client.providers.list()))
        revision = client._transport.send(
            client.providers._get("/api/v1/providers", models.ListProvider, None, {})
        ).revision
        follower = Follower(plane.api_url, own.token(), since=revision)
        own.apply(own.declare("LlmProvider", "second", type="OpenAI"))
        until("what is new", lambda: "second" in follower.names())
        assert not any(isinstance(event, Reset) for event in follower.events)


def test_a_watch_ends_with_the_right(plane: Plane, own: Namespace) -> None:
    own.apply(own.declare("LlmProvider", "first", type="OpenAI"))
    follower = Follower(plane.api_url, own.token())
    until("what is there", lambda: follower.names() == {"first"})
    own.kubectl("delete", "rolebinding", "--all")
    error = until("the end", lambda: follower.error, 40)
    assert isinstance(error, llmplane.Forbidden)


async def test_the_other_client_watches_too(sample: Sample) -> None:
    async with AsyncClient(sample.url, token=sample.token) as client:
        names = set()
        async for event in client.watch(kinds=["LlmModel"]):
            if isinstance(event, Upsert):
                assert isinstance(event.row, models.Model)
                names.add(event.name)
            if names == {"sample", "second"}:
                break


def test_actions_ask_the_vendor_now(sample: Sample) -> None:
    with Client(sample.url, token=sample.token) as client:
        before = client.endpoints.health("sample-1").items[0].checked_at
        outcome = client.endpoints.check_health("sample-1")
        assert outcome.is_done and outcome.row is not None and outcome.row.health.state == "healthy"
        assert client.endpoints.health("sample-1").items[0].checked_at > before
        validated = client.credentials.validate("sample-key")
        assert validated.is_done and validated.row is not None and validated.row.validity.state == "valid"
        with pytest.raises(llmplane.Conflict):
            client.models.test("sample")


def test_writes_change_the_resources_as_the_caller(own: Namespace, plane: Plane) -> None:
    with Client(plane.api_url, token=own.token()) as client:
        tried = client.providers.create({"name": "made", "type": "OpenAI"}, dry_run=True)
        assert tried.row is None and tried.is_done
        made = client.providers.create({"name": "made", "type": "OpenAI", "display_name": "Made"})
        assert made.is_done and made.row is not None and made.row.display_name == "Made"
        with pytest.raises(llmplane.Conflict):
            client.providers.create({"name": "made", "type": "OpenAI"})
        with pytest.raises(llmplane.BadRequest) as wrong:
            client.providers.create({"name": "other", "type": "OpenAI", "displayname": "x"})
        assert "display_name" in str(wrong.value)
        key = "sk-written-0123456789abcdef0123456789"
        credential = client.credentials.create("made", {"name": "key", "api_key": SecretStr(key)})
        assert key not in repr(credential)
        assert client.providers.set_active("made", False).row is not None
        with pytest.raises(llmplane.Conflict):
            client.providers.delete("made")
        deleted = client.providers.delete("made", cascade=True)
        assert deleted.row is not None and {item.name for item in deleted.row.items} >= {"made", "key"}
        assert key not in plane.logs()
