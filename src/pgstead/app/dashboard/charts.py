"""Line charts as SVG, made on the server: no script, no style attribute, readable without colour.

Below each one is a table with the same series in words: what a screen reader tells, and what tells
lines apart for those who do not see colours (each line has a dash pattern of its own, too).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pgstead.app.dashboard import figures
from pgstead.app.dashboard.markup import Html, join, table, tag

_WIDTH, _HEIGHT = 640.0, 180.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 68.0, 8.0, 8.0, 22.0
_TICKS = 4
_GONE = "not seen lately"
SHOWN = 6  # lines of one chart


@dataclass(frozen=True, slots=True)
class Line:
    """What one line shows; by bucket, None where nobody knew."""

    label: str
    values: tuple[tuple[int, float | None], ...]

    @property
    def known(self) -> list[float]:
        """The values that are known."""
        return [value for _, value in self.values if value is not None]


@dataclass(frozen=True, slots=True)
class Frame:
    """The stretch of time that all charts of a page show."""

    since: float  # Unix time
    bucket: float  # seconds
    count: int
    gap: int  # so many buckets without a sample, and the line is broken

    @property
    def until(self) -> float:
        """The end."""
        return self.since + self.bucket * self.count


def chart(
    title: str, unit: str, lines: Sequence[Line], frame: Frame, *, top: float | None, empty: str
) -> Html:
    """Return a figure: the chart, and its series in words. `empty` says why there is none."""
    ranked = sorted(lines, key=lambda line: max(line.known, default=0.0), reverse=True)
    shown = [line for line in ranked if line.known][:SHOWN]
    caption = tag("figcaption", title)
    if not shown:
        return tag("figure", caption, tag("p", f"{figures.UNKNOWN}: {empty}", class_="unknown"))
    highest = top or _nice(max(value for line in shown for value in line.known), unit)
    drawn = tag(
        "svg",
        tag("title", f"{title}, {figures.clock(frame.since)} to {figures.clock(frame.until)} UTC"),
        join(_grid(highest, unit, frame)),
        (tag("path", d=_path(line, highest, frame), class_=f"line l{i}")
         for i, line in enumerate(shown)),
        viewBox=f"0 0 {_WIDTH:.0f} {_HEIGHT:.0f}",
        role="img",
    )  # fmt: skip
    left = len([line for line in lines if line.known]) - len(shown)
    more = tag("p", f"and {left} more with lower values", class_="small") if left > 0 else None
    return tag("figure", caption, drawn, _words(title, unit, shown, frame), more)


def _words(title: str, unit: str, shown: Sequence[Line], frame: Frame) -> Html:
    rows = [
        (
            join([_key(i), " ", line.label]),
            _latest(line, unit, frame),
            figures.figure(sum(line.known) / len(line.known), unit),
            figures.figure(max(line.known), unit),
        )
        for i, line in enumerate(shown)
    ]
    return table(f"{title}: in words", ("series", "last", "mean", "highest"), rows)


def _latest(line: Line, unit: str, frame: Frame) -> str:
    """Return the last value; one that is long ago says nothing of now."""
    bucket, value = line.values[-1]
    return figures.figure(value, unit) if frame.count - bucket <= frame.gap + 1 else _GONE


def _key(index: int) -> Html:
    stroke = tag("path", d="M0 5H28", class_=f"line l{index}")
    return tag("svg", stroke, viewBox="0 0 28 10", class_="key", aria_hidden="true")


def _nice(value: float, unit: str) -> float:
    """Return a round number that is not below; of bytes a power of two."""
    if value <= 0:
        return 1.0
    if unit.startswith("By"):
        return 2.0 ** math.ceil(math.log2(max(value, 4.0)))
    tens = 10.0 ** math.floor(math.log10(value))
    # not exactly so: 10 ** floor(log10(x)) * 10 may be a hair below x
    fitting = (step * tens for step in (1.0, 2.0, 2.5, 5.0, 10.0) if step * tens >= value)
    return next(fitting, value)


def _x(bucket: float, frame: Frame) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * bucket / frame.count


def _y(value: float, highest: float) -> float:
    share = min(max(value / highest, 0.0), 1.0)
    return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * share


def _grid(highest: float, unit: str, frame: Frame) -> Iterator[Html]:
    for step in range(_TICKS + 1):
        value = highest * step / _TICKS
        y = f"{_y(value, highest):.1f}"
        yield tag("path", d=f"M{_LEFT:.0f} {y}H{_WIDTH - _RIGHT:.0f}", class_="grid")
        told = figures.figure(value, unit).partition(" ")
        short = (
            "".join(told[:2]) + told[2].split("/")[0] if unit in ("By", "By/s", "s") else told[0]
        )
        yield tag("text", short, x=f"{_LEFT - 6:.0f}", y=y, class_="tick left")
    for step in range(_TICKS + 1):
        bucket = frame.count * step / _TICKS
        place = "start" if step == 0 else "end" if step == _TICKS else "middle"
        at = figures.clock(frame.since + bucket * frame.bucket)
        x = f"{_x(bucket, frame):.1f}"
        yield tag("text", at, x=x, y=f"{_HEIGHT - 6:.0f}", class_=f"tick {place}")


def _path(line: Line, highest: float, frame: Frame) -> str:
    """Return the line, broken where nobody knew."""
    steps: list[str] = []
    last: int | None = None
    for bucket, value in line.values:
        if value is None:
            last = None
            continue
        x, y = _x(bucket + 0.5, frame), _y(value, highest)
        joined = last is not None and bucket - last <= frame.gap
        # a point without neighbours is a line of no length, which round ends make visible
        steps.append(f"L{x:.1f} {y:.1f}" if joined else f"M{x:.1f} {y:.1f}h0")
        last = bucket
    return "".join(steps)
