"""What a page is made of: escaped, valid, and unknown where nobody knew."""

from __future__ import annotations

import math
from html.parser import HTMLParser

import pytest

from pgstead.app.dashboard import figures, worst
from pgstead.app.dashboard.charts import Frame, Line, chart
from pgstead.app.dashboard.markup import Html, table, tag, text
from pgstead.app.dashboard.note_pages import backups_page, proofs_page
from pgstead.app.dashboard.page import PAGES, Place
from pgstead.app.dashboard.status_page import status_page
from pgstead.app.dashboard.style import POLICY, SHEET
from pgstead.app.telemetry.alerts import Alert, Alerts, alerts_of, of_alerts
from pgstead.app.telemetry.checks import told_availability
from pgstead.app.telemetry.samples import Judged, Note
from pgstead.model.telemetry import Level

EVIL = "<script>alert('x')</script>\x00\"&"
PLACE = Place("", EVIL, "test")
CALM = Alerts((), "")
FRAME = Frame(since=0.0, bucket=60.0, count=10, gap=1)


class Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)


def clean(page: str) -> None:
    assert "script" not in Tags(page).names
    assert "\x00" not in page
    assert "&lt;script&gt;" in page


def check(value: float | None, level: Level, reason: str = "") -> Judged:
    return Judged("disk", "1", 0.75, 0.9, False, True, "text", level, 0.0, 0.0, value, reason)


def test_text_and_attributes_are_escaped_and_html_is_not_twice() -> None:
    made = tag("p", EVIL, tag("b", "x"), title=EVIL)
    clean(made)
    assert made.endswith("<b>x</b></p>")
    assert text('"') == "&quot;"
    assert isinstance(tag("p", "a"), Html)
    clean(table(EVIL, [EVIL], [[EVIL, EVIL]]))


def test_every_page_shows_evil_names_as_text() -> None:
    run = {
        "task": EVIL, "backup": EVIL, "begun": 0.0, "seconds": None, "ending": EVIL,
        "cause": EVIL, "error": EVIL, "rto": None,
    }  # fmt: skip
    promise = dict.fromkeys(("code", "promise", "verdict", "reason", "hint"), EVIL)
    report = {"began": EVIL, "seconds": 1.0, "counts": {}, "open": [promise], "left_out": 3}
    bad = check(0.9, Level.CRITICAL, EVIL)
    fires = Alert(EVIL, "firing", "critical", EVIL, 0.0, 2.0, EVIL, silenced=True)
    clean(
        status_page(PLACE, EVIL, [bad], EVIL, told_availability(None, EVIL), Alerts((fires,), ""))
    )
    clean(backups_page(PLACE, Note(0.0, {"runs": [run], "reason": ""}), ""))
    clean(proofs_page(PLACE, Note(0.0, {"reports": [report], "reason": ""}), ""))
    clean(chart(EVIL, "s", [Line(EVIL, ((1, 1.0),))], FRAME, top=None, empty=EVIL))


def test_a_value_that_nobody_knows_is_unknown_with_its_reason() -> None:
    lost = check(None, Level.UNKNOWN, "nobody looked")
    page = status_page(PLACE, "", [lost], "", told_availability(None, ""), CALM)
    assert "unknown" in page
    assert "nobody looked" in page
    assert "the agent has not reckoned it yet" in page
    assert ">0<" not in page


def test_without_checks_the_reason_is_shown_and_not_that_all_is_well() -> None:
    page = status_page(PLACE, "", [], "the agent has not sampled anything yet", {
        "coverage": None, "reason": "so",
    }, CALM)  # fmt: skip
    assert "the agent has not sampled anything yet" in page
    assert ">healthy<" not in page


def test_what_fires_comes_first_and_what_nobody_evaluated_is_unknown() -> None:
    told = [
        Alert("Soon", "pending", "warning", "soon", 1.0, None, "", silenced=False),
        Alert("Now", "firing", "critical", "now", 2.0, 3.0, "", silenced=False),
    ]
    unproven = told_availability(None, "")
    page = status_page(PLACE, "", [], "", unproven, Alerts(told, ""))
    assert "1 firing" in page
    assert page.index(">Now<") < page.index(">Soon<")
    old = alerts_of(Note(0.0, {"alerts": [], "reason": ""}), "", interval=1.0)
    assert old.found is None
    assert "has not evaluated the rules" in status_page(PLACE, "", [], "", unproven, old)
    assert [*of_alerts(old)] == []


