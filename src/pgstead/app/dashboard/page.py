"""The frame of a page: head, landmarks, navigation."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from pgstead.app.dashboard import figures
from pgstead.app.dashboard.markup import Child, Html, join, tag
from pgstead.app.dashboard.style import SHEET

PAGES: Mapping[str, str] = {
    "": "Status",
    "hours": "Last hours",
    "statements": "Statements",
    "locks": "Locks",
    "backups": "Backups and drills",
    "proofs": "Proofs",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Whose page it is."""

    root: str  # where the service is mounted, empty at the top
    service: str
    environment: str

    def address(self, page: str) -> str:
        """Return the path of a page."""
        path = f"{self.root}/dashboard"
        return f"{path}/{page}" if page else path


def page(place: Place, name: str, *content: Child) -> Html:
    """Return the whole document."""
    title = PAGES[name]
    links = (
        tag("li", tag("a", text, href=place.address(key),
                      aria_current="page" if key == name else None))
        for key, text in PAGES.items()
    )  # fmt: skip
    made = f"Made at {figures.moment(time.time())}; all times are UTC."
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"{title} - {place.service}"),
        tag("style", SHEET),
    )
    body = tag(
        "body",
        tag("a", "Skip to the content", href="#content", class_="skip"),
        tag(
            "header",
            tag("h1", f"{place.service} ({place.environment})"),
            tag("nav", tag("ul", links), aria_label="Pages"),
        ),
        tag("main", tag("h2", title), content, id="content", tabindex="-1"),
        tag("footer", tag("p", made, class_="small")),
    )
    return join([Html("<!DOCTYPE html>\n"), tag("html", head, body, lang="en")])


def state(word: str) -> Html:
    """Show a state by its word; its colour only repeats it."""
    return tag("span", word, class_=f"state {word}")


def unknown(reason: str) -> Html:
    """Say that nobody knows, and why."""
    return tag("p", tag("span", figures.UNKNOWN, class_="state unknown"), f": {reason}")


def card(title: str, value: Child, *more: Child) -> Html:
    """Show one fact large."""
    return tag("div", title, tag("strong", value), (tag("div", m, class_="small") for m in more),
               class_="card")  # fmt: skip
