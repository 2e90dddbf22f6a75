"""Where the API is and who asks: arguments, else the environment, else the files that a pod has."""

from __future__ import annotations

import os
import re
import ssl
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import httpx
from pydantic import SecretStr

from ._errors import SettingsError

TOKEN_FILE = Path("/var/run/secrets/llmplane/token")
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")


class TokenSource(Protocol):
    """Where the bearer token comes from."""

    def read(self) -> SecretStr:
        """The token of this moment."""


class FixedToken:
    """A token that does not change."""

    def __init__(self, token: str | SecretStr, name: str = "token") -> None:
        self._token = _checked(token.get_secret_value() if isinstance(token, SecretStr) else token, name)

    def read(self) -> SecretStr:
        return self._token


class TokenFile:
    """A file that somebody renews, such as a pod's projected token. It is read again when it changes."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._token: SecretStr | None = None

    def read(self) -> SecretStr:
        with self._lock:
            try:
                # The kubelet swaps a link: another file then has the name.
                about = self._path.stat()
                seen = (about.st_ino, about.st_mtime_ns, about.st_size)
                if self._token is None or seen != self._seen:
                    self._token = _checked(self._path.read_text(encoding="ascii"), str(self._path))
                    self._seen = seen
            except (OSError, UnicodeError) as error:
                if self._token is None:
                    raise SettingsError(f"the token cannot be read from {self._path}: {type(error).__name__}") from None
            if self._token is None:
                raise SettingsError(f"{self._path} holds no token")
            return self._token


def _checked(text: str, name: str) -> SecretStr:
    token = text.strip()
    if not _TOKEN.fullmatch(token):
        # The text is not shown: it may be most of a token.
        raise SettingsError(f"{name} holds no bearer token: it is empty, or has characters that no token has")
    return SecretStr(token)


@dataclass(frozen=True)
class Settings:
    """What a client needs to know. `Settings.of()` fills in what is not given."""

    url: str
    token: TokenSource = field(repr=False)
    namespace: str | None = None
    ca_file: str | None = None
    timeout_seconds: float = 10.0
    max_stale_seconds: float | None = None

    @classmethod
    def of(
        cls,
        url: str | None = None,
        *,
        token: str | SecretStr | None = None,
        token_file: str | os.PathLike[str] | None = None,
        namespace: str | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        timeout_seconds: float | None = None,
        max_stale_seconds: float | None = None,
    ) -> Settings:
        """Settings from arguments, then from the environment.

        `LLMPLANE_URL`, `LLMPLANE_TOKEN` or `LLMPLANE_TOKEN_FILE` (else `/var/run/secrets/llmplane/token`),
        `LLMPLANE_NAMESPACE`, `LLMPLANE_CA_FILE`, `LLMPLANE_TIMEOUT_SECONDS`, `LLMPLANE_MAX_STALE_SECONDS`.

        Raises:
            SettingsError: where one is missing or not valid.
        """
        return cls(
            url=_url(url or os.environ.get("LLMPLANE_URL")),
            token=_token(token, token_file),
            namespace=namespace or os.environ.get("LLMPLANE_NAMESPACE") or None,
            ca_file=os.fspath(ca_file) if ca_file else os.environ.get("LLMPLANE_CA_FILE") or None,
            timeout_seconds=_number("LLMPLANE_TIMEOUT_SECONDS", timeout_seconds) or 10.0,
            max_stale_seconds=_number("LLMPLANE_MAX_STALE_SECONDS", max_stale_seconds),
        )

    def http_options(self) -> dict[str, object]:
        """Arguments of httpx's clients. No proxy that nobody named here gets the token."""
        timeout = httpx.Timeout(self.timeout_seconds, connect=min(5.0, self.timeout_seconds))
        return {"base_url": self.url, "timeout": timeout, "trust_env": False, "verify": self._tls()}

    def _tls(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(f"ca_file: {self.ca_file} cannot be used: {type(error).__name__}") from None


def _url(text: str | None) -> str:
    if not text:
        raise SettingsError("url is missing: set LLMPLANE_URL, for example https://llmplane-api.llmplane-system.svc")
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        raise SettingsError("url is not a URL") from None
    if url.scheme not in ("http", "https") or not url.host or url.userinfo or url.query or url.fragment:
        raise SettingsError("url must be http:// or https:// with a host, and without user, query and fragment")
    return str(url).rstrip("/")


def _token(token: str | SecretStr | None, token_file: str | os.PathLike[str] | None) -> TokenSource:
    if token is not None and token_file is not None:
        raise SettingsError("token and token_file are both given: leave one out")
    if token is not None:
        return FixedToken(token)
    if token_file is not None:
        return TokenFile(token_file)
    if os.environ.get("LLMPLANE_TOKEN"):
        return FixedToken(os.environ["LLMPLANE_TOKEN"], "LLMPLANE_TOKEN")
    return TokenFile(os.environ.get("LLMPLANE_TOKEN_FILE") or TOKEN_FILE)


def _number(name: str, given: float | None) -> float | None:
    text = os.environ.get(name)
    if given is None and not text:
        return None
    try:
        number = float(text or "") if given is None else float(given)
    except ValueError:
        raise SettingsError(f"{name} is not a number") from None
    if not 0 < number < float("inf"):
        raise SettingsError(f"{name} must be above 0")
    return number
