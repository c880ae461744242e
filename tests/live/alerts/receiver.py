"""A local HTTP receiver of notifications, as a webhook has it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Receiver:
    """What has arrived, and how is answered."""

    port: int = 0
    status: int = 200
    said: list[str] = field(default_factory=list)
    beats: int = 0
    released: threading.Event = field(default_factory=threading.Event)

    def heard(self, *words: str) -> bool | None:
        """Say whether a line that arrived has all of these words."""
        lines = [line for text in self.said for line in text.splitlines()]
        return any(all(w in line.split() or w in line for w in words) for line in lines) or None

    def count(self, *words: str) -> int:
        """Return how many lines have all of these words."""
        lines = [line for text in self.said for line in text.splitlines()]
        return sum(all(word in line for word in words) for line in lines)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Listen: POST /alerts takes, GET /beat counts, POST /hang never ends its answer."""
    told = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            if self.path.startswith("/hang"):
                self._drip()
            elif told.status == 200:
                told.said.append(str(json.loads(body)["message"]))
            self._answer(told.status)

        def do_GET(self) -> None:
            told.beats += 1
            self._answer(200)

        def _drip(self) -> None:
            # a byte now and then: who waits for the next one alone is never done
            self.send_response(200)
            while not told.released.wait(1):
                try:
                    self.send_header("X-Later", "yes")
                    self.flush_headers()
                except OSError:
                    break

        def _answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        told.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield told
        finally:
            told.released.set()
            server.shutdown()
            thread.join()
