"""HTML that is escaped unless it was made here: a table named `<script>` is shown as text."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from typing import TypeAlias

# Not allowed in HTML, and what a log or a name may hold all the same
# (https://html.spec.whatwg.org/multipage/syntax.html#text-2); surrogates cannot be sent.
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_VOID = frozenset({"meta", "br", "link"})


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


Child: TypeAlias = "str | Iterable[Child] | None"


def text(value: str) -> Html:
    """Escape text for an element or an attribute."""
    return Html(html.escape(_CONTROLS.sub("\ufffd", value), quote=True))


def join(children: Iterable[Child]) -> Html:
    """Put children one after the other; what is no Html is escaped."""
    return Html("".join(map(_one, children)))


def tag(name: str, /, *children: Child, **attributes: str | float | None) -> Html:
    """Make an element. An underscore in an attribute's name is a hyphen, one at its end nothing."""
    told = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Html(f"<{name}{told}>")
    return Html(f"<{name}{told}>{join(children)}</{name}>")


def _one(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Html):
        return child
    if isinstance(child, str):
        return text(child)
    return join(child)


def table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[Child]]) -> Html:
    """Make a table whose first column names its rows; on a phone it scrolls by itself."""
    head = tag("tr", (tag("th", name, scope="col") for name in heads))
    body = [
        tag("tr", tag("th", first, scope="row"), (tag("td", cell) for cell in rest))
        for first, *rest in rows
    ]
    made = tag("table", tag("caption", caption), tag("thead", head), tag("tbody", body))
    # reachable by keyboard, else who has no pointer cannot scroll it
    return tag("div", made, class_="wide", tabindex="0", role="region", aria_label=caption)
