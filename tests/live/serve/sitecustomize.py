"""Put on a service's path by a test: notes what is imported after root was given up."""

from __future__ import annotations

import os
import sys

_noting = False


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if _noting or event not in ("import", "open") or os.getuid() == 0:
        return
    name = str(arguments[0])
    if event == "open" and not name.endswith((".pyc", ".so")):
        return
    _note(f"{event} {name}")


def _note(line: str) -> None:
    global _noting  # noqa: PLW0603 - an audit hook has no other memory
    _noting = True
    try:
        noted = os.open(os.environ["IMPORTS_AFTER_DROP"], os.O_WRONLY | os.O_APPEND)
        os.write(noted, f"{line}\n".encode())
        os.close(noted)
    finally:
        _noting = False


sys.addaudithook(_watch)
_note("watching")
