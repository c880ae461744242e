"""What `barman delete` takes away while somebody looks at the repository is no error."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from pgstead.host import backup_info, plaintext, received, wal_reading
from pgstead.host.restored_files import RestoredFiles
from pgstead.host.vault import RepositoryVault
from pgstead.model.backup import SERVER, BackupPlan, State
from tests.unit.host.looked_at import Listing

OLD, NEW = "20260101T000000", "20260102T000000"
FOLDERS = ("0000000100000000", "0000000100000001")
LAST = f"{FOLDERS[1]}{'0' * 7}1"


def delete(repository: Path) -> None:
    """Take away what Barman does with the older of two backups, in its order."""
    server = repository / SERVER
    (server / "meta" / f"{OLD}-backup.info").unlink()
    shutil.rmtree(server / "base" / OLD)
    shutil.rmtree(server / "wals" / FOLDERS[0])
    (server / "wals" / FOLDERS[1] / f"{FOLDERS[1]}{'0' * 8}").unlink()


@pytest.fixture(params=["wals", f"wals/{FOLDERS[0]}", f"wals/{FOLDERS[1]}", "meta", "base"])
def plan(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> BackupPlan:
    """Give a repository whose older backup goes when somebody has seen one of its folders."""
    server = tmp_path / SERVER
    for name in (OLD, NEW):
        (server / "base" / name / "data").mkdir(parents=True)
        (server / "base" / name / "data" / "base.tar").write_bytes(b"rows")
        (server / "meta").mkdir(exist_ok=True)
        at = f"{name[:4]}-{name[4:6]}-{name[6:8]} 00:00:00+00:00"
        (server / "meta" / f"{name}-backup.info").write_text(
            f"status=DONE\nbegin_time={at}\nend_time={at}\n"
            f"begin_wal={LAST if name == NEW else FOLDERS[0] + '0' * 8}\n"
        )
    for folder in FOLDERS:
        (server / "wals" / folder).mkdir(parents=True)
        for number in range(2):
            (server / "wals" / folder / f"{folder}{number:08X}").write_bytes(b"wal")
    for place in ("streaming", "errors"):
        (server / place).mkdir()
    scandir, gone = os.scandir, False

    def seen_and_gone(path: Any = ".") -> Listing:
        nonlocal gone
        with scandir(path) as entries:
            found = list(entries)
        if not gone and Path(path) == server / request.param:
            gone = True
            delete(tmp_path)
        return Listing(found)

    monkeypatch.setattr(os, "scandir", seen_and_gone)
    return BackupPlan(
        repository=str(tmp_path), slot="pgstead", compression="none", encrypted=True,
        passphrase=str(tmp_path / "passphrase"), recipient="pgstead", rate_limit=0, gentle_rate=0,
        schedule="0 3 * * *", incremental="", retention=7, minimum=1, max_age=1.0,
        drill="0 5 * * 0", drill_age=1.0, exports=str(tmp_path / "exports"), export="",
        export_kept=1, export_age=1.0,
    )  # fmt: skip


def listed(plan: BackupPlan) -> bool:
    return backup_info.everything(plan)[-1].name == NEW


def told(plan: BackupPlan) -> bool:
    return backup_info.of(plan, NEW).state is State.DONE


def looked_for_rows(plan: BackupPlan) -> bool:
    return Path(plan.base, NEW, "data", "base.tar") in plaintext.found(
        plan, Path(plan.repository), ()
    )


def followed(plan: BackupPlan) -> bool:
    return LAST in RestoredFiles(plan, cast("Any", None)).names()


def whole(plan: BackupPlan) -> bool:
    return LAST in wal_reading.stored([Path(plan.wals)], backup_info.one(plan, NEW))


def sealed(plan: BackupPlan) -> bool:
    return list(RepositoryVault(plan, cast("Any", None), cast("Any", None))._seals()) == []


def archived(plan: BackupPlan) -> bool:
    folder = Path(plan.streaming)
    for name in (f"{FOLDERS[1]}{'0' * 8}", f"{FOLDERS[1]}{'0' * 7}2"):
        (folder / name).touch()
    Path(plan.wals, f"{SERVER}-xlog.db").write_text(f"{LAST}\t0\n")
    return received.archived_since(plan, folder, 1) == [LAST]


@pytest.mark.parametrize("look", [listed, told, looked_for_rows, followed, whole, sealed, archived])
def test_a_backup_may_go_while_the_repository_is_looked_at(
    plan: BackupPlan, look: Callable[[BackupPlan], bool]
) -> None:
    assert look(plan)
