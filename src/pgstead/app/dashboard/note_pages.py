"""Pages of what the agent has read for us: backups and drills, proofs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pgstead.app.dashboard import figures
from pgstead.app.dashboard.markup import Child, Html, table, tag
from pgstead.app.dashboard.page import Place, card, page, state, unknown
from pgstead.app.telemetry.samples import Note

_NEVER = "the agent has not looked yet"
_RUNS = ("begun", "what", "ended", "took", "base backup", "why it ran", "error")
_REPORTS = ("begun", "broken", "unproven", "kept", "took")
_OPEN = ("promise", "verdict", "what", "why", "what to do")


def backups_page(place: Place, note: Note | None, why: str) -> Html:
    """Return the page of backups and drills."""
    if note is None:
        return page(place, "backups", unknown(why or _NEVER))
    runs: Sequence[Mapping[str, Any]] = note.body["runs"]
    if not runs:
        return page(place, "backups", tag("p", note.body["reason"] or "nothing was done yet"))
    cards = tag(
        "div",
        _last(runs, "backup", "Last base backup", note.at),
        _last(runs, "drill", "Last proven restore", note.at),
        _last(runs, "verify", "Last verification", note.at),
        class_="cards",
    )
    return page(place, "backups", cards, _looked(note), table("Runs", _RUNS, map(_run, runs)))


def _last(runs: Sequence[Mapping[str, Any]], task: str, title: str, now: float) -> Html:
    done = [r for r in runs if r["task"] == task and r["ending"] == "done"]
    if not done:
        return card(title, figures.UNKNOWN, f"none of the last {len(runs)} runs was one")
    newest = done[0]
    took = f"recovered in {newest['rto']} s" if newest["rto"] is not None else None
    ago = figures.span(max(0.0, now - newest["begun"] - (newest["seconds"] or 0)))
    return card(title, f"{ago} ago", newest["backup"] or None, took)


def _run(run: Mapping[str, Any]) -> Sequence[Child]:
    return (
        figures.moment(run["begun"]),
        run["task"],
        state(run["ending"]),
        "" if run["seconds"] is None else figures.span(run["seconds"]),
        run["backup"],
        run["cause"],
        run["error"],
    )


def proofs_page(place: Place, note: Note | None, why: str) -> Html:
    """Return the page of what `pgstead prove` found."""
    if note is None:
        return page(place, "proofs", unknown(why or _NEVER))
    reports: Sequence[Mapping[str, Any]] = note.body["reports"]
    if not reports:
        return page(place, "proofs", unknown(note.body["reason"]))
    newest = reports[0]
    counts = newest["counts"]
    cards = tag(
        "div",
        *(card(word, str(counts.get(word, 0))) for word in ("kept", "broken", "unproven")),
        class_="cards",
    )
    left = newest["left_out"]
    return page(
        place,
        "proofs",
        cards,
        _looked(note),
        tag("h3", f"Not kept, as tried at {newest['began']}"),
        table("Promises that are not kept", _OPEN, map(_promise, newest["open"]))
        if newest["open"]
        else tag("p", "Every promise was kept."),
        tag("p", f"and {left} more, in the report itself", class_="small") if left else None,
        tag("h3", "Reports"),
        table("Reports, newest first", _REPORTS, map(_report, reports)),
    )


def _promise(told: Mapping[str, Any]) -> Sequence[Child]:
    return (told["code"], state(told["verdict"]), told["promise"], told["reason"], told["hint"])


def _report(told: Mapping[str, Any]) -> Sequence[Child]:
    counts = told["counts"]
    numbers = (str(counts.get(word, 0)) for word in ("broken", "unproven", "kept"))
    return (told["began"], *numbers, figures.span(told["seconds"]))


def _looked(note: Note) -> Html:
    return tag("p", f"As the agent saw it at {figures.moment(note.at)}.", class_="small")
