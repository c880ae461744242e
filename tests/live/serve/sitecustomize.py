"""Put on a service's path by a test: notes what is imported after root was given up."""

from __future__ import annotations

import os
import sys

_dropped = False
_noting = False


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    global _dropped, _noting  # noqa: PLW0603 - an audit hook has no other memory
    if event == "os.setuid":
        _dropped = True
    if not _dropped or _noting or event not in ("import", "open"):
        return
    name = str(arguments[0])
    if event == "open" and not name.endswith((".py", ".pyc", ".so")):
        return
    _noting = True
    try:
        with open(os.environ["IMPORTS_AFTER_DROP"], "a") as noted:  # noqa: PTH123
            noted.write(f"{event} {name}\n")
    finally:
        _noting = False


sys.addaudithook(_watch)
