"""Pages with charts: the last hours, statements, locks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pgstead.app.dashboard import figures, history
from pgstead.app.dashboard.charts import Frame, Line, chart
from pgstead.app.dashboard.history import Plot
from pgstead.app.dashboard.markup import Child, Html, table, tag
from pgstead.app.dashboard.page import Place, page, unknown
from pgstead.app.telemetry.samples import Current, Note, Samples, Spent

_STATEMENTS = 15
SPANS = (1, 3, 6, 12, 24, 48)  # hours


@dataclass(frozen=True, slots=True)
class Past:
    """What a page with charts shows, as it was read."""

    frame: Frame
    plots: Sequence[tuple[Plot, Sequence[Line]]]
    newest: Sequence[Current]
    spent: Sequence[Spent] = ()
    waits: Note | None = None


def read(samples: Samples, plots: Sequence[Plot], hours: int, *, newest: bool = False) -> Past:
    """Read what the plots show. Raises UnreadableSamplesError."""
    frame = history.frame(hours, samples.interval)
    lines = [(plot, history.lines(samples, plot, frame)) for plot in plots]
    return Past(
        frame,
        lines,
        samples.newest() if newest else (),
        samples.spent(frame.since, _STATEMENTS) if newest else (),
        samples.note("locks") if newest else None,
    )


def chart_page(
    place: Place, name: str, hours: int, past: Past | None, why: str, *more: Child
) -> Html:
    """Return a page with charts; `why` says why there are none."""
    if past is None:
        return page(place, name, unknown(why))
    charts = (
        chart(plot.title, plot.unit, lines, past.frame, top=plot.top, empty=plot.empty)
        for plot, lines in past.plots
    )
    told = f"Each point is the mean of {figures.span(past.frame.bucket)}."
    return page(
        place,
        name,
        _spans(place, name, hours),
        tag("p", told, class_="small"),
        more,
        tag("div", charts, class_="charts"),
    )


def _spans(place: Place, name: str, hours: int) -> Html:
    links = (
        tag("li", tag("a", f"{h} h", href=f"{place.address(name)}?hours={h}",
                      aria_current="true" if h == hours else None))
        for h in SPANS
    )  # fmt: skip
    return tag("nav", tag("ul", links), aria_label="How far back")


def sums(past: Past | None, wanted: Iterable[str], caption: str) -> Html | None:
    """Return the newest values of some metrics in words."""
    if past is None:
        return None
    names = set(wanted)
    rows = [
        (
            s.metric,
            ", ".join(f"{key} {value}" for key, value in s.attributes),
            figures.figure(s.value, s.unit),
            s.reason,
            s.description,
        )
        for s in past.newest
        if s.metric in names
    ]
    if not rows:
        return unknown("nobody has sampled it yet")
    return table(caption, ("metric", "of", "now", "why unknown", "what it is"), rows)
