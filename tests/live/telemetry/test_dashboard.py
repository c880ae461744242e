"""The pages of `/dashboard` on a running stead: what they say, whom they refuse, their weight."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser

import httpx
import pytest

from pgstead.model.telemetry import Sample
from pgstead.observe.telemetry import now
from tests.fix_stead import LiveStead
from tests.live.telemetry.seen import after, health
from tests.live.telemetry.test_health import stopped
from tests.waiting import until

PAGES = ("", "/hours?hours=1", "/statements", "/locks", "/backups", "/proofs")
HEAVIEST = 300_000  # bytes of one page (issue 6)
_VOID = {"meta", "br", "link"}


class Seen(HTMLParser):
    """What a page consists of; tags that do not match are remembered."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.said: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data: str) -> None:
        self.said.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def get(stead: LiveStead, page: str) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{stead.api_port}/dashboard{page}", timeout=30)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_whole_light_and_loads_nothing(sampled: LiveStead, page: str) -> None:
    answer = get(sampled, page)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert len(answer.content) < HEAVIEST
    seen = Seen(answer.text)
    assert (seen.open, seen.wrong) == ([], [])
    assert not re.search(r"https?://|//[a-z]|@import|url\(", answer.text)
    assert not {"script", "img", "iframe", "form", "link"} & {name for name, _ in seen.tags}
    assert not any("style" in told or "onclick" in told for _, told in seen.tags)
    for landmark in ("header", "main", "footer", "h1", "h2"):
        assert len(seen.all(landmark)) == 1
    assert seen.all("html")[0]["lang"] == "en"
    assert all(told.get("scope") in ("col", "row") for told in seen.all("th"))
    assert [a for a in seen.all("a") if a.get("aria-current") == "page"]


def test_the_status_shows_every_check_with_its_reason(sampled: LiveStead) -> None:
    after(sampled)
    page = get(sampled, "").text
    checks = health(sampled).json()["checks"]
    for name, check in checks.items():
        assert f">{name}<" in page
        if check["state"] == "none":
            assert check["reason"] in page


def test_the_hours_show_what_was_worked(sampled: LiveStead) -> None:
    with sampled.connect("jeex_admin", direct=True) as session:
        for _ in range(20):
            session.execute("SELECT 1")
            session.commit()

    def drawn() -> str | None:
        page = get(sampled, "/hours?hours=1").text
        figure = page.partition("Transactions a second")[2].partition("</figure>")[0]
        return figure if "committed" in figure and 'class="line l0"' in figure else None

    assert "rolled back" in until(drawn, "a line of transactions")


def test_without_its_server_every_page_is_there_and_says_unknown_not_zero(
    sampled: LiveStead,
) -> None:
    with stopped(sampled, "postgres"):

        def told() -> str | None:
            page = get(sampled, "").text
            return page if "state critical" in page else None

        page = until(told, "a page that says critical")
        row = page.partition(">connections<")[2].partition("</tr>")[0]
        assert "unknown" in row
        assert ">0<" not in row
        for other in PAGES:
            began = time.monotonic()
            assert get(sampled, other).status_code == 200
            assert time.monotonic() - began < 10
    until(lambda: health(sampled).status_code == 200, "health again")


def test_a_name_that_is_a_script_is_text(sampled: LiveStead) -> None:
    name = "<script>alert(1)</script>\x01&\"'"
    telemetry = sampled.wired.ports.telemetry
    assert telemetry is not None
    lag = "pg_stat_replication_write_lag_bytes"
    telemetry.store.write([Sample(lag, 1.0, now(), (("application_name", name),))])
    page = get(sampled, "/hours?hours=1").text
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "\x01" not in page


def test_a_stretch_that_is_none_is_refused(sampled: LiveStead) -> None:
    assert get(sampled, "/hours?hours=0").status_code == 422
    assert get(sampled, "/hours?hours=<script>").status_code == 422


@pytest.mark.parametrize("page", PAGES)
def test_a_stranger_is_told_nothing(sampled: LiveStead, page: str) -> None:
    address = f"http://127.0.0.1:{sampled.api_port}/dashboard{page}"
    answer = httpx.get(address, headers={"X-Forwarded-For": "203.0.113.7"}, timeout=60)
    assert (answer.status_code, answer.text) == (403, "forbidden")


def test_availability_of_a_young_stead_is_unproven_with_its_coverage(sampled: LiveStead) -> None:
    told = until(lambda: health(sampled).json()["availability"], "an availability")
    assert (told["state"], told["ratio"]) == ("unproven", None)
    assert told["coverage"] < 0.01
    assert "needed" in told["reason"]
    assert sampled.json("status")["availability"]["state"] == "unproven"
    assert "availability over 30 days: unproven" in str(sampled.run("status").stdout)
    assert "unproven" in get(sampled, "").text.partition("Availability over")[2][:200]
