"""`pgstead migrate up [DB...]`."""

from __future__ import annotations

from dataclasses import dataclass

import click

from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.gate import MigrationGate, Wanted
from pgstead.cli.invocation import invocation_of
from pgstead.cli.migrate_run import Way, nothing_done, print_done, refuse_broken, run
from pgstead.cli.migrating import History, chosen
from pgstead.errors import UsageError


@new_command(
    "up",
    ("pgstead migrate up", "all that is pending, in all databases"),
    ("pgstead migrate up shop --to 5d1c7a", "up to a revision"),
    ("pgstead migrate up shop --reason 'ticket 812'", "the ledger keeps why"),
    ("pgstead migrate up shop --override 'site is down'", "production, all the same"),
    exits=(0, 1, 2, 3),
    exit_3="production: a condition is not met; nothing was done",
)
@click.argument("databases", nargs=-1, metavar="[DB]...")
@click.option("--to", metavar="REV", help="Stop behind this revision. [default: the head]")
@click.option("--reason", help="Why; kept in the ledger.")
@click.option(
    "--override",
    metavar="REASON",
    help="Production: although a condition is not met. The ledger keeps what was skipped, and why.",
)
def command(
    databases: tuple[str, ...], to: str | None, reason: str | None, override: str | None
) -> None:
    """Apply what is pending, one transaction per revision.

    A lock that is not to be had in time is given up and tried again, so that nobody waits behind
    a migration; who is in the way is told. Run it again after a failure, whatever it was: what is
    in stays in, and nothing is done twice. Several at once are safe: one works, the others wait.

    In production (`environment` in the manifest) what runs has to be linted without an error and
    rehearsed as it is, there is a verified base backup, and a restore point is set right before.
    """
    invocation = invocation_of()
    console = Console(invocation)
    entries = chosen(databases, invocation)
    if to is not None and len(entries) != 1:
        raise UsageError("--to needs to know of which database", hint="name one: DB --to REV")
    gate = MigrationGate(invocation, console, override)
    wanted = [_wanted(History(entry, invocation), to) for entry in entries]
    gate.examine([one.gated for one in wanted if one is not None])
    done: dict[str, object] = {}
    for entry, one in zip(entries, wanted, strict=True):
        if one is None:
            done[entry.name] = nothing_done(console, entry.name)
            continue
        passage = gate.enter(one.gated)
        told = " ".join(filter(None, (reason, passage.remark))) or None
        report = run(one.gated.history, Way.UP, one.target, console, told)
        done[entry.name] = print_done(console, entry.name, report, passage)
    if invocation.json:
        console.data(done)


@dataclass(frozen=True, slots=True)
class _Upgrade:
    """What one database is to get."""

    gated: Wanted
    target: str


def _wanted(history: History, to: str | None) -> _Upgrade | None:
    """Return what is to run, None where nothing is."""
    if to is None and history.at_its_heads:
        return None
    refuse_broken(history, several="--to" if to is None else "")
    if to is None or to == "heads":
        return _Upgrade(Wanted(history, history.pending), "heads")
    from pgstead.plan import history as planned

    target = history.named(to)
    reached = planned.applied(history.files, [target])
    files = tuple(file for file in history.pending if file.name in reached)
    return _Upgrade(Wanted(history, files), target)
