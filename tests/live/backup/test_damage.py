"""Damage to what backups are made of: each kind is found, and named, before anything is trusted.

The repository is copied and the copy damaged, as it lies there: compressed and encrypted. What
a verification takes longest for is a soak of the same table.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from pgstead.errors import SteadError
from pgstead.model.backup import Ending, Run, Target, Task
from pgstead.workflows import restore, verification
from tests.fix_stead import LiveStead, stead_in
from tests.live.backup.repository import Repository, copied, of_stead


def wait(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.1)


def rows(stead: LiveStead, statement: str, database: str = "postgres") -> list[dict[str, object]]:
    with stead.superuser(database) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="module")
def stead() -> Iterator[LiveStead]:
    """A stead with a base backup, WAL after it, a second timeline, and more WAL."""
    with stead_in(backup="true") as made:
        made.run("up")
        ports = made.wired.ports.backup
        assert ports is not None
        wait(lambda: any(r.ending is Ending.DONE for r in ports.catalog.runs(Task.VERIFY)))
        rows(made, "CREATE TABLE more AS SELECT n FROM generate_series(1, 20000) AS n")
        rows(made, "SELECT pg_switch_wal()")
        rows(made, "INSERT INTO more SELECT n FROM generate_series(1, 1000) AS n")
        turn_of_timeline(made)
        for _ in range(3):
            rows(made, "INSERT INTO more SELECT n FROM generate_series(1, 1000) AS n")
            rows(made, "SELECT pg_switch_wal()")
        wait(lambda: len(of_stead(made).segments) >= 5)
        yield made


def turn_of_timeline(stead: LiveStead) -> None:
    """Have the server end recovery, as it does after a restore: on a timeline of its own."""
    stead.run("down")
    data = Path(stead.wired.design.layout.data)
    auto, signal = data / "postgresql.auto.conf", data / "recovery.signal"
    before = auto.read_text()
    auto.write_text(before + "\nrestore_command = 'false'\n")
    signal.touch()
    owner = auto.stat()
    os.chown(signal, owner.st_uid, owner.st_gid)
    stead.run("up")
    auto.write_text(before)


@pytest.fixture(scope="module")
def whole(stead: LiveStead) -> Path:
    """A copy of all of it that stays as it is."""
    return Path(copied(stead, stead.directory / "whole").design.layout.backup)


@pytest.fixture
def repository(stead: LiveStead, whole: Path) -> Iterator[Repository]:
    place = stead.directory / "damaged"
    yield copied(stead, place, whole)
    shutil.rmtree(place)


def verified(repository: Repository) -> None:
    verification.verify(repository.ports, "test", repository.name)


def restored(repository: Repository, name: str, place: Path) -> None:
    recipe = restore.recipe(repository.ports, Target(), place, name=name)
    restore.restore(repository.ports, recipe, place)


@dataclass(frozen=True)
class Damage:
    """What is done, and what is said of it."""

    do: Callable[[Repository], None]
    says: str  # a regular expression
    soak: bool = False  # it takes a whole layout to find

    @property
    def name(self) -> str:
        """What is done, in words."""
        return self.do.__name__.replace("_", " ")


def flip(path: Path, place: int) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        (before,) = file.read(1)
        file.seek(place)
        file.write(bytes([before ^ 0xFF]))


def forgotten(repository: Repository) -> None:
    """Have a catalog that knows nothing, as on another machine."""
    path = repository.design.layout.backup_catalog
    with closing(sqlite3.connect(path, isolation_level=None)) as opened:
        opened.execute("DELETE FROM run")


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert re.search(old, text)
    path.write_text(re.sub(old, new, text, count=1))


# -- base backups -------------------------------------------------------------------------------


def base_backup_cut_off(r: Repository) -> None:
    cut(r.tar)


def base_backup_flipped(r: Repository) -> None:
    flip(r.tar, r.tar.stat().st_size // 2)


def base_backup_missing(r: Repository) -> None:
    r.tar.unlink()


def base_backup_swapped_for_wal(r: Repository) -> None:
    shutil.copy(r.segments[0], r.tar)


def base_backup_flipped_and_nobody_knows_its_sum(r: Repository) -> None:
    forgotten(r)
    flip(r.tar, r.tar.stat().st_size // 2)


def base_backup_cut_off_and_nobody_knows_its_sum(r: Repository) -> None:
    forgotten(r)
    cut(r.tar)


def manifest_edited(r: Repository) -> None:
    edit(r.base / "backup_manifest", '"PG_VERSION", "Size": 3', '"PG_VERSION", "Size": 4')


def manifest_edited_and_nobody_knows_its_sum(r: Repository) -> None:
    forgotten(r)
    manifest_edited(r)


def manifest_missing(r: Repository) -> None:
    forgotten(r)
    (r.base / "backup_manifest").unlink()


def backup_info_edited(r: Repository) -> None:
    edit(r.info, r"begin_xlog=\S+", "begin_xlog=0/9000028")


def backup_info_of_another_cluster(r: Repository) -> None:
    edit(r.info, r"systemid=\d+", "systemid=7000000000000000001")


def backup_info_says_failed(r: Repository) -> None:
    edit(r.info, "status=DONE", "status=FAILED")


# -- WAL ----------------------------------------------------------------------------------------


def segment_missing(r: Repository) -> None:
    r.segments[2].unlink()


def first_segment_missing(r: Repository) -> None:
    r.segments[0].unlink()


def segment_empty(r: Repository) -> None:
    r.segments[1].write_bytes(b"")


def segment_cut_off(r: Repository) -> None:
    cut(r.segments[1])


def segment_flipped(r: Repository) -> None:
    flip(r.segments[1], r.segments[1].stat().st_size // 2)


def segment_flipped_and_sealed_again(r: Repository) -> None:
    text = bytearray(r.opened(r.segments[1]))
    text[100_000] ^= 0xFF
    r.seal(r.segments[1], bytes(text))


def segment_cut_off_and_sealed_again(r: Repository) -> None:
    r.seal(r.segments[1], r.opened(r.segments[1])[: 2**20])


def segment_of_another_cluster(r: Repository) -> None:
    text = bytearray(r.opened(r.segments[1]))
    text[24:32] = (7_000_000_000_000_000_001).to_bytes(8, "little")  # xlp_sysid
    r.seal(r.segments[1], bytes(text))


def segment_doubled_under_another_name(r: Repository) -> None:
    shutil.copy(r.segments[1], r.segments[2])


def segments_swapped(r: Repository) -> None:
    first, second = r.segments[-2:]
    aside = first.with_name("aside")
    first.rename(aside)
    second.rename(first)
    aside.rename(second)


def list_of_wal_edited(r: Repository) -> None:
    name = r.segments[2].name
    edit(r.index, rf"{name}\t[^\n]*\n", "")


def list_of_wal_cut_off(r: Repository) -> None:
    last = r.segments[-1].name
    edit(r.index, rf"{last}\t[^\n]*\n", "")


def history_missing(r: Repository) -> None:
    for path in Path(r.plan.wals).rglob("*.history"):
        path.unlink()


# -- keys ---------------------------------------------------------------------------------------


def key_pair_gone(r: Repository) -> None:
    for path in Path(r.plan.key).iterdir():
        path.unlink()


def secret_key_damaged(r: Repository) -> None:
    cut(Path(r.plan.key, "secret.asc"))


DAMAGES = (
    Damage(base_backup_cut_off, r"file base\.tar\S* of \S+ is not what was made"),
    Damage(base_backup_flipped, r"file base\.tar\S* of \S+ is not what was made"),
    Damage(base_backup_missing, r"file base\.tar\S* of \S+ is missing"),
    Damage(base_backup_swapped_for_wal, r"file base\.tar\S* of \S+ is not what was made"),
    Damage(base_backup_flipped_and_nobody_knows_its_sum, r"barman restore failed", soak=True),
    Damage(base_backup_cut_off_and_nobody_knows_its_sum, r"barman restore failed", soak=True),
    Damage(manifest_edited, r"file backup_manifest of \S+ is not what was made"),
    Damage(manifest_edited_and_nobody_knows_its_sum, r"manifest checksum mismatch", soak=True),
    Damage(manifest_missing, r"backup_manifest of \S+ is gone", soak=True),
    Damage(backup_info_edited, r"backup\.info of \S+ was altered: begin_lsn"),
    Damage(backup_info_of_another_cluster, r"backup\.info of \S+ was altered: system_id"),
    Damage(backup_info_says_failed, r"is failed"),
    Damage(segment_missing, r"WAL is missing from \S+ on"),
    Damage(first_segment_missing, r"begins too late: \S+ is missing"),
    Damage(segment_empty, r"the WAL segment [0-9A-F]{24} is empty"),
    Damage(segment_cut_off, r"barman restore failed", soak=True),
    Damage(segment_flipped, r"barman restore failed"),
    Damage(segment_flipped_and_sealed_again, r"the WAL cannot be read after \S+"),
    Damage(segment_cut_off_and_sealed_again, r"the WAL segment \S+ is cut off", soak=True),
    Damage(segment_of_another_cluster, r"segment \S+ is another cluster's", soak=True),
    Damage(segment_doubled_under_another_name, r"segment \S+ holds other WAL", soak=True),
    Damage(segments_swapped, r"segment \S+ holds other WAL", soak=True),
    Damage(list_of_wal_edited, r"segment \S+ lies in the repository and is not", soak=True),
    Damage(list_of_wal_cut_off, r"segment \S+ lies in the repository and is not", soak=True),
    Damage(history_missing, r"history", soak=True),
    Damage(key_pair_gone, r"the key of the backups is gone"),
    Damage(secret_key_damaged, r"gpg .* failed", soak=True),
)


def marked(damage: Damage) -> object:
    marks = [pytest.mark.soak] if damage.soak else []
    return pytest.param(damage, id=damage.name, marks=marks)


def test_what_nobody_damaged_is_verified(repository: Repository) -> None:
    verified(repository)
    assert last_run(repository, Task.VERIFY).ending is Ending.DONE


def last_run(repository: Repository, task: Task) -> Run:
    assert repository.ports.backup is not None
    return repository.ports.backup.catalog.runs(task)[0]


@pytest.mark.parametrize("damage", [marked(d) for d in DAMAGES])
def test_damage_is_found_by_a_verification_and_named(
    repository: Repository, damage: Damage
) -> None:
    name = repository.name
    damage.do(repository)
    with pytest.raises(SteadError) as refused:
        verification.verify(repository.ports, "test", name)
    assert re.search(damage.says, str(refused.value)), str(refused.value)
    run = last_run(repository, Task.VERIFY)
    assert run.ending is Ending.FAILED
    assert run.error == str(refused.value)


@pytest.mark.soak
@pytest.mark.parametrize("damage", [pytest.param(d, id=d.name) for d in DAMAGES])
def test_what_is_damaged_is_never_restored_in_silence(
    repository: Repository, damage: Damage
) -> None:
    name, place = repository.name, repository.folder / "restored"
    damage.do(repository)
    with pytest.raises(SteadError) as refused:
        restored(repository, name, place)
    assert re.search(damage.says, str(refused.value)), str(refused.value)
    assert not place.exists()
