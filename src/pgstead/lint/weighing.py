"""From a hit to a finding: its words, and its weight on the target's tables.

A lock on a small table is over before anybody's time-out: at 50 MB/s, which a plain disk writes
with indexes and WAL, 10 MB take 0.2 s; runners give a lock up after 2 s. So below 10,000 rows and
10 MB a finding about the length of a lock is a note. Other harm does not depend on size.
"""

from __future__ import annotations

from dataclasses import dataclass

from pgstead.lint import squawk
from pgstead.lint.finding import Finding, Level
from pgstead.lint.rule import Harm, Hit, Rule, Work
from pgstead.lint.scene import Step, Surroundings
from pgstead.model.revision import Remark, RevisionScript, Statement, TableSize

SMALL = TableSize(rows=10_000, bytes=10 * 2**20)
_SHOWN = 160  # characters of a statement


@dataclass(frozen=True, slots=True)
class Place:
    """Where a hit was met: a revision, and the statement or the line if it is one."""

    revision: RevisionScript
    step: Step | None
    line: int = 0

    def line_of(self, hit: Hit) -> int:
        """Return the line to show."""
        if hit.line is not None:
            return hit.line
        if self.step is not None and self.step.statement.lines:
            return self.step.statement.lines[0]
        return self.line


class _Words(dict[str, str]):
    """The words of a hit; what it does not tell is shown as a gap to fill."""

    def __missing__(self, key: str) -> str:
        return f"<{key}>"


def finding(hit: Hit, place: Place, around: Surroundings) -> Finding:
    """Return the finding for a hit."""
    rule = hit.rule
    words = _Words(hit.words, table=hit.table or hit.words.get("table", "the table"))
    size = _size(hit.table, around)
    return Finding(
        rule=rule.name,
        level=_level(rule, size),
        revision=place.revision.name,
        file=place.revision.file,
        line=place.line_of(hit),
        statement=excerpt(place.step.text) if place.step else "",
        message=rule.message.format_map(words),
        breaks=_breaks(rule, words, size),
        safe=rule.safe.format_map(words),
        code=rule.code.format_map(words),
        table=hit.table,
    )


def _size(table: str, around: Surroundings) -> TableSize | None:
    """Return the size of a table; a table that the target does not have is empty."""
    if around.sizes is None or not table:
        return None
    return around.sizes.get(table, TableSize(0, 0))


def _level(rule: Rule, size: TableSize | None) -> Level:
    small = size is not None and size.rows < SMALL.rows and size.bytes < SMALL.bytes
    return Level.NOTE if small and rule.harm is Harm.LOCK else rule.level


def _breaks(rule: Rule, words: dict[str, str], size: TableSize | None) -> str:
    told = [rule.breaks] if rule.breaks else []
    if rule.lock is not None and not rule.breaks:
        told.append(f"{rule.lock.mode} blocks {rule.lock.blocks} {rule.work.words}")
    if size is not None and rule.harm is Harm.LOCK:
        told.append(_measured(rule.work, size))
    return "; ".join(told).format_map(words)


def _measured(work: Work, size: TableSize) -> str:
    megabytes = size.bytes / 2**20
    told = f"here {size.rows:,} rows, {megabytes:,.1f} MB"
    if not work.pace:
        return told
    return f"{told}: about {max(megabytes / work.pace, 0.1):,.1f} s at {work.pace} MB/s"


def excerpt(text: str) -> str:
    """Return the beginning of a statement on one line."""
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 3]}..."


def remarked(remark: Remark, revision: RevisionScript, statement: Statement | None) -> Finding:
    """Return what squawk says as a finding."""
    return Finding(
        rule=f"{squawk.PREFIX}{remark.rule}",
        level=squawk.level_of(remark.rule),
        revision=revision.name,
        file=revision.file,
        line=statement.lines[0] if statement and statement.lines else 0,
        statement=excerpt(statement.text) if statement else "",
        message=remark.message,
        breaks="",
        safe=remark.advice,
        code="",
        origin="squawk",
    )
