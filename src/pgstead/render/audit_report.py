"""The report of an audit as a page that needs nothing but itself."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator

from pgstead.model.audit_report import AuditReport, Checked, Tried

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem;
       color: #1b1b1b; background: #fff }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 }
th, td { text-align: left; vertical-align: top; padding: .4rem .6rem;
         border-bottom: 1px solid #ccc }
code { overflow-wrap: anywhere }
.kept { color: #0a5c2b } .broken { color: #a3001b; font-weight: bold } .unproven { color: #6b4a00 }
@media print { body { margin: 0; max-width: none } }
"""
_HEADS = ("", "question", "verdict", "CIS", "specification", "what was tried, and what came back")


def page(report: AuditReport) -> str:
    """Return the whole page; whatever comes from a server is escaped."""
    counts = ", ".join(f"{n} {verdict}" for verdict, n in report.counts.items())
    head = report.trail or "no audit trail is kept"
    title = _text(f"Audit of {report.stead}")
    parts = [
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>',
        f"<h1>{title}</h1>",
        f"<p>{_text(report.environment)}, {_text(report.began)}, {report.seconds:.0f} s:",
        f"<strong>{_text(counts)}</strong>.",
        "What could not be tried is unproven, and never a pass.</p>",
        f"<p>Audit trail: <code>{_text(head)}</code></p>",
        _list("Versions", (f"{name} {found}" for name, found in report.versions.items())),
        _list("Weakened by signature", report.waivers),
        _list("Known weaknesses", report.notices),
        _table("Questions", _HEADS, (_row(check) for check in report.checks)),
        _table("CIS controls", ("control", "verdict"), _controls(report)),
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _row(check: Checked) -> list[str]:
    tried = "".join(_tried(t) for t in check.tried)
    gap = f"<p>not tried: {_text(check.gap)}</p>" if check.gap else ""
    return [
        str(check.number), _text(check.asks), _verdict(check.verdict),
        _text(", ".join(check.controls)), _text(", ".join(check.sources)), tried + gap,
    ]  # fmt: skip


def _tried(tried: Tried) -> str:
    reason = f"<br>{_text(tried.reason)}" if tried.reason else ""
    shown = f"{_text(tried.code)} {_verdict(tried.verdict)}: {_text(tried.promise)}"
    return (
        f"<details><summary>{shown} ({tried.attempts} attempts)</summary>"
        f"<code>{_text(tried.evidence)}</code>{reason}</details>"
    )


def _controls(report: AuditReport) -> Iterator[list[str]]:
    return ([_text(control), _verdict(found)] for control, found in report.controls.items())


def _verdict(word: str) -> str:
    return f'<span class="{_text(word)}">{_text(word)}</span>'


def _table(caption: str, heads: Iterable[str], rows: Iterable[list[str]]) -> str:
    head = "".join(f'<th scope="col">{_text(name)}</th>' for name in heads)
    body = "\n".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f"<h2>{_text(caption)}</h2><table><thead><tr>{head}</tr></thead>"
        f"<tbody>\n{body}\n</tbody></table>"
    )


def _list(caption: str, lines: Iterable[str]) -> str:
    told = [f"<li>{_text(line)}</li>" for line in lines]
    return f"<h2>{_text(caption)}</h2><ul>{''.join(told) or '<li>none</li>'}</ul>"


def _text(value: str) -> str:
    return html.escape("".join(c if c.isprintable() else " " for c in value), quote=True)
