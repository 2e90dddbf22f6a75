"""Reads, errors and settings, against the real API."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path

import httpx
import pytest
from conftest import SAMPLE_KEY, Sample
from plane import gate, until
from pydantic import SecretStr

import llmplane
from llmplane import AsyncClient, Client


@pytest.fixture
def client(sample: Sample):
    with Client(sample.url, token=sample.token) as client:
        yield client


def test_lists_go_on_from_page_to_page(client: Client) -> None:
    names = [model.name for model in client.models.list(limit=1, sort="name")]
    assert names == ["sample", "second"]


def test_filters_leave_out_what_does_not_pass(client: Client) -> None:
    found = list(client.models.list(capability=["Chat", "FunctionCalling"], min_score=3, provider="sample"))
    assert [model.name for model in found] == ["sample"]
    assert list(client.models.list(max_input_price="0.0001", currency="USD")) == []


def test_a_row_is_found_by_name_and_by_uid(client: Client) -> None:
    by_name = client.models.get("sample")
    assert client.models.get(by_name.id) == by_name
    assert by_name.context_window == 32768 and by_name.input_price == "0.0005"
    assert [endpoint.name for endpoint in client.endpoints.list("sample")] == ["sample-1"]
    assert client.endpoints.get("sample-1").health.state == "healthy"
    assert client.endpoints.health("sample-1", limit=1).items[0].success


def test_a_name_is_one_segment_of_the_path_whatever_is_in_it(client: Client) -> None:
    for name in ("../audit", "sample/endpoints", "a?b=c", "..", ".", "a#b", "%2e%2e", "ä"):
        with pytest.raises((llmplane.NotFound, llmplane.BadRequest)):
            client.providers.get(name)


def test_an_answer_tells_its_age(client: Client) -> None:
    model = client.models.get("sample")
    assert not model.is_stale and 0 <= model.age_seconds < 60
    assert all(not capability.is_stale for capability in model.capabilities)


def test_problems_are_exceptions_of_their_kind(sample: Sample, client: Client) -> None:
    with pytest.raises(llmplane.NotFound) as absent:
        client.models.get("nothing")
    assert absent.value.type == "not-found" and absent.value.status == 404
    with pytest.raises(llmplane.BadRequest) as wrong:
        list(client.models.list(limit=0))
    assert "limit" in wrong.value.detail
    with pytest.raises(llmplane.NoModel) as none:
        client.resolve(need={"capabilities": ["Vision"]})
    assert {model["reason"] for model in none.value.considered} == {"CapabilityMissing"}
    nobody = sample.namespace.token("nobody")
    with Client(sample.url, token=nobody) as stranger, pytest.raises(llmplane.Forbidden):
        list(stranger.models.list())
    with Client(sample.url, token="not.a.token") as stranger, pytest.raises(llmplane.Unauthorized):
        list(stranger.models.list())


def test_resolve_answers_a_key_that_nothing_shows(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    answer = client.resolve("sample", with_secret=True, purpose="a test")
    secret = answer.targets[0].secret
    assert secret is not None and secret.api_key is not None
    assert secret.api_key.get_secret_value() == SAMPLE_KEY
    shown = [repr(answer), str(answer), repr(secret), answer.model_dump_json(), repr(client), repr(client.settings)]
    token = client.settings.token.read().get_secret_value()
    for text in [*shown, caplog.text]:
        assert SAMPLE_KEY not in text and token not in text


def test_a_class_is_asked_for_as_a_model_is(sample: Sample, client: Client) -> None:
    names = [{"name": "sample"}, {"name": "second"}]
    sample.namespace.apply(sample.namespace.declare("LlmModelClass", "smart", models=names))
    until("the class", lambda: client.classes.get("smart").current)
    assert [model.name for model in client.classes.list()] == ["smart"]
    answer = client.resolve(class_="smart")
    assert answer.class_ == "smart" and answer.model.name == "sample"
    assert [target.model for target in answer.targets] == ["sample", "second"]
    assert client.resolve("smart").targets == answer.targets
    with pytest.raises(llmplane.NoModel):
        client.resolve(class_="nothing")
    sample.namespace.kubectl("delete", "llmmodelclass", "smart")


def test_the_audit_tells_who_asked_for_a_key(sample: Sample, client: Client) -> None:
    client.resolve("sample", with_secret=True, purpose="who asked")
    row = next(client.audit(action="Disclose", result="Disclosed", namespace=sample.namespace.name))
    assert row.actor == f"system:serviceaccount:{sample.namespace.name}:agent"
    assert row.name == "sample-key"
    holders = client.credentials.holders("sample-key")
    assert holders.items[0].actor == row.actor
    found = client.whose_key(SAMPLE_KEY)
    assert [version.name for version in found.items] == ["sample-key"]


def test_what_is_exported_can_be_applied(sample: Sample, client: Client) -> None:
    manifests = client.export()
    assert "kind: LlmModel" in manifests and SAMPLE_KEY not in manifests
    sample.namespace.plane.kubectl(
        "apply", "--dry-run=server", "--namespace", sample.namespace.name, "-f", "-", manifests=manifests
    )
    assert client.export(kind=["LlmProvider"], format="json").startswith("{")


def test_manifests_are_imported_as_the_caller(sample: Sample, client: Client) -> None:
    manifest = sample.namespace.declare("LlmProvider", "imported", type="OpenAI")
    tried = client.import_manifests(json.dumps(manifest), format="llmplane", dry_run=True)
    assert tried.dry_run and [one.outcome for one in tried.objects] == ["created"]
    done = client.import_manifests(json.dumps(manifest))
    assert [(one.name, one.outcome) for one in done.objects] == [("imported", "created")]
    assert client.import_manifests(json.dumps(manifest)).objects[0].outcome == "unchanged"
    client.providers.delete("imported")
    manifest["spec"]["type"] = "Nobody"
    with pytest.raises(llmplane.BadRequest):
        client.import_manifests(json.dumps(manifest))


async def test_the_other_client_answers_the_same(sample: Sample, client: Client) -> None:
    async with AsyncClient(sample.url, token=sample.token) as other:
        assert [model.name async for model in other.models.list(limit=1, sort="name")] == ["sample", "second"]
        assert await other.models.get("sample") == client.models.get("sample")
        assert (await other.resolve("sample")).model == client.resolve("sample").model
        with pytest.raises(llmplane.NotFound):
            await other.models.get("nothing")


def test_settings_come_from_the_environment(sample: Sample, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(sample.token + "\n")
    monkeypatch.setenv("LLMPLANE_URL", sample.url)
    monkeypatch.setenv("LLMPLANE_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("LLMPLANE_NAMESPACE", sample.namespace.name)
    with Client() as client:
        assert client.models.get("sample").name == "sample"
    monkeypatch.setenv("LLMPLANE_NAMESPACE", "somewhere-else")
    with Client() as client, pytest.raises((llmplane.Forbidden, llmplane.NotFound)):
        client.models.get("sample")


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({}, "LLMPLANE_URL"),
        ({"url": "llmplane"}, "url"),
        ({"url": "http://user:word@host"}, "url"),
        ({"url": "http://host", "token": "two words"}, "token"),
        ({"url": "http://host", "token": "line\nbreak"}, "token"),
        ({"url": "http://host", "token": ""}, "token"),
        ({"url": "http://host", "token": "a", "token_file": "b"}, "token_file"),
        ({"url": "http://host", "token": "a", "timeout_seconds": -1}, "TIMEOUT"),
        ({"url": "http://host", "token": "a", "ca_file": "/nothing"}, "ca_file"),
    ],
)
def test_a_setting_that_is_not_valid_is_named(settings: dict[str, object], named: str) -> None:
    with pytest.raises(llmplane.SettingsError) as refused:
        Client(**settings)  # type: ignore[arg-type]
    assert named in str(refused.value)
    for secret in ("two words", "line", "word@"):
        assert secret not in str(refused.value)


def test_a_token_that_was_renewed_is_read_again(sample: Sample, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("old.token.here")
    with Client(sample.url, token_file=file) as client:
        with pytest.raises(llmplane.Unauthorized):
            client.models.get("sample")
        # As the kubelet does it: another file takes the name.
        (tmp_path / "new").write_text(sample.token)
        (tmp_path / "new").rename(file)
        assert client.models.get("sample").name == "sample"
        file.unlink()
        assert client.models.get("second").name == "second", "the token that was read last still counts"


def test_a_pod_without_a_token_says_what_is_missing(tmp_path: Path) -> None:
    client = Client("http://127.0.0.1:1", token_file=tmp_path / "nothing")
    with client, pytest.raises(llmplane.SettingsError, match="nothing"):
        client.models.get("sample")


def test_the_last_good_answer_serves_while_the_api_is_away(sample: Sample, caplog: pytest.LogCaptureFixture) -> None:
    with gate(sample.url) as way, Client(way.url, token=sample.token, timeout_seconds=2) as client:
        known = client.models.get("sample")
        key = client.resolve("sample", with_secret=True)
        way.shut()
        with pytest.raises(llmplane.ApiUnreachable) as unreachable:
            client.models.get("second")
        assert sample.token not in str(unreachable.value)
        for _ in range(3):
            stale = client.models.get("sample")
            assert stale == known and stale.is_stale and stale.capabilities[0].is_stale
        assert client.resolve("sample", with_secret=True).targets == key.targets
        began = time.monotonic()
        first = client.models.get("sample").age_seconds
        assert time.monotonic() - began < 0.5, "nobody waits for an API that was away a moment ago"
        time.sleep(0.05)
        assert client.models.get("sample").age_seconds > first
        assert "does not answer" in caplog.text and sample.token not in caplog.text
        with pytest.raises(llmplane.ApiUnreachable):
            client.resolve("sample", with_secret=True, fresh=True)
        way.open()
        deadline = time.monotonic() + 15
        while client.models.get("sample").is_stale:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert "answers again" in caplog.text


def test_what_is_too_old_is_not_answered(sample: Sample) -> None:
    with gate(sample.url) as way, Client(way.url, token=sample.token, max_stale_seconds=0.5) as client:
        client.models.get("sample")
        way.shut()
        assert client.models.get("sample").is_stale
        time.sleep(0.6)
        with pytest.raises(llmplane.ApiUnreachable):
            client.models.get("sample")


def test_a_right_that_ended_ends_the_last_good_answer(sample: Sample, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(sample.token)
    with gate(sample.url) as way, Client(way.url, token_file=file) as client:
        client.models.get("sample", namespace=sample.namespace.name)
        file.write_text(sample.namespace.token("nobody"))
        with pytest.raises((llmplane.Forbidden, llmplane.NotFound)):
            client.models.get("sample", namespace=sample.namespace.name)
        way.shut()
        with pytest.raises(llmplane.ApiUnreachable):
            client.models.get("sample", namespace=sample.namespace.name)


def test_a_read_that_nothing_changed_for_transfers_no_row(sample: Sample) -> None:
    statuses: list[int] = []
    with Client(sample.url, token=sample.token) as client:
        client._transport._http.event_hooks["response"].append(lambda answer: statuses.append(answer.status_code))
        first = client.models.get("sample")
        assert client.models.get("sample") == first
    assert statuses == [200, 304]


def test_what_is_no_api_is_told_apart_from_a_problem(sample: Sample) -> None:
    vendor = sample.vendor_url
    with Client(vendor, token=sample.token) as client, pytest.raises(llmplane.ApiError) as refused:
        client.models.get("sample")
    assert "proxy" in refused.value.detail
    with Client(vendor, token=sample.key) as client, pytest.raises(llmplane.LlmplaneError):
        client.models.get("sample")


def test_no_variable_of_the_machine_sends_the_token_through_a_proxy(
    sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with Client(sample.url, token=SecretStr(sample.token)) as client:
        assert client.models.get("sample").name == "sample"


def test_a_closed_client_holds_no_connection(sample: Sample) -> None:
    with gate(sample.url) as way:
        with Client(way.url, token=sample.token) as client:
            client.models.get("sample")
            assert way.connections == 1
        deadline = time.monotonic() + 5
        while way.connections:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with pytest.raises((RuntimeError, httpx.HTTPError)):
            client.models.get("sample")
