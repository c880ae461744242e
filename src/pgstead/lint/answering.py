"""What the comments of a revision answer for, and the comments that answer for nothing."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence

from pgstead.lint import squawk
from pgstead.lint.finding import Finding, Ignored, Report
from pgstead.lint.registry import IGNORE_UNKNOWN, IGNORE_UNUSED, IGNORE_WITHOUT_REASON, RULES
from pgstead.lint.rule import Hit
from pgstead.lint.scene import Surroundings
from pgstead.lint.source import Ignore, read
from pgstead.lint.weighing import Place, finding
from pgstead.model.revision import RevisionScript


def answered(
    revisions: Mapping[str, RevisionScript], found: Sequence[Finding], *, squawk_ran: bool
) -> Report:
    """Return the report, with what is answered for set apart."""
    ignores = {name: read(r.source).ignores for name, r in revisions.items()}
    used: set[tuple[str, Ignore]] = set()
    findings: list[Finding] = []
    ignored: list[Ignored] = []
    for each in found:
        ignore = _answer(each, ignores[each.revision])
        if ignore is None:
            findings.append(each)
            continue
        used.add((each.revision, ignore))
        ignored.append(Ignored(each, ignore.reason))
    for name, revision in revisions.items():
        for ignore in ignores[name]:
            idle = (name, ignore) not in used
            findings += _faults(ignore, revision, idle=idle, squawk_ran=squawk_ran)
    order = {name: number for number, name in enumerate(revisions)}
    findings.sort(key=lambda f: (order[f.revision], f.line, f.rule))
    return Report(tuple(revisions), tuple(_once(findings)), tuple(ignored))


def _answer(each: Finding, ignores: Sequence[Ignore]) -> Ignore | None:
    lines = (each.line,)
    return next((i for i in ignores if i.reason and i.covers(each.rule, lines)), None)


def _faults(
    ignore: Ignore, revision: RevisionScript, *, idle: bool, squawk_ran: bool
) -> Iterator[Finding]:
    def told(hit: Hit) -> Finding:
        return finding(hit, Place(revision, None), Surroundings())

    if not _known(ignore.rule):
        near = difflib.get_close_matches(ignore.rule, RULES, n=1)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        yield told(IGNORE_UNKNOWN.hit("", ignore.line, rule=ignore.rule, meant=meant))
    elif not ignore.reason:
        comment = f"# pgstead: ignore[{ignore.rule}]"
        yield told(IGNORE_WITHOUT_REASON.hit("", ignore.line, rule=ignore.rule, comment=comment))
    elif idle and (squawk_ran or not ignore.rule.startswith(squawk.PREFIX)):
        yield told(IGNORE_UNUSED.hit("", ignore.line, rule=ignore.rule))


def _known(rule: str) -> bool:
    return rule in RULES or (rule.startswith(squawk.PREFIX) and rule != squawk.PREFIX)


def _once(findings: Sequence[Finding]) -> Iterator[Finding]:
    """Leave out what was said of the same place already: a loop runs a statement many times."""
    seen: set[tuple[str, str, int, str]] = set()
    for each in findings:
        key = (each.rule, each.revision, each.line, each.message)
        if key not in seen:
            seen.add(key)
            yield each
