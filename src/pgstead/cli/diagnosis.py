"""How findings about a running server are printed: 80 columns are enough, SQL is never cut."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pgstead.cli.console import Console, aligned

if TYPE_CHECKING:
    from pgstead.model.advice import Diagnosis, Figure, Finding, Table

_LABEL = 10
_WIDEST = 120  # longer lines are hard to read
_BINARY = ("B", "kB", "MB", "GB", "TB")


def show(console: Console, stead: str, found: Diagnosis) -> None:
    """Print all of it, or the same for programs."""
    if console.json:
        console.data({"stead": stead, **told(found)})
        return
    lines = width()
    console.line(f'{found.subject.value} of stead "{stead}", {found.at:%Y-%m-%d %H:%M:%S} UTC')
    for table in found.tables:
        console.line()
        for text in _table(table, lines):
            console.line(text)
    for finding in found.findings:
        console.line()
        for text in _finding(finding, lines):
            console.line(text)
    if not found.findings:
        console.line()
        console.line("nothing found" if not found.unseen else "nothing found in what could be seen")
    if found.unseen:
        console.line()
        console.line("not seen:")
        for one in found.unseen:
            for text in _wrapped("", f"{one.what}: {one.reason}", lines):
                console.line(text)


def width() -> int:
    """Return how wide lines may be; what is piped is as on 80 columns."""
    if not sys.stdout.isatty():
        return 80
    return min(shutil.get_terminal_size().columns, _WIDEST)


def figure(value: float | str | None, unit: str) -> str:
    """Return a figure as people read it."""
    match value, unit:
        case None, _:
            return "unknown"
        case str(), _:
            return value
        case _, "s":
            return _span(float(value))
        case _, "By":
            return _bytes(float(value))
        case _, "1":
            return f"{float(value):.1%}"
        case _:
            return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def _span(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} days"


def _bytes(size: float) -> str:
    for unit in _BINARY:
        if size < 1024 or unit == _BINARY[-1]:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError


def _finding(found: Finding, wide: int) -> Iterator[str]:
    place = f"{found.database}: " if found.database else ""
    yield from _wrapped(found.severity.value, f"{place}{found.says}", wide)
    said = "; ".join(_evidence(f) for f in found.evidence)
    yield from _wrapped("  evidence", f"{said} ({found.window})", wide)
    for text in filter(None, found.detail):
        yield " " * (_LABEL + 2) + _cut(text, wide - _LABEL - 2)
    yield from _wrapped("  do", found.do, wide)
    for number, statement in enumerate(found.sql):
        label = "  sql" if number == 0 else ""
        yield f"{label:{_LABEL + 2}}{' '.join(statement.split())};"


def _evidence(found: Figure) -> str:
    unit = found.unit.strip("{}") if found.unit.startswith("{") else ""
    number = figure(found.value, found.unit)
    many = unit and isinstance(found.value, (int, float)) and unit != found.name
    return f"{found.name} {number}{f' {unit}s' if many and found.value != 1 else ''}"


def _wrapped(label: str, text: str, wide: int) -> Iterator[str]:
    start = f"{label:{_LABEL}}  " if label else "  "
    yield from textwrap.wrap(
        text, wide, initial_indent=start, subsequent_indent=" " * len(start),
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[: max(room - 3, 1)]}..."


def _table(table: Table, wide: int) -> Iterator[str]:
    yield table.title
    units = table.units or ("",) * len(table.columns)
    rows: list[Sequence[str]] = [
        table.columns,
        *([figure(v, unit) for v, unit in zip(row, units, strict=True)] for row in table.rows),
    ]
    for text in aligned(rows):
        yield _cut(f"  {text}", wide)


def told(found: Diagnosis) -> dict[str, object]:
    """Return it for programs."""
    return {
        "subject": found.subject,
        "at": found.at.isoformat(),
        "findings": found.findings,
        "unseen": found.unseen,
        "tables": [
            {
                "title": table.title,
                "units": dict(zip(table.columns, table.units, strict=False)),
                "rows": [dict(zip(table.columns, row, strict=True)) for row in table.rows],
            }
            for table in found.tables
        ],
    }
