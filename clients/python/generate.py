"""Writes what is made from something else: `models.py` from docs/openapi.json, and the client that waits
(`_sync/`) from the asynchronous one. `--check` compares instead, and fails where a file is not current.
"""

from __future__ import annotations

import difflib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
PACKAGE = HERE / "src" / "llmplane"
OPENAPI = HERE.parents[1] / "docs" / "openapi.json"
HEADER = "# Made by generate.py; edit {source} instead.\n"

# What the client that waits has in place of what the other one has. Whole words alone.
WORDS = {
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "aclose": "close",
    "aread": "read",
    "aiter_bytes": "iter_bytes",
    "asynccontextmanager": "contextmanager",
    "AsyncIterator": "Iterator",
    "aiter": "iter",
    "async_sleep": "sleep",
}


def sync_of(text: str) -> str:
    """The same without waiting in between."""
    text = re.sub(r"\b(async (?=def|for|with)|await )", "", text)
    for word, other in WORDS.items():
        text = re.sub(rf"\b{word}\b", other, text)
    text = re.sub(r"\bAwaitable\[(\w+)\]", r"\1", text)
    text = text.replace("_async", "_sync")
    return re.sub(r"\b(_?)Async([A-Z])", r"\1\2", text)


def models() -> str:
    """The answers' classes."""
    # Words of an enum are kept as text: a newer server may have further ones.
    options = """--input-file-type openapi --output-model-type pydantic_v2.BaseModel --base-class llmplane._base.Answer
        --ignore-enum-constraints --use-annotated --field-constraints --target-python-version 3.10
        --use-schema-description --use-inline-field-description --collapse-root-models --disable-timestamp
        --use-double-quotes --output-datetime-class AwareDatetime --formatters ruff-format --disable-future-imports"""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "models.py"
        command = [sys.executable, "-m", "datamodel_code_generator", "--input", str(OPENAPI), "--output", str(made)]
        subprocess.run([*command, *options.split()], check=True)
        text = made.read_text()
    text = re.sub(r"\A(#.*\n)+", "", text)
    # Bodies of requests are strict for the server's sake; a client need not be.
    text = re.sub(r"    model_config = ConfigDict\(\n        extra=\"forbid\",\n    \)\n", "", text)
    head = HEADER.format(source="the routes of the API, then run make generate-python")
    return head + '"""Answers of the API, typed."""\n' + text


def formatted(text: str, path: Path) -> str:
    """As ruff has it."""
    ruff = [sys.executable, "-m", "ruff"]
    for arguments in (["check", "--quiet", "--select", "I,F401", "--fix"], ["format", "--quiet"]):
        command = [*ruff, *arguments, "--config", str(HERE / "pyproject.toml"), "--stdin-filename", str(path), "-"]
        text = subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout
    return text


def main() -> int:
    """Writes or compares."""
    made = {PACKAGE / "models.py": models()}
    for source in sorted((PACKAGE / "_async").glob("*.py")):
        head = HEADER.format(source=f"_async/{source.name}")
        made[PACKAGE / "_sync" / source.name] = head + sync_of(source.read_text())
    wrong = 0
    for path, text in made.items():
        text = formatted(text, path)
        if "--check" not in sys.argv:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            wrong += 1
            old = path.read_text() if path.exists() else ""
            difference = difflib.unified_diff(old.splitlines(), text.splitlines(), str(path), "as made", lineterm="")
            print("\n".join(difference))
    if wrong:
        print("not current; run: make generate-python", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
