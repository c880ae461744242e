"""What an erasure does not come to, and why: said rather than promised."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgstead.errors import SteadError
from pgstead.model.backup import BackupPlan, State
from pgstead.model.design import Design
from pgstead.model.personal import Inventory
from pgstead.ports import Ports


@dataclass(frozen=True, slots=True)
class Remains:
    """Where something of the person still is, or may be."""

    where: str
    why: str


def remains(design: Design, ports: Ports, held: Inventory) -> tuple[Remains, ...]:
    """Return what remains of a person who was erased from a database."""
    sealed = [f"{t.shown}.{c.name}" for t in held.tables for c in t.personal if c.kind == "sealed"]
    return tuple(_remains(design, ports, sealed))


def _remains(design: Design, ports: Ports, sealed: list[str]) -> Iterator[Remains]:
    if design.backup is not None:
        yield Remains("backups", _of_backups(design.backup, ports))
        if design.backup.mirror is not None:
            yield Remains("the copy in object storage", "as long as the backups")
    else:
        yield Remains("WAL", "the changes are in segments of the server until it reuses them")
    if sealed:
        yield Remains(
            "encrypted columns in backups",
            f"{', '.join(sealed)}: what needed the person's secret opens nowhere any more; what was"
            " sealed by the keys of the database alone opens until they are retired",
        )
        yield Remains(
            "copies of the secrets",
            "`pgstead keys copy` destroys it in its own; any other from before still holds it",
        )
    if design.audit is not None:
        yield Remains(
            "the audit trail", "who acted, by the key of a row that is gone; no value is in it"
        )
    yield Remains("the list of erasures", "the key of the row, so that no restore brings it back")
    yield Remains("outside", "exports, copies and mails that were made before are not known here")


def _of_backups(plan: BackupPlan, ports: Ports) -> str:
    told = f"every moment of {plan.retention} days can be restored; then they are let go of"
    try:
        found = ports.backup.engine.backups() if ports.backup is not None else ()
    except SteadError as error:
        return f"{told} ({error.message})"
    done = [b for b in found if b.state is State.DONE]
    return f"in {len(done)} base backups: {told}; `pgstead restore --in-place` erases again"
