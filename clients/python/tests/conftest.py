"""What the tests share: one plane, and a namespace with a sample vendor's models."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from plane import ROOT, Namespace, Plane, sample_vendor, until

SAMPLE_KEY = "sk-sample-0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="session")
def plane() -> Iterator[Plane]:
    state = Path(os.environ.get("LLMPLANE_TEST_STATE_DIR") or ROOT / "target" / "test-python-plane")
    plane = Plane(state)
    plane.up()
    try:
        yield plane
    finally:
        plane.down()


@dataclass
class Sample:
    """The sample vendor's namespace: two models of one provider, which are Ready."""

    namespace: Namespace
    url: str
    token: str
    vendor_url: str
    key: str = SAMPLE_KEY


@pytest.fixture(scope="session")
def sample(plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sample]:
    folder = tmp_path_factory.mktemp("vendor")
    vendor = sample_vendor(folder, SAMPLE_KEY)
    try:
        address = until("the sample vendor's address", lambda: (folder / "address").read_text())
        namespace = Namespace(plane)
        price = {"currency": "USD", "inputPer1kTokens": "0.0005", "outputPer1kTokens": "0.0015"}
        can = [{"name": "Chat", "score": 4}, {"name": "FunctionCalling", "score": 3}, {"name": "Streaming"}]
        namespace.provider(
            "sample",
            "OpenAICompatible",
            [f"http://{address}/v1"],
            SAMPLE_KEY,
            "sample-chat-1",
            displayName="Sample Chat 1",
            contextWindow=32768,
            maxOutputTokens=4096,
            pricing=price,
            capabilities=can,
            recommendedFor=["first steps"],
        )
        second = namespace.declare(
            "LlmModel", "second", providerRef={"name": "sample"}, modelId="sample-embed-1", type="Embedding"
        )
        namespace.apply(second)
        namespace.ready()
        yield Sample(namespace, plane.api_url, namespace.token(), f"http://{address}")
        namespace.delete()
    finally:
        vendor.terminate()
        vendor.wait()


@pytest.fixture(autouse=True)
def no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("LLMPLANE_") and name != "LLMPLANE_TEST_STATE_DIR":
            monkeypatch.delenv(name)
