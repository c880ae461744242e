"""`pgstead migrate rehearse DB`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.invocation import invocation_of
from pgstead.cli.migrate_run import refuse_broken
from pgstead.cli.migrating import History, chosen
from pgstead.errors import ExitStatus, NotRunningError, UsageError

if TYPE_CHECKING:
    from pgstead.cli.rehearsing import Asked
    from pgstead.cli.wiring import Wired
    from pgstead.model.history import RevisionFile
    from pgstead.model.rehearsal import Passed, Showed


@new_command(
    "rehearse",
    ("pgstead migrate rehearse shop", "what is pending, on a copy of all data"),
    ("pgstead migrate rehearse shop --longest-lock 0.5", "nobody may wait longer than this"),
    ("pgstead migrate rehearse shop --traffic day.sql", "with statements of yours beside it"),
    ("pgstead migrate rehearse shop --from base", "the whole history, from nothing"),
    exits=(0, 1, 2, 3),
    exit_0="it went well",
    exit_1="it could not be rehearsed",
    exit_3="something has to be looked at first",
)
@click.argument("database", metavar="DB")
@click.option("--from", "start", metavar="REV", help="Take the copy down to this revision first.")
@click.option("--to", metavar="REV", help="Stop behind this revision. [default: the head]")
@click.option(
    "--clients",
    type=click.IntRange(0, 50),
    default=4,
    show_default=True,
    help="Who reads and writes the tables meanwhile.",
)
@click.option(
    "--traffic",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="SQL statements that the clients repeat, instead of synthetic ones.",
)
@click.option(
    "--longest-lock",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    help="How long others may be locked out of a table that has rows. [default: timeouts.lock of"
    " the manifest, after which their statements fail]",
)
def command(
    database: str,
    start: str | None,
    to: str | None,
    clients: int,
    traffic: Path | None,
    longest_lock: float | None,
) -> int:
    """Try what is pending on a copy of the data, with others reading and writing beside it.

    Told are, per statement, the locks and how long they were held, who waited how long, whether a
    table was rewritten, WAL and disk; then the copy goes down and up again, schema and rows are
    compared, and it is said what a downgrade loses. The running cluster is copied as it is, its
    files shared with the copy where the file system can; a server of its own runs on the copy,
    and nothing is left of it.
    """
    from pgstead.cli.rehearsing import rehearse
    from pgstead.cli.wiring import wire
    from pgstead.plan.rehearsing import lines, problems

    invocation = invocation_of()
    console = Console(invocation)
    history = History(chosen([database], invocation)[0], invocation)
    refuse_broken(history, several="--to" if to is None else "")
    asked = _asked(history, start, to, clients, traffic)
    if not asked.names:
        if invocation.json:
            console.data({"database": database, "revisions": []})
        else:
            console.line(f"{database}: nothing to rehearse")
        return ExitStatus.DONE
    wired = wire(invocation.manifest, console)
    if not wired.ports.sql.answers():
        raise NotRunningError("the server does not run", hint="`pgstead up` starts it")
    showed = rehearse(asked, wired, console)
    limit = longest_lock if longest_lock is not None else history.entry.timeouts.lock or 5.0
    found = problems(showed, limit)
    report = _keep(wired, history, showed, found, [*lines(showed, found)])
    if invocation.json:
        console.data({"problems": found, "report": report, **_plain(showed)})
    else:
        for line in lines(showed, found):
            console.line(line)
        console.say(f"the report: {report}")
    return ExitStatus.DRIFT if found else ExitStatus.DONE


def _asked(
    history: History, start: str | None, to: str | None, clients: int, traffic: Path | None
) -> Asked:
    from pgstead.cli.rehearsal_traffic import of_file
    from pgstead.cli.rehearsing import Asked

    if traffic is not None:
        of_file(traffic)  # before anything takes long
    target = "heads" if to in (None, "heads") else history.named(str(to))
    begin = "" if start is None else "base" if start == "base" else history.named(start)
    names = tuple(file.name for file in _meant(history, begin, target))
    return Asked(history, target, names, begin, clients, traffic)


def _meant(history: History, start: str, target: str) -> list[RevisionFile]:
    """Return the revisions that are run, in order."""
    from pgstead.plan import history as planned

    at = history.found.heads if not start else () if start == "base" else (start,)
    if start not in ("", "base") and start not in planned.applied(
        history.files, history.found.heads
    ):
        raise UsageError(
            f"{history.entry.name} is not beyond {start}",
            hint="--from takes the copy down; without it, what is pending is rehearsed",
        )
    done = planned.applied(history.files, at)
    wanted = planned.applied(
        history.files, planned.heads(history.files) if target == "heads" else (target,)
    )
    return [f for f in planned.ordered(history.files) if f.name in wanted - done]


def _keep(
    wired: Wired, history: History, showed: Showed, found: tuple[str, ...], text: list[str]
) -> str:
    """Write the report, and what the gate for production asks for; return the report's path."""
    from pgstead.host import clock, rehearsals
    from pgstead.model.rehearsal import Rehearsed

    layout, files = wired.design.layout, wired.ports.files
    path = layout.rehearsals / f"{showed.database}.txt"
    at = clock.stamp()
    files.write(path, "\n".join([f"# {at}", *text]) + "\n", mode=0o600)
    digests = {file.name: file.digest for file in history.files if file.name in showed.revisions}
    kept = Rehearsed(showed.database, showed.start, digests, at, found, str(path))
    rehearsals.keep(layout, files, kept)
    return str(path)


def _plain(showed: Showed) -> dict[str, object]:
    """Return what programs are told; times count from the first statement."""
    from pgstead.cli.console import plain

    begin = min((ran.began for passed in showed.passes for ran in passed.statements), default=0.0)
    told = plain(replace(showed, passes=tuple(_since(p, begin) for p in showed.passes)))
    return cast("dict[str, object]", told)


def _since(passed: Passed, begin: float) -> Passed:
    statements = [
        replace(
            ran,
            began=ran.began - begin,
            locks=tuple(replace(lock, began=lock.began - begin) for lock in ran.locks),
        )
        for ran in passed.statements
    ]
    return replace(passed, statements=tuple(statements))
