"""Damage to what backups are made of: each kind is found, and named, before anything is trusted.

The repository is copied and the copy damaged, as it lies there: compressed and encrypted. What
a verification takes longest for is a soak of the same table.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgstead.errors import SteadError
from pgstead.host import gpg
from pgstead.model.backup import Ending, Run, Target, Task
from pgstead.workflows import restore, verification
from tests.fix_stead import LiveStead, stead_in
from tests.live.backup.damages import DAMAGES, PLAINTEXT, Damage
from tests.live.backup.repository import Repository, copied, of_stead
from tests.waiting import until


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
        until(lambda: any(r.ending is Ending.DONE for r in ports.catalog.runs(Task.VERIFY)))
        rows(made, "CREATE TABLE more AS SELECT n FROM generate_series(1, 20000) AS n")
        rows(made, "SELECT pg_switch_wal()")
        rows(made, "INSERT INTO more SELECT n FROM generate_series(1, 1000) AS n")
        turn_of_timeline(made)
        for _ in range(3):
            rows(made, "INSERT INTO more SELECT n FROM generate_series(1, 1000) AS n")
            rows(made, "SELECT pg_switch_wal()")
        made.run("backup", "now")  # all that is damaged has one beside it
        until(lambda: len(of_stead(made).segments) >= 5)
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


def marked(damage: Damage) -> object:
    marks = [pytest.mark.soak] if damage.soak else []
    return pytest.param(damage, id=damage.name, marks=marks)


def test_what_nobody_damaged_is_verified(repository: Repository) -> None:
    verified(repository)
    assert last_run(repository, Task.VERIFY).ending is Ending.DONE


def last_run(repository: Repository, task: Task) -> Run:
    assert repository.ports.backup is not None
    return repository.ports.backup.catalog.runs(task)[0]


def refused_by_verification(repository: Repository, damage: Damage) -> Run:
    """Damage it, and see that a verification refuses it by its name; return the run."""
    name = repository.name  # before it is damaged
    damage.do(repository)
    with pytest.raises(SteadError) as refused:
        verification.verify(repository.ports, "test", name)
    assert re.search(damage.says, str(refused.value)), str(refused.value)
    run = last_run(repository, Task.VERIFY)
    assert run.ending is Ending.FAILED
    assert run.error == str(refused.value)
    return run


@pytest.mark.parametrize("damage", [marked(d) for d in DAMAGES])
def test_damage_is_found_by_a_verification_and_named(
    repository: Repository, damage: Damage
) -> None:
    refused_by_verification(repository, damage)


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


@pytest.mark.parametrize("damage", [marked(d) for d in PLAINTEXT])
def test_plaintext_is_named_by_a_verification_and_hinders_no_restore(
    repository: Repository, damage: Damage
) -> None:
    place = repository.folder / "restored"
    run = refused_by_verification(repository, damage)
    assert run.detail["segments"]  # all the rest was looked at, and is whole
    restored(repository, repository.name, place)
    assert (place / "PG_VERSION").exists()


def test_what_an_archiving_run_left_plain_is_gone_after_the_next_one(
    repository: Repository,
) -> None:
    assert repository.ports.backup is not None
    engine, wals = repository.ports.backup.engine, Path(repository.plan.wals)
    names = {path.name for path in wals.glob("*/*")}
    kept = {path.name: path.read_bytes() for path in repository.segments}
    PLAINTEXT[0].do(repository)
    half = repository.segments[2].with_name(f"{repository.segments[2].name}.compressed.gpg")
    half.write_bytes(b"\x84\x5e\x03 cut off")
    aside = Path(repository.plan.errors, "000000010000000000000001.20261121T000000Z.duplicate")
    aside.parent.mkdir(exist_ok=True)
    aside.write_bytes(b"rows" * 1000)
    assert len(engine.plain()) == 2
    engine.archive()
    assert engine.plain() == ()
    assert {path.name for path in wals.glob("*/*")} == names
    assert {path.name: path.read_bytes() for path in repository.segments} == kept
    assert not aside.exists()
    sealed = aside.with_name(f"{aside.name}.gpg")
    assert gpg.sealed_to(sealed)


def test_a_segment_that_was_placed_and_never_listed_is_archived_again(
    repository: Repository,
) -> None:
    """As after a kill between the last two steps: it lies in the spool still."""
    assert repository.ports.backup is not None
    victim = repository.segments[-1]
    (Path(repository.plan.streaming) / victim.name).write_bytes(repository.opened(victim))
    listed = repository.index.read_text()
    repository.index.write_text(
        "".join(line for line in listed.splitlines(True) if victim.name not in line)
    )
    repository.ports.backup.engine.archive()
    assert victim.name in repository.index.read_text()
    assert list(Path(repository.plan.errors).glob("*")) == []
    verified(repository)
