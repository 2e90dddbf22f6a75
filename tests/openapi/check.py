"""Runs schemathesis against the API of a plane of its own, as an account that may read, write and use keys in
one namespace. What it sends there is nobody else's. Further arguments are schemathesis's.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "clients" / "python" / "tests"))

from plane import Namespace, Plane, sample_vendor, until  # noqa: E402

KEY = "sk-sample-0123456789abcdef0123456789abcdef"
# Of the whole run, warm; each route gets its part.
SECONDS = os.environ.get("LLMPLANE_OPENAPI_SECONDS", "180")


def declare(namespace: Namespace, vendor: str) -> None:
    """One object of each kind, called `sample`."""
    price = {"currency": "USD", "inputPer1kTokens": "0.0005", "outputPer1kTokens": "0.0015"}
    can = [{"name": "Chat", "score": 4}, {"name": "FunctionCalling", "score": 3}]
    more = {"contextWindow": 32768, "maxOutputTokens": 4096, "pricing": price, "capabilities": can}
    namespace.provider("sample", "OpenAICompatible", [f"http://{vendor}/v1"], KEY, "sample-chat-1", 60, **more)
    namespace.ready()


def main() -> int:
    state = Path(os.environ.get("LLMPLANE_TEST_STATE_DIR") or ROOT / "target" / "test-openapi-plane")
    plane = Plane(state)
    with tempfile.TemporaryDirectory() as folder:
        vendor = sample_vendor(Path(folder), KEY)
        try:
            plane.up()
            address = until("the sample vendor's address", lambda: (Path(folder) / "address").read_text())
            namespace = Namespace(plane)
            declare(namespace, address)
            here = Path(__file__).parent
            schemathesis = Path(sys.executable).parent / "schemathesis"
            command = [str(schemathesis), "--config-file", str(here / "schemathesis.toml"), "run"]
            options = ["--url", plane.api_url, "--max-time", SECONDS, *sys.argv[1:], f"{plane.api_url}/openapi.json"]
            # Not an argument: those are everybody's to read.
            secret = {"LLMPLANE_TOKEN": namespace.token()}
            environment = {**os.environ, **secret, "SCHEMATHESIS_HOOKS": str(here / "hooks.py")}
            done = subprocess.run([*command, *options], env=environment, cwd=folder)
            defects = [line for line in plane.logs().splitlines() if "panicked at" in line]
            print("\n".join(defects))
            return done.returncode or len(defects)
        finally:
            plane.down()
            vendor.terminate()
            vendor.wait()


if __name__ == "__main__":
    sys.exit(main())
