"""`pgstead migrate history [DB...]`."""

from __future__ import annotations

import click

from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.invocation import invocation_of
from pgstead.cli.migrating import History, chosen
from pgstead.errors import UsageError


@new_command(
    "history",
    ("pgstead migrate history shop", "each revision: applied when, by whom, how long it took"),
    ("pgstead migrate history shop --ledger", "every step that was taken, also back"),
    ("pgstead migrate history shop --show 5d1c7a > lost.py", "the text as it was applied"),
)
@click.argument("databases", nargs=-1, metavar="[DB]...")
@click.option("--ledger", is_flag=True, help="All lines of the ledger, oldest first.")
@click.option("--show", metavar="REV", help="Print the text of a revision as it was applied.")
def command(databases: tuple[str, ...], ledger: bool, show: str | None) -> None:
    """Say which revisions there are, and when, by whom and how each was applied.

    A database without revisions has an empty history. What was applied before pgstead kept a
    ledger has no time.
    """
    invocation = invocation_of()
    console = Console(invocation)
    histories = [History(entry, invocation) for entry in chosen(databases, invocation)]
    if show is not None:
        console.line(_text(histories, show))
        return
    if invocation.json:
        console.data({h.entry.name: _lines(h) if ledger else _plain(h) for h in histories})
        return
    for history in histories:
        console.line(f"{history.entry.name}:")
        console.table(_ledger_rows(history) if ledger else _rows(history), indent="  ")


def _text(histories: list[History], show: str) -> str:
    if len(histories) != 1:
        raise UsageError("--show needs to know of which database", hint="name one: DB --show REV")
    (history,) = histories
    name = history.named(show)
    found = [line.source for line in history.found.lines if line.revision == name]
    if not found or not found[-1]:
        raise UsageError(
            f"the ledger has no text of {name}", hint="it was applied before there was a ledger"
        )
    return found[-1].rstrip("\n")


def _plain(history: History) -> list[dict[str, object]]:
    from pgstead.plan import history as planned

    done = planned.applied(history.files, history.found.heads)
    last = {line.revision: line for line in history.found.lines}
    rows: list[dict[str, object]] = []
    for file in planned.ordered(history.files):
        line = last.get(file.name)
        rows.append(
            {
                "revision": file.name,
                "parents": file.parents,
                "message": file.message,
                "applied": file.name in done,
                "at": line.at.isoformat() if line and file.name in done else None,
                "by": line.person if line and file.name in done else None,
                "seconds": line.seconds if line and file.name in done else None,
                "reason": line.reason if line and file.name in done else None,
            }
        )
    return rows


def _rows(history: History) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for row in _plain(history):
        state = "applied" if row["applied"] else "pending"
        when = f"{str(row['at'])[:16]} by {row['by']}" if row["at"] else ""
        why = str(row["reason"] or "")
        rows.append((str(row["revision"]), state, when, str(row["message"]), why))
    return rows


def _lines(history: History) -> list[dict[str, object]]:
    return [
        {
            "revision": line.revision,
            "direction": line.direction,
            "at": line.at.isoformat(),
            "seconds": line.seconds,
            "tries": line.tries,
            "role": line.role,
            "by": line.person,
            "reason": line.reason,
            "digest": line.digest,
        }
        for line in history.found.lines
    ]


def _ledger_rows(history: History) -> list[tuple[str, ...]]:
    return [
        (
            line.at.isoformat()[:19],
            line.direction,
            line.revision,
            f"{line.seconds:.2f} s",
            f"{line.tries} tries" if line.tries > 1 else "",
            line.person,
            line.reason or "",
        )
        for line in history.found.lines
    ]
