"""What was found damaged and was neither found whole nor repaired since: as the runs tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any, cast

from pgstead.model.backup import Ending, Run, Task
from pgstead.model.integrity import Check, Damage
from pgstead.ports.backup import BackupCatalog
from pgstead.workflows.repair import action_of, kept

_LOOKED_BACK = 100  # runs: who looks at one thing alone says nothing of the others


def outstanding(catalog: BackupCatalog) -> tuple[Damage, ...] | None:
    """Return the damages that are there as far as is known; None where nobody ever looked.

    What is known of a database and a kind of check is what the last run says that looked at it.
    """
    looks = catalog.runs(Task.INTEGRITY, limit=_LOOKED_BACK)
    if not any(whole(run) for run in looks):
        return None
    repairs = catalog.runs(Task.REPAIR, limit=_LOOKED_BACK)
    runs = sorted((*looks, *repairs), key=lambda run: run.number, reverse=True)
    return tuple(_outstanding(runs))


def whole(run: Run) -> bool:
    """Say whether a check came to its end: one that failed amid it has not seen the rest."""
    return run.ending is Ending.DONE or bool(run.detail.get("whole"))


def _outstanding(runs: Iterable[Run]) -> Iterator[Damage]:
    known: set[tuple[str, Check]] = set()
    repaired: set[tuple[str, str]] = set()
    for run in runs:
        if run.task is Task.REPAIR:
            repaired |= set(_repaired(run))
            continue
        for damage in kept(run):
            mended = (damage.database, action_of(damage)) in repaired
            if _place(damage.database, damage.check) not in known and not mended:
                yield damage
        if whole(run):
            known |= set(_looked_at(run))


def _repaired(run: Run) -> Iterator[tuple[str, str]]:
    for step in cast("list[dict[str, Any]]", run.detail.get("steps", [])):
        if step["done"]:
            yield step["database"], step["action"]


def _looked_at(run: Run) -> Iterator[tuple[str, Check]]:
    databases = cast("list[str]", run.detail.get("databases", []))
    checks = cast("list[str]", run.detail.get("checks", []))
    for database, check in product(databases, map(Check, checks)):
        yield _place(database, check)


def _place(database: str, check: Check) -> tuple[str, Check]:
    """Return what is looked at together: pages are the whole server's, whatever was asked for."""
    return ("" if check is Check.PAGES else database), check
