"""The change history: every table feeds it, each change is named, and none is altered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from psycopg import sql
from psycopg.rows import dict_row

from pgstead.model.address import Capability
from pgstead.model.audit import HistoryPlan
from pgstead.model.design import DatabasePlan
from pgstead.observe.audit import Fed, tables
from pgstead.observe.seals import broken_seals, seals
from pgstead.observe.sql_files import query
from pgstead.prove.finding import Answer, CannotTryError, Finding, answer, timed
from pgstead.prove.promise import promise
from pgstead.prove.sample_rows import RowMaker
from pgstead.prove.session import Session
from pgstead.prove.tables import Catalog
from pgstead.prove.trail import plan_of, ports_of, word
from pgstead.prove.witness import Witness

AUDIT = Capability.AUDIT
_NEEDS = ("audit", "history")
_MINE = """
    SELECT role, tenant, correlation_id, operation, table_name, key, columns, before, after
    FROM pgstead_audit.change WHERE transaction = pg_current_xact_id() ORDER BY id
"""


def _histories(w: Witness) -> Iterator[tuple[DatabasePlan, HistoryPlan]]:
    for history in plan_of(w).histories:
        plan = w.design.database(history.database)
        if plan is not None:
            yield plan, history


def _fed(w: Witness, history: HistoryPlan) -> Answer[tuple[Fed, ...]]:
    with timed() as watch, w.backstage(history.database) as session:
        cursor = session.connection.cursor(row_factory=dict_row)
        rows = cursor.execute(query("change_history", w.design.build.major), {}).fetchall()
        found = tables(rows, history)
    return answer(f"the triggers of {history.database}", f"{len(found)} tables", found, watch)


@promise(
    "AUD-006",
    "every table whose changes are to be kept feeds the change history, whoever writes",
    requirement="AUD-1",
    capability=AUDIT,
    needs=_NEEDS,
)
def every_table_feeds_it(w: Witness) -> Iterator[Finding]:
    for _, history in _histories(w):
        told = _fed(w, history)
        missing = [t.shown for t in told.value if t.wanted and not t.right]
        wanted = sum(t.wanted for t in told.value)
        yield told.shows(
            holds=not missing,
            expected=f"all {wanted} with their triggers, which fire always",
            said=f"not: {', '.join(missing[:8])}" if missing else f"{wanted} tables",
            hint="`pgstead up` gives tables their triggers",
        )


@promise(
    "AUD-007",
    "a change of a row is in the change history with role, application, tenant, correlation id,"
    " operation and changed columns, and without what is secret",
    requirement="AUD-1 AUD-2",
    capability=AUDIT,
    needs=(*_NEEDS, "schema"),
    limit=60,
)
def each_change_is_named(w: Witness) -> Iterator[Finding]:
    for plan, history in _histories(w):
        wanted = [t for t in _fed(w, history).value if t.wanted]
        catalog = Catalog.of(w, plan)
        with w.backstage(plan.name, write=True) as session, session.undone():
            yield from _changed(session, plan, catalog, wanted)


def _changed(
    session: Session, plan: DatabasePlan, catalog: Catalog, wanted: list[Fed]
) -> Iterator[Finding]:
    """Write a row as the application would: the session is the application's for a moment."""
    scope = word()
    maker = RowMaker(catalog, session)
    app = sql.Identifier(plan.app)
    session.ask(sql.SQL("SET LOCAL SESSION AUTHORIZATION {}").format(app))
    session.ask("SELECT set_config('app.correlation_id', %s, true)", [scope])
    for fed in wanted:
        table = catalog.named(fed.table)
        if table is None or {"INSERT", "UPDATE"} & table.withheld:
            continue
        row = maker.row(table.oid)
        column = next((c.name for c in table.columns if c.name == "updated_at"), "")
        change = sql.SQL("UPDATE {t} SET {c} = {c} WHERE {w}")
        name = sql.Identifier(column or table.columns[0].name)
        session.ask(change.format(t=table.identifier, c=name, w=table.where(row)))
        session.ask("RESET SESSION AUTHORIZATION")
        told = session.ask(_MINE)
        yield told.shows(
            holds=_named(told.value, plan.app, scope, fed.table),
            expected=f"an insert and an update of {fed.table} by {plan.app}, for {scope}",
            hint="`pgstead plan` shows a function that is not as it should be",
        )
        return
    raise CannotTryError("the application writes to no table with a history", could_try=False)


def _named(rows: list[tuple[Any, ...]], role: str, scope: str, table: str) -> bool:
    mine = [row for row in rows if row[4] == table]
    both = [row[3] for row in mine] == ["insert", "update"]
    update = mine[-1] if mine else None
    return (
        both
        and update is not None
        and all(row[0] == role and row[2] == scope and row[5] for row in mine)
        and update[6] is not None
    )


@promise(
    "AUD-008",
    "the rows of the change history are those that were sealed",
    requirement="AUD-2",
    capability=AUDIT,
    needs=_NEEDS,
    limit=600,  # every row that is kept is added up again
)
def the_seals_hold(w: Witness) -> Iterator[Finding]:
    told = seals(r for _, r in ports_of(w).trail.records() if r is not None)
    for plan, _ in _histories(w):
        mine = [s for s in told if s.database == plan.name]
        with timed() as watch, w.administrative(plan.name) as connection:
            flaws = list(broken_seals(connection, mine))
        said = "; ".join(f"{f.where}: {f.what}" for f in flaws[:3]) or f"{len(mine)} seals"
        found = answer(f"the seals of {plan.name}", said, flaws, watch)
        yield found.shows(
            holds=not flaws,
            expected="each as it was sealed",
            hint="`pgstead audit verify`; after a restore to an earlier moment rows are missing",
        )


PROMISES = (every_table_feeds_it, each_change_is_named, the_seals_hold)
