"""docs/python.md says what is so."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Any

import pytest
import yaml
from conftest import SAMPLE_KEY, Sample
from plane import ROOT

PAGE = (ROOT / "docs" / "python.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def run(code: str, sample: Sample) -> str:
    settings = {
        "LLMPLANE_URL": sample.url,
        "LLMPLANE_TOKEN": sample.token,
        "LLMPLANE_NAMESPACE": sample.namespace.name,
    }
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", code],
        env={"PATH": os.environ["PATH"], **settings},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_its_code_runs(sample: Sample, number: int) -> None:
    said = run(blocks("python")[number], sample)
    assert SAMPLE_KEY not in said and sample.token not in said


def test_its_code_says_what_it_should(sample: Sample) -> None:
    asking, _, watching, chat, agent = (run(code, sample) for code in blocks("python"))
    assert "available" in watching or "unknown" in watching
    assert "sample 32768 0.0005" in asking and "**********" in asking and "CapabilityMissing" in asking
    assert "max_input_tokens" in chat and "You said: Hello" in chat
    assert "You said: Hello" in agent


def test_its_pod_is_one_that_the_apiserver_takes(sample: Sample) -> None:
    (manifests,) = blocks("yaml")
    objects: list[dict[str, Any]] = list(yaml.safe_load_all(manifests))
    assert [one["kind"] for one in objects] == ["ServiceAccount", "RoleBinding", "Pod"]
    account, binding, pod = objects
    name = sample.namespace.name
    binding["subjects"][0]["namespace"] = name
    sample.namespace.apply(*({**one, "metadata": {**one["metadata"], "namespace": name}} for one in (account, binding)))
    spec = pod["spec"]
    sources = spec["volumes"][0]["projected"]["sources"]
    assert sources == [{"serviceAccountToken": {"audience": "llmplane", "path": "token", "expirationSeconds": 3600}}]
    mount = spec["containers"][0]["volumeMounts"][0]["mountPath"]
    assert f"{mount}/token" == "/var/run/secrets/llmplane/token"
    sample.namespace.plane.kubectl("create", "--dry-run=server", "-n", name, "-f", "-", manifests=yaml.safe_dump(pod))
    # The account may do what the page says that it may.
    token = sample.namespace.kubectl("create", "token", spec["serviceAccountName"], "--audience=llmplane").strip()
    said = run(blocks("python")[0], Sample(sample.namespace, sample.url, token, sample.vendor_url))
    assert "sample 32768" in said


def test_every_variable_and_exception_is_there() -> None:
    import llmplane

    source = "".join(file.read_text() for file in (ROOT / "clients/python/src").rglob("*.py"))
    for name in set(re.findall(r"LLMPLANE_[A-Z_]+", PAGE)):
        assert name in source, name
    named = set(re.findall(r"`([A-Z][A-Za-z]+)`", PAGE))
    problems = {name for name in dir(llmplane) if isinstance(getattr(llmplane, name), type)}
    errors = {name for name in problems if issubclass(getattr(llmplane, name), llmplane.LlmplaneError)}
    assert errors - {"LlmplaneError", "UnexpectedAnswer"} <= named
