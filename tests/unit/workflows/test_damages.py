"""What is damaged still: the newest look at a thing counts; what was repaired is not told."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path, PurePosixPath

import pytest

from pgstead.host.backup_catalog import BackupCatalog
from pgstead.model.backup import Ending, Task
from pgstead.model.integrity import Check, Damage, Remedy
from pgstead.workflows.damages import outstanding
from pgstead.workflows.repair import action_of

INDEX = Damage("shop", Check.INDEXES, "public.orders_at", "order", remedy=Remedy.REINDEX)
ORPHAN = Damage("shop", Check.CONSTRAINTS, "public.lines", "no order", key="[7]")
PAGE = Damage("shop", Check.PAGES, "public.orders", "checksum", block=2, remedy=Remedy.SALVAGE)
EVERY = tuple(Check)


class Silent:
    """A journal that nobody reads."""

    def record(self, event: str, **details: object) -> None:
        """Keep nothing."""


@pytest.fixture
def runs(tmp_path: Path) -> BackupCatalog:
    return BackupCatalog(PurePosixPath(tmp_path, "runs.sqlite"), Silent())


def looked(
    runs: BackupCatalog, *found: Damage, checks: Sequence[Check] = EVERY,
    databases: Collection[str] = ("shop", "desk"), whole: bool = True,
) -> None:  # fmt: skip
    detail: dict[str, object] = {"damages": [asdict(d) for d in found]}
    if whole:
        detail |= {"whole": True, "databases": [*databases], "checks": [*checks]}
    number = runs.begin(Task.INTEGRITY, "test")
    runs.end(number, Ending.FAILED if found or not whole else Ending.DONE, detail=detail)


def repaired(runs: BackupCatalog, damage: Damage, *, done: bool) -> None:
    steps = [{"database": damage.database, "action": action_of(damage), "done": done}]
    runs.end(runs.begin(Task.REPAIR, "test"), Ending.DONE, detail={"steps": steps})


def test_nobody_looked_is_not_nothing_was_found(runs: BackupCatalog) -> None:
    assert outstanding(runs) is None
    looked(runs)
    assert outstanding(runs) == ()


def test_a_look_at_something_else_does_not_make_a_damage_whole(runs: BackupCatalog) -> None:
    looked(runs, INDEX, ORPHAN, PAGE)
    looked(runs, checks=[Check.INDEXES], databases=["desk"])
    looked(runs, checks=[Check.HEAPS])
    assert outstanding(runs) == (INDEX, ORPHAN, PAGE)
    looked(runs, checks=[Check.CONSTRAINTS], databases=["shop"])
    assert outstanding(runs) == (INDEX, PAGE)
    looked(runs, checks=[Check.PAGES], databases=["desk"])  # the disk is everybody's
    assert outstanding(runs) == (INDEX,)
    looked(runs)
    assert outstanding(runs) == ()


def test_a_look_that_was_cut_short_adds_and_takes_nothing_away(runs: BackupCatalog) -> None:
    looked(runs, INDEX)
    looked(runs, ORPHAN, whole=False)
    assert outstanding(runs) == (ORPHAN, INDEX)


def test_what_was_repaired_is_not_damaged_until_it_is_found_anew(runs: BackupCatalog) -> None:
    looked(runs, INDEX, ORPHAN)
    repaired(runs, INDEX, done=False)
    assert outstanding(runs) == (INDEX, ORPHAN)
    repaired(runs, INDEX, done=True)
    assert outstanding(runs) == (ORPHAN,)
    looked(runs, INDEX)
    assert outstanding(runs) == (INDEX,)
