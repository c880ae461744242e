"""The report of an audit as a page that needs nothing but itself.

Read from above: what it came to, what is open and why, then all of it, then by the auditor's own
lists.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator

from pgstead.model.audit_report import Answered, AuditReport, Checked, Tried

_STYLE = """
:root { color-scheme: light }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem;
       color: #1b1b1b; background: #fff }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 }
th, td { text-align: left; vertical-align: top; padding: .4rem .6rem;
         border-bottom: 1px solid #ccc }
td:first-child, .verdict { white-space: nowrap }
td p, td ul { margin: 0 0 .4rem } td ul { padding-left: 1.1rem }
code { overflow-wrap: anywhere; font-size: .85em }
summary { cursor: pointer }
.kept { color: #0a5c2b } .broken { color: #a3001b; font-weight: bold } .unproven { color: #6b4a00 }
.none, .of { color: #595959 }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem } dd { margin: 0 }
@media print { body { margin: 0; max-width: none; font-size: 12px } tr { break-inside: avoid } }
"""
_LEGEND = (
    ("kept", "tried just now, and it was as promised"),
    ("broken", "tried just now, and it was not"),
    ("unproven", "not tried, or only in part, and never a pass: its reason stands beside it"),
)
_CHECKS = ("", "question", "verdict", "what was tried, and what came back")
_BENCHMARK = (
    "Numbers as public scanners of the CIS PostgreSQL 17 Benchmark have them; the words are not"
    " those of its text. A control is as well as the worst question about it."
)


def page(report: AuditReport) -> str:
    """Return the whole page; whatever comes from a server is escaped."""
    title = _text(f"Audit of {report.stead}")
    parts = [
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>',
        f"<h1>{title}</h1>",
        *_summary(report),
        _table("What is open", _CHECKS, (_row(check, shut=False) for check in report.open_ones)),
        _list("Weakened by signature", report.waivers),
        _list("Known weaknesses of the versions that run", report.notices),
        _table(
            "Requirements of the specifications",
            ("", "requirement", "verdict", "questions"),
            (_answer(a) for a in report.requirements),
        ),
        _table("Questions", _CHECKS, (_row(check, shut=True) for check in report.checks)),
        _table(
            "CIS controls",
            ("", "about", "verdict", "questions, or why none"),
            (_answer(a) for a in report.controls),
            _BENCHMARK,
        ),
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _summary(report: AuditReport) -> Iterator[str]:
    counts = ", ".join(f"{n} {_verdict(verdict)}" for verdict, n in report.counts.items())
    yield f"<p><strong>{len(report.checks)} questions: {counts}.</strong></p>"
    versions = ", ".join(f"{name} {found}" for name, found in report.versions.items())
    head = f"<code>{_text(report.trail)}</code>" if report.trail else "none is kept"
    told = (
        ("environment", _text(report.environment)),
        ("tried", f"{_text(report.began)}, {report.seconds:.0f} s, on the running system"),
        ("versions", _text(versions)),
        ("audit trail", f"{head}: number and hash of its last record"),
        *((word, _text(says)) for word, says in _LEGEND),
    )
    yield f"<dl>{''.join(f'<dt>{name}</dt><dd>{says}</dd>' for name, says in told)}</dl>"


def _row(check: Checked, *, shut: bool) -> list[str]:
    tried = "".join(_tried(t, shut=shut) for t in check.tried if shut or t.verdict != "kept")
    gap = f"<p>not tried: {_text(check.gap)}</p>" if check.gap else ""
    named = ", ".join((*check.sources, *(f"CIS {control}" for control in check.controls)))
    asks = f'<p id="{"q" if shut else "open"}{check.number}">{_text(check.asks)}</p>'
    of = f'<p class="of">{_text(named)}</p>' if named else ""
    return [str(check.number), asks + of, _verdict(check.verdict), tried + gap]


def _tried(tried: Tried, *, shut: bool) -> str:
    shown = f"{_text(tried.code)} {_verdict(tried.verdict)}: {_text(tried.promise)}"
    # why something is not kept is read without a click
    reason = f"<p>{_text(tried.reason)}</p>" if tried.reason else ""
    if not tried.evidence:
        return f"<p>{shown}</p>{reason}"
    shown += " (1 attempt)" if tried.attempts == 1 else f" ({tried.attempts} attempts)"
    opened = "" if shut else " open"
    evidence = f"<code>{_text(tried.evidence)}</code>"
    return f"<details{opened}><summary>{shown}</summary>{evidence}</details>{reason}"


def _answer(answered: Answered) -> list[str]:
    links = ", ".join(f'<a href="#q{n}">{n}</a>' for n in answered.questions)
    verdict = _verdict(answered.verdict) if answered.verdict else '<span class="none">none</span>'
    return [_text(answered.name), _text(answered.about), verdict, links or _text(answered.left)]


def _verdict(word: str) -> str:
    return f'<span class="verdict {_text(word)}">{_text(word)}</span>'


def _table(caption: str, heads: Iterable[str], rows: Iterable[list[str]], note: str = "") -> str:
    head = "".join(f'<th scope="col">{_text(name)}</th>' for name in heads)
    body = "\n".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    said = f"<p>{_text(note)}</p>" if note else ""
    if not body:
        return f"<h2>{_text(caption)}</h2><p>nothing</p>"
    return (
        f"<h2>{_text(caption)}</h2>{said}<table><thead><tr>{head}</tr></thead>"
        f"<tbody>\n{body}\n</tbody></table>"
    )


def _list(caption: str, lines: Iterable[str]) -> str:
    told = [f"<li>{_text(line)}</li>" for line in lines]
    return f"<h2>{_text(caption)}</h2><ul>{''.join(told) or '<li>none</li>'}</ul>"


def _text(value: str) -> str:
    return html.escape("".join(c if c.isprintable() else " " for c in value), quote=True)
