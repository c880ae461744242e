"""A report as people read it: what, where, what breaks and for how long, the safe way."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from pgstead.lint.finding import Finding, Level, Report

_WIDTH = 98


def lines(report: Report, *, notes: bool) -> Iterator[str]:
    """Yield the findings; notes in full or only counted."""
    shown = [f for f in report.findings if notes or f.level is not Level.NOTE]
    for finding in shown:
        yield from _finding(finding)
        yield ""


def _finding(finding: Finding) -> Iterator[str]:
    place = f"{finding.file}:{finding.line}" if finding.line else finding.file
    yield f"{place}: {finding.level.value} [{finding.rule}]"
    yield from _wrapped(finding.message, "  ", "  ")
    if finding.statement:
        yield f"  > {finding.statement[: _WIDTH - 4]}"
    if finding.breaks:
        yield from _wrapped(finding.breaks, "  breaks: ", " " * 10)
    if finding.safe:
        yield from _wrapped(finding.safe, "  safe:   ", " " * 10)
    yield from (f"      {line}" for line in finding.code.splitlines())


def _wrapped(text: str, first: str, rest: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False
    )


def summary(report: Report) -> str:
    """Return one line that counts."""
    many = len(report.revisions)
    told = f"{many} revision{'s' * (many != 1)}"
    counts = [
        f"{count} {level.value}{'s' * (count != 1)}"
        for level in Level
        if (count := len(report.at(level)))
    ]
    if report.ignored:
        counts.append(f"{len(report.ignored)} ignored with a reason")
    return f"{told}: {', '.join(counts) or 'nothing found'}"
