"""`pgstead migrate reconcile DB REV --reason ...`."""

from __future__ import annotations

import click

from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.invocation import invocation_of
from pgstead.cli.migrate_check import print_drifts
from pgstead.cli.migrate_run import refuse_broken
from pgstead.cli.migrating import History, chosen
from pgstead.errors import NotAllowedError


@new_command(
    "reconcile",
    ("pgstead migrate reconcile shop 5d1c7a --reason 'restored'", "it is at that revision"),
    exits=(0, 1, 2, 3),
    exit_3="the schema is not that of the revision",
)
@click.argument("database", metavar="DB")
@click.argument("revision", metavar="REV")
@click.option("--reason", required=True, help="Why; kept in the ledger.")
@click.option("--despite-drift", is_flag=True, help="Also where the schema differs; logged too.")
def command(database: str, revision: str, reason: str, despite_drift: bool) -> None:
    """Say at which revision a database really is, after its schema was compared.

    For a history that disagrees: a revision that was edited, deleted or stamped by somebody. The
    schema has to be the one that the migrations up to REV make. Nothing but the revision and the
    ledger is changed; the ledger says who did it, and why.
    """
    from pgstead.cli.migrate_reference import references

    invocation = invocation_of()
    console = Console(invocation)
    history = History(chosen([database], invocation)[0], invocation)
    refuse_broken(history, several="")
    target = history.named(revision)
    with references([history], console) as (made,):
        made.upgrade([target])
        drifts = made.drifts(history)
    if drifts and not despite_drift:
        if not invocation.json:
            print_drifts(console, drifts)
        raise NotAllowedError(
            f"{database} is not what the migrations up to {target} make:"
            f" {', '.join(str(drift.object) for drift in drifts[:5])}",
            hint="undo these first, name another revision, or --despite-drift",
        )
    skipped = f" (despite {len(drifts)} difference(s))" if drifts else ""
    _write(history, target, reason + skipped)
    if invocation.json:
        console.data({database: {"at": target, "despite": drifts}})
    else:
        console.line(f"{database}: is at {target} now{skipped}")


def _write(history: History, target: str, reason: str) -> None:
    """Change revision and ledger in one transaction, while nobody migrates."""
    from pgstead.app import migration_ledger as ledger
    from pgstead.app import migration_lock
    from pgstead.app.migration_statements import driver_of
    from pgstead.plan import history as planned

    done = planned.applied(history.files, [target])
    with (
        history.engine() as engine,
        migration_lock.alone(engine),
        migration_lock.connected(engine) as connection,
    ):
        driver = driver_of(connection)
        driver.rollback()
        if ledger.prepare(driver):
            entries = [
                ledger.Entry(file.name, "reconcile", file.source, reason=reason)
                for file in planned.ordered(history.files)
                if file.name in done
            ]
            ledger.write(driver, entries)
            driver.execute("DELETE FROM pgstead_migrations.unfinished")
        driver.execute("DELETE FROM public.alembic_version")
        driver.execute("INSERT INTO public.alembic_version VALUES (%s)", [target])
        driver.commit()
