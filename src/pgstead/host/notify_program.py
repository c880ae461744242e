"""Tell one target: `python -m pgstead.host.notify_program`, a JSON object on standard input.

A process of its own, because Apprise has plugins for a hundred services: what one of them leaks,
or hangs in, ends with it, and the address is in no argument that `ps` shows.
"""

from __future__ import annotations

import json
import logging
import sys
from importlib import import_module
from typing import Any
from urllib.parse import unquote, urlsplit

TAKEN, REFUSED, NOT_AN_ADDRESS = 0, 1, 2
_LONGEST = 300  # characters of an error


class _Words(logging.Handler):
    """Keeps what the library says, so that an error can be told."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


def main() -> int:
    """Deliver; an error is one line on standard error, without a part of the address in it."""
    told = json.loads(sys.stdin.read())
    apprise: Any = import_module("apprise")
    words = _Words()
    logging.getLogger("apprise").addHandler(words)
    carrier = apprise.Apprise()
    if not carrier.add(told["url"]):
        sys.stderr.write("it is not an address that Apprise knows")
        return NOT_AN_ADDRESS
    if carrier.notify(title=told["title"], body=told["body"]):
        return TAKEN
    sys.stderr.write(without_secrets(" ".join(words.said), told["url"]) or "it was refused")
    return REFUSED


def without_secrets(text: str, url: str) -> str:
    """Return what was said with every part of an address beside its host taken out."""
    split = urlsplit(url)
    parts = {url, split.username, split.password, split.path, split.query, split.fragment}
    parts |= {*split.path.split("/"), *split.query.split("&")}
    parts |= {unquote(part) for part in parts if part}
    for part in sorted((p for p in parts if p and len(p) > 2), key=len, reverse=True):
        text = text.replace(part, "***")
    return text[:_LONGEST]


if __name__ == "__main__":
    sys.exit(main())