def test_a_line_is_broken_where_nobody_knew_and_starts_anew() -> None:
    line = Line("a", ((0, 1.0), (1, 2.0), (2, None), (3, 1.0), (7, 1.0)))
    made = chart("t", "", [line], FRAME, top=None, empty="")
    path = made.partition('class="line')[0].rpartition('d="')[2]
    assert path.count("M") == 3
    assert path.count("L") == 1


def test_a_chart_without_a_known_value_says_why() -> None:
    made = chart("t", "", [Line("a", ((0, None),))], FRAME, top=None, empty="no pooler")
    assert "unknown: no pooler" in made
    assert "<svg" not in made


def test_a_chart_shows_few_lines_and_says_how_many_more_there_are() -> None:
    lines = [Line(f"line {n}", ((9, float(n)),)) for n in range(20)]
    made = chart("t", "", lines, FRAME, top=None, empty="")
    assert "line 19" in made
    assert "line 13" not in made
    assert "and 14 more" in made


def test_a_series_that_ended_is_not_said_to_be_of_now() -> None:
    made = chart("t", "", [Line("old", ((0, 1.0),))], FRAME, top=None, empty="")
    assert "not seen lately" in made


@pytest.mark.parametrize(
    ("value", "unit", "told"),
    [
        (None, "s", "unknown"), (0.0, "s", "0 s"), (0.0123, "s", "12.3 ms"), (90.0, "s", "90 s"),
        (7200.0, "s", "2 h"), (0.0, "By", "0 B"), (1536.0, "By", "1.5 KiB"), (1.0, "1", "100%"),
        (0.5, "1", "50.0%"), (1.0, "{query}", "1 query"), (2.0, "{index}", "2 indexes"),
        (3.0, "{query}", "3 queries"), (12345.0, "{lock}", "12 345 locks"),
        (2048.0, "By/s", "2 KiB/s"),
    ],
)  # fmt: skip
def test_figures_are_for_people(value: float | None, unit: str, told: str) -> None:
    assert figures.figure(value, unit) == told


def _luminance(colour: str) -> float:
    def linear(part: str) -> float:
        share = int(part, 16) / 255
        return share / 12.92 if share <= 0.04045 else math.pow((share + 0.055) / 1.055, 2.4)

    full = colour if len(colour) == 6 else "".join(c * 2 for c in colour)
    red, green, blue = (linear(full[i : i + 2]) for i in (0, 2, 4))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1])
def test_text_has_a_contrast_of_four_and_a_half_in_both_schemes(scheme: int) -> None:
    told = SHEET.split(":root{")[1 + scheme].split("}")[0].replace("\n", "")
    pairs = (part.split(":") for part in told.split(";"))
    colours = {k.strip(): v[1:] for k, v in pairs if v.startswith("#")}
    for back in ("--back", "--box"):
        for front in set(colours) - {"--back", "--box", "--edge"}:
            light, dark = sorted((_luminance(colours[front]), _luminance(colours[back])))[::-1]
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (front, back)


def test_the_policy_allows_the_sheet_and_nothing_else() -> None:
    assert POLICY.startswith("default-src 'none'; style-src 'sha256-")
    assert "<" not in SHEET
    assert set(PAGES) >= {"", "hours", "statements", "locks", "backups", "proofs"}


def test_a_transaction_for_which_nobody_waits_tells_how_long_it_has_been_open() -> None:
    found = {
        "severity": "warning", "database": "shop", "says": "session 7 has a transaction open",
        "evidence": {"session": "7", "transaction open": 93.0}, "lines": ["SELECT 1"], "do": "wait",
    }  # fmt: skip
    shown = str(worst.trees(Note(0.0, {"trees": [found], "reason": ""})))
    assert "has a transaction open, for 93" in shown
