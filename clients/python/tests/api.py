"""An API of one model over real sockets, which answers `resolve` as a test says."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Api:
    """What it answers may change between two questions; so may its status."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.answer = answer
        self.status = 200
        self.answers = 0
        # Called before a question is answered.
        self.meanwhile: Callable[[], object] | None = None
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, format: str, *arguments: Any) -> None:
                return

            def do_GET(self) -> None:
                self.send_error(404)

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                api.answers += 1
                if api.meanwhile is not None:
                    api.meanwhile()
                status = api.status
                problem = {"type": "about:blank", "title": "no", "detail": "as the test says", "status": status}
                data = json.dumps(api.answer if status == 200 else problem).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json" if status == 200 else "application/problem+json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self) -> None:
        """Nobody listens any more."""
        self.server.shutdown()
        self.server.server_close()
