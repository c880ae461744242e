"""Personal data: classified, reached by an erasure, and gone for good where it was erased."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pgstead.model.address import Capability
from pgstead.model.design import DatabasePlan
from pgstead.model.erasure import Erasure
from pgstead.model.personal import Inventory
from pgstead.observe.personal import inventory, standing
from pgstead.prove import persons
from pgstead.prove.finding import Answer, CannotTryError, Finding, answer, timed
from pgstead.prove.promise import promise
from pgstead.prove.witness import Witness

ENCRYPTION = Capability.ENCRYPTION
_SHOWN = 8


def _held(w: Witness, plan: DatabasePlan) -> Answer[Inventory]:
    with timed() as watch:
        found = persons.held(w, plan.name)
    columns = sum(len(t.columns) for t in found.tables)
    return answer(f"the comments of {plan.name}'s columns", f"{columns} columns", found, watch)


def _classified(w: Witness) -> Iterator[Answer[Inventory]]:
    """Yield what the databases hold, of those that have begun to say it."""
    told = [_held(w, plan) for plan in w.migrated]
    begun = [t for t in told if any(c.mark for table in t.value.tables for c in table.columns)]
    if not begun:
        raise CannotTryError("no column says what it holds of persons", could_try=False)
    yield from begun


@promise(
    "PII-001",
    "every column says whether it is public, internal, personal or sensitive, where one does",
    requirement="ENC-5",
    capability=ENCRYPTION,
    needs=("schema",),
)
def every_column_is_classified(w: Witness) -> Iterator[Finding]:
    for told in _classified(w):
        missing = told.value.unclassified
        yield told.shows(
            holds=not missing,
            expected="a class at the end of each comment",
            said=f"not: {', '.join(missing[:_SHOWN])}" if missing else told.text,
            hint="name it in the Classified(...) of its model, and migrate",
        )


@promise(
    "PII-002",
    "an erasure comes to every table with personal columns",
    requirement="ENC-6",
    capability=ENCRYPTION,
    needs=("schema",),
)
def every_personal_table_is_reached(w: Witness) -> Iterator[Finding]:
    for told in _classified(w):
        missing = [table.shown for table in told.value.unreached]
        yield told.shows(
            holds=not missing,
            expected="a way by foreign keys from persons to each",
            said=f"not: {', '.join(missing[:_SHOWN])}" if missing else told.text,
            hint='Classified(owned="...") or authored="..." says how rows belong to a person',
        )


@promise(
    "PII-003",
    "nobody who was erased is back",
    requirement="ENC-6",
    capability=ENCRYPTION,
    needs=("database",),
)
def nobody_is_back(w: Witness) -> Iterator[Finding]:
    told = persons.erased(w)
    if not told:
        raise CannotTryError("nobody was erased here", could_try=False)
    for database in dict.fromkeys(e.database for e in told):
        mine = [e for e in told if e.database == database]
        with timed() as watch:
            back = [e.id for e in mine if _back(w, e)]
        found = answer(f"the rows of {len(mine)} erased persons", f"{len(back)} back", back, watch)
        yield found.shows(
            holds=not back,
            expected="no row, or nothing personal in it",
            said=f"{len(back)} are back: {', '.join(back[:_SHOWN])}" if back else found.text,
            hint="`pgstead pii replay` erases them again",
        )


def _back(w: Witness, erasure: Erasure) -> bool:
    with w.administrative(erasure.database) as connection:
        held = inventory(connection, erasure.database, w.design.build.major)
        table = next((t for t in held.tables if t.full == erasure.table), None)
        return table is not None and standing(connection, table, erasure.key)


@promise(
    "PII-004",
    "who was erased, and the key of masked copies, nobody but the owner of the state can read",
    requirement="ENC-6",
    capability=ENCRYPTION,
)
def nobody_reads_the_list(w: Witness) -> Iterator[Finding]:
    place = Path(w.design.layout.personal)
    if not place.is_dir():
        raise CannotTryError("nobody was erased, and nothing masked here", could_try=False)
    with timed() as watch:
        modes = {path: path.stat().st_mode & 0o777 for path in (place, *sorted(place.iterdir()))}
        opened = [f"{path.name} {mode:04o}" for path, mode in modes.items() if mode & 0o077]
    told = answer(f"ls -l {place}", f"{len(modes)} of mode 0600 and 0700", opened, watch)
    yield told.shows(
        holds=not opened,
        expected="modes without anything for others",
        said=", ".join(opened) or told.text,
        hint=f"chmod -R go= {place}",
    )


PROMISES = (every_column_is_classified, every_personal_table_is_reached, nobody_is_back,
            nobody_reads_the_list)  # fmt: skip
