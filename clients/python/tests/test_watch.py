"""Changes and actions, against the real API."""

from __future__ import annotations

import gc
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import Sample
from plane import Namespace, Plane, gate, until
from pydantic import SecretStr

import llmplane
from llmplane import AsyncClient, Client, Delete, Event, Reset, Upsert, models
from llmplane._changes import Changes


class Follower:
    """Follows a namespace in a thread, as an agent would, and holds what it was told."""

    def __init__(self, url: str, token: str | None, since: int | None = None, **options: Any) -> None:
        self.events: list[Event] = []
        self.rows: dict[str, models.Common] = {}
        self.error: Exception | None = None
        self.client = Client(url, token=token, **options)
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
        told = len(follower.events)
        last = [event.revision for event in follower.events if event.revision is not None]
        own.apply(own.declare("LlmProvider", "second", type="OpenAI"))
        way.open()
        until("what happened meanwhile", lambda: follower.names() == {"first", "second"})
        assert not any(isinstance(event, Reset) for event in follower.events[told:]), "nothing begins anew"
        (sent,) = set(re.findall(rb"(?i)\r\nlast-event-id: (\d+)\r\n", bytes(way.sent)))
        assert int(sent) >= max(last, default=1)


def test_a_watch_from_before_anybody_remembers_begins_anew(plane: Plane, own: Namespace) -> None:
    own.apply(own.declare("LlmProvider", "first", type="OpenAI"))
    with gate(plane.api_url) as way:
        follower = Follower(way.url, own.token(), since=1)
        until("what is there", lambda: follower.names() == {"first"})
        assert isinstance(follower.events[0], Reset)
        assert b"last-event-id: 1\r\n" in bytes(way.sent).lower()


# What Python takes for the end of a line, and the stream does not.
@pytest.mark.parametrize("end", ["\u2028", "\u2029"])
def test_no_text_of_a_row_ends_a_watch(plane: Plane, own: Namespace, end: str) -> None:
    name = f"a{end}event: reset{end}id: 99999{end}{end}data: b"
    own.apply(own.declare("LlmProvider", "first", type="OpenAI"))
    with gate(plane.api_url) as way:
        follower = Follower(way.url, own.token())
        until("what is there", lambda: follower.names() == {"first"})
        own.apply(own.declare("LlmProvider", "odd", type="OpenAI", displayName=name))
        until("the row", lambda: follower.names() == {"first", "odd"} or follower.error)
        assert follower.error is None
        (row,) = [row for row in follower.rows.values() if row.name == "odd"]
        assert isinstance(row, models.Provider) and row.display_name == name
        way.cut()
        own.apply(own.declare("LlmProvider", "third", type="OpenAI"))
        until("what came later", lambda: "third" in follower.names())
        assert b": 99999\r\n" not in bytes(way.sent)
        assert sum(isinstance(event, Reset) for event in follower.events) <= 1


def test_a_watch_comes_back_with_the_token_of_the_moment(plane: Plane, own: Namespace, tmp_path: Path) -> None:
    file = tmp_path / "token"
    first, second, third = own.token(), own.token(), own.token()
    file.write_text(first)
    own.apply(own.declare("LlmProvider", "first", type="OpenAI"))
    with gate(plane.api_url) as way:
        follower = Follower(way.url, None, token_file=file)
        until("what is there", lambda: follower.names() == {"first"})
        file.write_text(second)
        way.cut()
        own.apply(own.declare("LlmProvider", "second", type="OpenAI"))
        until("what came later", lambda: "second" in follower.names())
        assert second.encode() in bytes(way.sent)

        # The one that is read counts no longer, and the next one is there once the API has said so.
        def renew(answer: httpx.Response) -> None:
            if answer.status_code == 401:
                file.write_text(third)

        follower.client._transport._http.event_hooks["response"].append(renew)
        file.write_text("not.a.token")
        way.cut()
        own.apply(own.declare("LlmProvider", "third", type="OpenAI"))
        until("what came later", lambda: "third" in follower.names() or follower.error)
        assert follower.error is None and third.encode() in bytes(way.sent)
        # And where no other comes, it says so.
        follower.client._transport._http.event_hooks["response"].clear()
        file.write_text("not.a.token")
        way.cut()
        assert isinstance(until("the end", lambda: follower.error), llmplane.Unauthorized)


def taken_places(plane: Plane, token: str) -> list[socket.socket]:
    """Streams, as many as one caller may have."""
    _, _, address = plane.api_url.partition("://")
    host, _, port = address.rpartition(":")
    head = f"GET /api/v1/watch HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\r\n"
    taken: list[socket.socket] = []
    while True:
        one = socket.create_connection((host, int(port)), 10)
        one.sendall(head.encode())
        status = one.recv(65536)[9:12]
        if status != b"200":
            one.close()
            assert status == b"429" and len(taken) >= 16, (status, len(taken))
            return taken
        taken.append(one)


def test_a_watch_without_a_place_waits_for_one(plane: Plane, own: Namespace) -> None:
    own.apply(own.declare("LlmProvider", "first", type="OpenAI"))
    token = own.token()
    taken = taken_places(plane, token)
    try:
        with gate(plane.api_url) as way:
            follower = Follower(way.url, token)
            changes = Changes(lambda: Client(way.url, token=token))
            changes.follow(own.name, 1)
            until("another attempt of each", lambda: bytes(way.sent).count(b"GET ") >= 4)
            assert follower.error is None and not follower.events and not changes.is_following
            for one in taken:
                one.close()
            until("what is there", lambda: follower.names() == {"first"})
            until("the stream of changes", lambda: changes.is_following)
            changes.close()
    finally:
        for one in taken:
            one.close()


def threads_of(namespace: Namespace) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == f"llmplane-{namespace.name}"]


def test_changes_are_followed_while_there_is_a_stream_and_no_longer(plane: Plane, own: Namespace) -> None:
    token = own.token()
    with gate(plane.api_url) as way:
        way.shut()
        changes = Changes(lambda: Client(way.url, token=token))
        assert not changes.is_following
        changes.follow(own.name, 1)
        time.sleep(0.5)
        assert not changes.is_following, "nobody answers"
        way.open()
        until("the stream", lambda: changes.is_following)
        way.shut()
        until("its break", lambda: not changes.is_following, 5)
        before = changes.count
        own.apply(own.declare("LlmProvider", "first", type="OpenAI"))
        time.sleep(0.5)
        assert not changes.is_following
        way.open()
        until("the stream", lambda: changes.is_following)
        until("what happened meanwhile", lambda: changes.count > before)
        changes.close()
        assert not changes.is_following


@pytest.mark.parametrize("how", ["closed", "dropped"])
def test_a_thread_that_waits_for_the_api_ends_with_its_owner(plane: Plane, own: Namespace, how: str) -> None:
    token = own.token()
    with gate(plane.api_url) as way:
        changes = Changes(lambda: Client(way.url, token=token))
        changes.follow(own.name, 1)
        until("the stream", lambda: changes.is_following)
        way.shut()
        until("its break", lambda: not changes.is_following, 5)
        assert threads_of(own)
        if how == "closed":
            changes.close()
        else:
            del changes
            gc.collect()
        until("its end", lambda: not threads_of(own), 5)


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
