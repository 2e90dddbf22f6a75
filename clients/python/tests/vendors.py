"""Servers that speak OpenAI's and Anthropic's protocols over real sockets, and can die or change their keys."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Vendor:
    """One server. With tools it calls the first one, and says what came back."""

    protocol = ""

    def __init__(self, *keys: str, model: str) -> None:
        self.keys = set(keys)
        self.model = model
        self.calls = 0
        self.refused = 0
        self.last_body: dict[str, Any] = {}
        self.fail_with: int | None = None
        self.break_stream_after: int | None = None
        # Called before a call is answered.
        self.meanwhile: Callable[[], object] | None = None
        self._port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}{'/v1' if self.protocol == 'openai' else ''}"

    def start(self) -> None:
        vendor = self

        class Handler(_Handler):
            pass

        Handler.vendor = vendor
        self._server = _Server(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def reset(self) -> None:
        """Forgets what was seen, and works."""
        self.calls = self.refused = 0
        self.fail_with = self.break_stream_after = self.meanwhile = None

    def die(self) -> None:
        """Nobody listens any more, and what was open is closed."""
        self._server.shutdown()
        self._server.server_close()
        self._server.close_all()

    @property
    def open_connections(self) -> int:
        return self._server.open_connections

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        raise NotImplementedError

    def stream(self, body: dict[str, Any]) -> Iterator[tuple[str | None, dict[str, Any]]]:
        raise NotImplementedError


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._sockets: set[Any] = set()
        self._lock = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._sockets.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._sockets.discard(request)
        super().shutdown_request(request)

    @property
    def open_connections(self) -> int:
        with self._lock:
            return len(self._sockets)

    def close_all(self) -> None:
        with self._lock:
            for one in self._sockets:
                try:
                    one.shutdown(2)
                except OSError:
                    continue

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that was cut off is no error of the server's.
        return


class _Handler(BaseHTTPRequestHandler):
    vendor: Vendor
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *arguments: Any) -> None:
        return

    def do_GET(self) -> None:
        if not self._is_allowed():
            return
        if self.path.rstrip("/").endswith("/models") or "/models?" in self.path:
            row = {"id": self.vendor.model, "object": "model", "type": "model", "display_name": self.vendor.model}
            row.update(created=1735689600, created_at="2025-01-01T00:00:00Z", owned_by="test")
            self._send(200, {"object": "list", "data": [row], "has_more": False})
        else:
            self._error(404, "not_found_error", "There is nothing at this URL.")

    def do_POST(self) -> None:
        vendor = self.vendor
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._is_allowed():
            return
        vendor.calls += 1
        vendor.last_body = body
        if vendor.meanwhile is not None:
            vendor.meanwhile()
        if vendor.fail_with is not None:
            self._error(vendor.fail_with, "api_error", "The server has a problem.")
        elif body.get("stream"):
            self._stream(vendor.stream(body))
        else:
            self._send(200, vendor.answer(body))

    def _is_allowed(self) -> bool:
        sent = self.headers.get("x-api-key") or (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if sent in self.vendor.keys:
            return True
        self.vendor.refused += 1
        self._error(401, "authentication_error", "invalid x-api-key", code="invalid_api_key")
        return False

    def _error(self, status: int, type: str, message: str, code: str | None = None) -> None:
        error = {"type": type, "message": message, "code": code, "param": None}
        self._send(status, {"type": "error", "error": error})

    def _send(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, events: Iterator[tuple[str | None, dict[str, Any]]]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        # So that an end which was not meant is told from one that was.
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number, (name, data) in enumerate(events):
            if number == self.vendor.break_stream_after:
                self.vendor.break_stream_after = None
                self.connection.shutdown(2)
                self.close_connection = True
                return
            head = f"event: {name}\n" if name else ""
            self._chunk(f"{head}data: {json.dumps(data)}\n\n".encode())
        if self.vendor.protocol == "openai":
            self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()


class OpenAI(Vendor):
    """`/v1/chat/completions`."""

    protocol = "openai"

    def _message(self, body: dict[str, Any]) -> dict[str, Any]:
        last = body["messages"][-1]
        if body.get("tools") and last["role"] == "user":
            function = body["tools"][0]["function"]
            call = {"name": function["name"], "arguments": json.dumps({"text": str(last["content"])})}
            return {"tool_calls": [{"id": "call_1", "type": "function", "index": 0, "function": call}]}
        return {"content": f"it says: {last['content']}"}

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        message = {"role": "assistant", "content": None, **self._message(body)}
        reason = "tool_calls" if "tool_calls" in message else "stop"
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1735689600,
            "model": body["model"],
            "choices": [{"index": 0, "finish_reason": reason, "message": message}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        }

    def stream(self, body: dict[str, Any]) -> Iterator[tuple[str | None, dict[str, Any]]]:
        def chunk(delta: dict[str, Any], reason: str | None = None) -> tuple[None, dict[str, Any]]:
            choice = {"index": 0, "delta": delta, "finish_reason": reason}
            about = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1735689600}
            return None, {**about, "model": body["model"], "choices": [choice]}

        message = self._message(body)
        yield chunk({"role": "assistant", "content": ""})
        if "tool_calls" in message:
            yield chunk(message)
        for word in (message.get("content") or "").split(" "):
            yield chunk({"content": word + " "})
        yield chunk({}, "tool_calls" if "tool_calls" in message else "stop")


class Anthropic(Vendor):
    """`/v1/messages`."""

    protocol = "anthropic"

    def _block(self, body: dict[str, Any]) -> dict[str, Any]:
        content = body["messages"][-1]["content"]
        result = isinstance(content, list) and content[0]["type"] == "tool_result"
        if body.get("tools") and not result:
            return {
                "type": "tool_use",
                "id": "toolu_1",
                "name": body["tools"][0]["name"],
                "input": {"text": str(content)},
            }
        said = content[0]["content"] if result else content
        return {"type": "text", "text": f"it says: {said}"}

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        block = self._block(body)
        return {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": [block],
            "stop_reason": "tool_use" if block["type"] == "tool_use" else "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 1, "output_tokens": 1},
        }

    def stream(self, body: dict[str, Any]) -> Iterator[tuple[str | None, dict[str, Any]]]:
        whole = self.answer(body)
        block = whole["content"][0]
        yield "message_start", {"type": "message_start", "message": {**whole, "content": [], "stop_reason": None}}
        if block["type"] == "text":
            start, deltas = (
                {**block, "text": ""},
                [{"type": "text_delta", "text": f"{w} "} for w in block["text"].split()],
            )
        else:
            start = {**block, "input": {}}
            deltas = [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]
        yield "content_block_start", {"type": "content_block_start", "index": 0, "content_block": start}
        for delta in deltas:
            yield "content_block_delta", {"type": "content_block_delta", "index": 0, "delta": delta}
        yield "content_block_stop", {"type": "content_block_stop", "index": 0}
        end = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
        yield "message_delta", {"type": "message_delta", "delta": end, "usage": {"output_tokens": 1}}
        yield "message_stop", {"type": "message_stop"}
