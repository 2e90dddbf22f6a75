"""A control plane of the tests' own, and namespaces in it."""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
ROOT = Path(__file__).parents[3]
PROGRAM = ROOT / "target" / "debug" / "llmplane"
APISERVER = "https://kubernetes.default.svc"


def until(what: str, found: Callable[[], T], seconds: float = 60.0) -> T:
    """What is found, once it is something."""
    deadline = time.monotonic() + seconds
    last: Any = None
    while time.monotonic() < deadline:
        try:
            last = found()
            if last:
                return last
        except Exception as error:  # said at the end, if it stays so
            last = error
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {seconds} s; at last {last!r}")


class Plane:
    """etcd, kube-apiserver, PostgreSQL, controller and API, as `llmplane local` starts them."""

    def __init__(self, state: Path) -> None:
        self.state = state

    def up(self) -> None:
        command = [PROGRAM, "local", "up", "--throwaway", "--state-dir", self.state]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        status = [PROGRAM, "local", "status", "--state-dir", self.state, "--output", "json"]
        said = json.loads(subprocess.run(status, check=True, capture_output=True).stdout)
        self.api_url: str = said["api_url"]

    def down(self) -> None:
        command = [PROGRAM, "local", "down", "--purge", "--state-dir", self.state]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    def kubectl(self, *arguments: str, manifests: str | None = None) -> str:
        command = [str(PROGRAM), "local", "kubectl", "--state-dir", str(self.state), "--", *arguments]
        done = subprocess.run(command, input=manifests, capture_output=True, text=True)
        assert done.returncode == 0, f"kubectl {arguments}: {done.stderr}"
        return done.stdout

    def logs(self) -> str:
        """All that any of its processes said."""
        return "".join(file.read_text(errors="replace") for file in self.state.rglob("*.log"))


class Namespace:
    """A namespace, with an account that may use its credentials, read, write and watch."""

    def __init__(self, plane: Plane) -> None:
        self.plane = plane
        self.name = f"py-{uuid.uuid4().hex[:10]}"
        # `edit` is the cluster's own: a key that is written becomes a Secret.
        roles = ("llmplane-viewer", "llmplane-editor", "llmplane-credential-user", "llmplane-auditor", "edit")
        manifests: list[dict[str, Any]] = [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name}},
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "agent", "namespace": self.name}},
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "nobody", "namespace": self.name}},
            *(self._binding(role, role) for role in roles),
        ]
        self.apply(*manifests)

    def _binding(self, name: str, role: str) -> dict[str, Any]:
        return {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": name, "namespace": self.name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": "agent", "namespace": self.name}],
        }

    def kubectl(self, *arguments: str) -> str:
        return self.plane.kubectl("--namespace", self.name, *arguments)

    def apply(self, *manifests: dict[str, Any]) -> None:
        text = "\n---\n".join(json.dumps(manifest) for manifest in manifests)
        self.plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", manifests=text)

    def token(self, account: str = "agent") -> str:
        """For reading and for writing."""
        audiences = ["--audience=llmplane", f"--audience={APISERVER}"]
        return self.kubectl("create", "token", account, *audiences).strip()

    def declare(self, kind: str, name: str, **spec: Any) -> dict[str, Any]:
        metadata = {"name": name, "namespace": self.name}
        return {"apiVersion": "llmplane.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}

    def secret(self, name: str, type: str, key: str) -> dict[str, Any]:
        metadata = {
            "name": name,
            "namespace": self.name,
            "labels": {"llmplane.dev/credential": type},
            "annotations": {"llmplane.dev/allowed-hosts": "127.0.0.1"},
        }
        data = {"api-key": base64.b64encode(key.encode()).decode()}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}

    def provider(
        self,
        name: str,
        type: str,
        urls: list[str],
        key: str,
        model: str,
        period_seconds: int = 5,
        **model_spec: Any,
    ) -> None:
        """A provider with its endpoints, its key and a model of the same name as the provider."""
        reference = {"name": name}
        rotation = {"graceSeconds": 60}
        check = {"periodSeconds": period_seconds, "timeoutSeconds": 2, "failureThreshold": 1}
        self.apply(
            self.secret(f"{name}-key", type, key),
            self.declare("LlmProvider", name, type=type),
            *(
                self.declare(
                    "LlmEndpoint",
                    f"{name}-{number}",
                    providerRef=reference,
                    baseUrl=url,
                    priority=number,
                    healthCheck=check,
                    readTimeoutSeconds=10,
                    connectTimeoutSeconds=2,
                    retry={"count": 0},
                )
                for number, url in enumerate(urls, start=1)
            ),
            self.declare(
                "LlmCredential",
                f"{name}-key",
                providerRef=reference,
                secretRef={"name": f"{name}-key"},
                rotation=rotation,
            ),
            self.declare(
                "LlmModel", name, **{"providerRef": reference, "modelId": model, "type": "Chat", **model_spec}
            ),
        )

    def ready(self) -> None:
        kinds = "llmproviders,llmendpoints,llmcredentials,llmmodels"
        self.kubectl("wait", "--for=condition=Ready", "--timeout=90s", kinds, "--all")

    def delete(self) -> None:
        self.plane.kubectl("delete", "namespace", self.name, "--wait=false")


class Gate:
    """A way to a server that can be shut: nothing listens then, and what went through breaks off."""

    def __init__(self, url: str) -> None:
        found = re.fullmatch(r"http://([^:/]+):(\d+)", url)
        assert found, url
        self._to = (found[1], int(found[2]))
        self._open_sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.port = 0
        self.accepted = 0
        # All that clients sent, and whether it goes any further.
        self.sent = bytearray()
        self.is_swallowing = False
        self.open()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        """Those that a client holds open now."""
        with self._lock:
            return len(self._open_sockets) // 2

    def open(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def shut(self) -> None:
        # An accept that is under way ends by this, and not by closing alone.
        _end(self._listener)
        self._listener.close()
        with self._lock:
            for one in self._open_sockets:
                _end(one)

    def cut(self) -> None:
        """What goes through breaks off; whoever comes back is let in."""
        self.shut()
        self.open()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            self.accepted += 1
            try:
                far = socket.create_connection(self._to)
            except OSError:
                near.close()
                continue
            with self._lock:
                self._open_sockets |= {near, far}
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(source, sink, source is near), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, is_sent: bool) -> None:
        try:
            while data := source.recv(65536):
                if is_sent:
                    self.sent += data
                if not self.is_swallowing:
                    sink.sendall(data)
        except OSError:
            pass
        finally:
            _end(sink)
            _end(source)
            with self._lock:
                for one in {source, sink} & self._open_sockets:
                    self._open_sockets.discard(one)
                    one.close()


def _end(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)


@contextmanager
def gate(url: str) -> Iterator[Gate]:
    """A gate, shut at the end."""
    made = Gate(url)
    try:
        yield made
    finally:
        made.shut()


def sample_vendor(folder: Path, key: str) -> subprocess.Popen[bytes]:
    """The sample vendor; its address is in `folder/address`."""
    program = ROOT / "target" / "debug" / "examples" / "sample-vendor"
    environment = {**os.environ, "SAMPLE_VENDOR_API_KEY": key}
    command = [program, "--address-file", folder / "address"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
