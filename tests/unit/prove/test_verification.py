"""BAK-003 a moment after a backup: what is under way is waited for, and nothing else is."""

from __future__ import annotations

import subprocess
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any

import pytest

from pgstead.host.backup_catalog import BackupCatalog
from pgstead.host.journal import JsonJournal
from pgstead.model.backup import Ending, State, StoredBackup, Task
from pgstead.prove import backup as promises
from pgstead.prove.finding import Answer, Verdict
from pgstead.prove.witness import Witness

NAME = "20261122T120000"


def _newest(age: float) -> StoredBackup:
    ended = datetime.now(UTC) - timedelta(seconds=age)
    where = ("0/2000028", "0/2000100", "000000010000000000000002", "000000010000000000000002")
    return StoredBackup(
        NAME,
        State.DONE,
        "full",
        "",
        ended,
        ended,
        1,
        1,
        1,
        *where,
        1,
        "7",
        18,
        2**24,
        encrypted=True,
    )


def _catalog(place: Path) -> BackupCatalog:
    inside = PurePosixPath(place)
    return BackupCatalog(inside / "catalog", JsonJournal(inside / "journal"))


def _verdict(catalog: BackupCatalog, age: float = 3600) -> Verdict:
    """Try the promise with a real catalog; only the list of backups is given."""
    listed = Answer("barman list-backups", NAME, (_newest(age),), 0.0, "")
    ports = SimpleNamespace(ports=SimpleNamespace(backup=SimpleNamespace(catalog=catalog)))
    w: Any = SimpleNamespace(access=ports, notes={"backups": listed})
    w.once = lambda name, make: Witness.once(w, name, make)
    w.wait_until = lambda holds, seconds: Witness.wait_until(w, holds, seconds)
    (finding,) = promises.the_newest_is_verified.body(w)
    return finding.verdict


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promises, "_VERIFIED", 0.3)


def test_a_verification_that_ends_meanwhile_keeps_the_promise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(promises, "_VERIFIED", 30.0)
    catalog = _catalog(tmp_path)
    number = catalog.begin(Task.VERIFY, "schedule", NAME)
    ending = threading.Timer(0.1, catalog.end, (number, Ending.DONE), {"backup": NAME})
    ending.start()
    assert _verdict(catalog) is Verdict.KEPT
    ending.join()


def test_one_that_fails_meanwhile_breaks_it(tmp_path: Path) -> None:
    catalog = _catalog(tmp_path)
    number = catalog.begin(Task.VERIFY, "schedule", NAME)
    catalog.end(number, Ending.FAILED, backup=NAME, error="a page is damaged")
    assert _verdict(catalog) is Verdict.BROKEN


def test_one_that_takes_longer_leaves_it_unproven(tmp_path: Path) -> None:
    catalog = _catalog(tmp_path)
    catalog.begin(Task.VERIFY, "schedule", NAME)
    assert _verdict(catalog) is Verdict.UNPROVEN


def test_one_whose_process_is_gone_is_not_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = _catalog(tmp_path)
    with subprocess.Popen(["sleep", "60"]) as other, monkeypatch.context() as context:
        context.setattr("os.getpid", lambda: other.pid)
        catalog.begin(Task.VERIFY, "schedule", NAME)
        other.kill()
    assert _verdict(catalog) is Verdict.BROKEN


@pytest.mark.parametrize(("age", "verdict"), [(1, Verdict.UNPROVEN), (60, Verdict.BROKEN)])
def test_a_verification_has_a_moment_to_begin(tmp_path: Path, age: float, verdict: Verdict) -> None:
    catalog = _catalog(tmp_path)
    catalog.begin(Task.VERIFY, "schedule", "20261121T120000")
    assert _verdict(catalog, age) is verdict
