"""Sabotages of backups, on a stead that makes them (test_backups.py)."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from pgstead.host import backup_tools, gpg, gpg_homes
from pgstead.model.backup import BackupPlan
from pgstead.model.design import Design
from tests.live.backup.damages import flip
from tests.sabotage.damage import sabotage
from tests.sabotage.scene import Scene

WHERE = "backed_up_scene"


def plan(scene: Scene) -> BackupPlan:
    """Return how the stead is backed up."""
    assert scene.design.backup is not None
    return scene.design.backup


def newest(scene: Scene) -> Path:
    """Return the folder of the newest base backup."""
    return max(Path(plan(scene).base).iterdir())


@contextmanager
def catalog(scene: Scene, do: str, undo: str) -> Iterator[None]:
    """Change the catalog's lines, and change them back."""
    path = scene.design.layout.backup_catalog
    with closing(sqlite3.connect(path, isolation_level=None, timeout=20)) as opened:
        opened.execute(do)
        try:
            yield
        finally:
            opened.execute(undo)


@contextmanager
def moved(path: Path, aside: Path) -> Iterator[None]:
    """Have a file or a folder elsewhere for a while."""
    shutil.move(path, aside)
    try:
        yield
    finally:
        shutil.move(aside, path)


@sabotage("BAK-001", where=WHERE)
def nobody_receives_the_wal(scene: Scene) -> Iterator[Design | None]:
    """The receiver is stopped, and nobody noticed."""
    scene.ports.supervisor.stop("wal-receiver")
    try:
        yield None
    finally:
        scene.ports.supervisor.start("wal-receiver")
        scene.wait(lambda: bool(scene.rows("SELECT 1 FROM pg_stat_replication")), 60)


@sabotage("BAK-002", where=WHERE)
def the_last_backup_is_old(scene: Scene) -> Iterator[Design | None]:
    """The schedule did nothing for longer than the manifest allows."""
    yield replace(scene.design, backup=replace(plan(scene), max_age=0.001))


@sabotage("BAK-003", where=WHERE)
def the_verification_failed(scene: Scene) -> Iterator[Design | None]:
    """The verification of the newest backup found something."""
    where = "WHERE task = 'verify'"
    with catalog(
        scene,
        f"UPDATE run SET ending = 'failed' {where} AND ending = 'done'",
        f"UPDATE run SET ending = 'done' {where} AND ending = 'failed'",
    ):
        yield None


@sabotage("BAK-003", where=WHERE)
def the_verification_was_killed(scene: Scene) -> Iterator[Design | None]:
    """Whoever verified the newest backup is gone, and nobody wrote down how it ended."""
    with catalog(
        scene,
        "UPDATE run SET ending = 'running', born = 'gone' WHERE task = 'verify'",
        "UPDATE run SET ending = 'done', error = '' WHERE task = 'verify' AND born = 'gone'",
    ):
        yield None


@sabotage("BAK-004", where=WHERE)
def the_last_drill_failed(scene: Scene) -> Iterator[Design | None]:
    """What the last drill restored was not right."""
    last = "WHERE number = (SELECT max(number) FROM run WHERE task = 'drill')"
    with catalog(
        scene,
        f"UPDATE run SET ending = 'failed', error = 'rows are missing' {last}",
        f"UPDATE run SET ending = 'done', error = '' {last}",
    ):
        yield None


@sabotage("BAK-004", where=WHERE)
def the_last_drill_is_old(scene: Scene) -> Iterator[Design | None]:
    """Nobody has restored anything for longer than the manifest allows."""
    yield replace(scene.design, backup=replace(plan(scene), drill_age=0.001))


@sabotage("BAK-005", where=WHERE)
def a_backup_is_plain(scene: Scene) -> Iterator[Design | None]:
    """Somebody copied the data directory beside the backups as it is."""
    plain = newest(scene) / "data" / "base.tar"
    plain.write_bytes(b"PG_VERSION" + b"\0" * 1000)
    try:
        yield None
    finally:
        plain.unlink()


@sabotage("BAK-005", where=WHERE)
def a_segment_lies_plain_beside_the_sealed_one(scene: Scene) -> Iterator[Design | None]:
    """An archiving run was killed between packing a segment and sealing it."""
    segment = next(p for p in Path(plan(scene).wals).glob("*/*") if len(p.name) == 24)
    plain = segment.with_name(f"{segment.name}.compressed")
    plain.write_bytes(b"\x28\xb5\x2f\xfd" + b"\0" * 1000)
    os.utime(plain, (0, 0))  # nobody is at work on it
    try:
        yield None
    finally:
        plain.unlink()


@sabotage("BAK-006", where=WHERE)
def everybody_may_look_at_the_backups(scene: Scene) -> Iterator[Design | None]:
    """Somebody opened the repository, for a moment."""
    with scene.mode(Path(plan(scene).repository), 0o755):
        yield None


@sabotage("BAK-007", where=WHERE)
def the_slot_is_unbounded(scene: Scene) -> Iterator[Design | None]:
    """WAL is kept without end for a receiver that may never come back."""
    with scene.altered(max_slot_wal_keep_size="-1"):
        yield None


@sabotage("BAK-008", where=WHERE)
def a_segment_is_deleted(scene: Scene) -> Iterator[Design | None]:
    """Somebody made room in the repository."""
    segments = sorted(p for p in Path(plan(scene).wals).glob("*/*") if len(p.name) == 24)
    victim = segments[-2]
    with moved(victim, scene.state / victim.name):
        yield None


@sabotage("BAK-009", where=WHERE)
def a_byte_of_a_backup_is_flipped(scene: Scene) -> Iterator[Design | None]:
    """A disk forgot a bit."""
    (victim,) = (newest(scene) / "data").glob("base.tar*")
    place = victim.stat().st_size // 2
    flip(victim, place)
    try:
        yield None
    finally:
        flip(victim, place)


@sabotage("BAK-010", where=WHERE)
def a_row_of_the_ledger_is_gone(scene: Scene) -> Iterator[Design | None]:
    """Somebody deleted a row in the middle."""
    ((number, at, row),) = scene.rows(
        "SELECT number, at, hash FROM pgstead_heartbeat.ledger"
        " WHERE number = (SELECT max(number) - 1 FROM pgstead_heartbeat.ledger)"
    )
    scene.rows("DELETE FROM pgstead_heartbeat.ledger WHERE number = %s", number)
    try:
        yield None
    finally:
        scene.rows("INSERT INTO pgstead_heartbeat.ledger VALUES (%s, %s, %s)", number, at, row)


@sabotage("BAK-011", where=WHERE)
def a_backup_was_removed_by_hand(scene: Scene) -> Iterator[Design | None]:
    """The catalog knows of a backup that nobody let go of, and that is not there."""
    with catalog(
        scene,
        "INSERT INTO run (task, backup, begun, ended, ending, cause, pid, born)"
        " SELECT task, '19990101T000000', begun, ended, 'done', 'sabotage', pid, born"
        " FROM run WHERE task = 'backup' AND ending = 'done' ORDER BY number LIMIT 1",
        "DELETE FROM run WHERE cause = 'sabotage'",
    ):
        yield None


@sabotage("BAK-012", where=WHERE)
def backups_fail(scene: Scene) -> Iterator[Design | None]:
    """On a day of last week none of the attempts succeeded."""
    with catalog(
        scene,
        "INSERT INTO run (task, backup, begun, ended, ending, cause, error, pid, born)"
        " SELECT task, '', datetime(begun, '-7 days') || '+00:00',"
        " datetime(begun, '-7 days') || '+00:00', 'failed', 'sabotage', 'no room', pid, born"
        " FROM run WHERE task = 'backup' ORDER BY number LIMIT 1",
        "DELETE FROM run WHERE cause = 'sabotage'",
    ):
        yield None


@sabotage("BAK-013", where=WHERE)
def the_key_expired(scene: Scene) -> Iterator[Design | None]:
    """Somebody gave the key an end, and it came: nothing can be sealed any more."""
    key = Path(plan(scene).key)
    tools = backup_tools.find(scene.design.layout)
    with both_halves_kept(key), gpg.keyring(tools, key, Path(plan(scene).passphrase)) as home:
        run = [tools.gpg, "--quiet", "--pinentry-mode", "loopback"]
        run += ["--passphrase-file", plan(scene).passphrase]
        environment = {"PATH": "/usr/bin:/bin", **gpg_homes.environment(tools, home)}
        made = gpg.current(tools, key)
        then = str(int(made.made.timestamp()) + 1)
        for command in (
            ["--faked-system-time", then, "--quick-set-expire", made.fingerprint, "seconds=1"],
            ["--yes", "--armor", "--output", str(key / gpg.SECRET), "--export-secret-keys"],
            ["--yes", "--armor", "--output", str(key / gpg.PUBLIC), "--export"],
        ):
            subprocess.run([*run, *command], env=environment, check=True)
        yield None


@contextmanager
def both_halves_kept(key: Path) -> Iterator[None]:
    """Put the key pair back afterwards."""
    kept = {name: (key / name).read_bytes() for name in (gpg.PUBLIC, gpg.SECRET)}
    try:
        yield
    finally:
        for name, text in kept.items():
            (key / name).write_bytes(text)


@sabotage("BAK-013", where=WHERE, alone=True)
def the_key_is_gone(scene: Scene) -> Iterator[Design | None]:
    """The half that opens is lost; sealing goes on as if nothing were."""
    secret = Path(plan(scene).key, gpg.SECRET)
    with moved(secret, scene.state / secret.name):
        yield None


@sabotage("BAK-013", where=WHERE, alone=True)
def the_passphrase_is_another(scene: Scene) -> Iterator[Design | None]:
    """Somebody wrote a new passphrase to the file, and did not tell the key."""
    with scene.edited(Path(plan(scene).passphrase), lambda text: f"not {text}"):
        yield None


def dump(scene: Scene) -> Path:
    """Return the newest logical dump of a database."""
    return max(Path(plan(scene).exports).glob("*.dump.gpg"))


@sabotage("BAK-014", where=WHERE, alone=True)
def the_last_dump_is_old(scene: Scene) -> Iterator[Design | None]:
    """The schedule of dumps did nothing for longer than the manifest allows."""
    yield replace(scene.design, backup=replace(plan(scene), export_age=0.001))


@sabotage("BAK-014", where=WHERE)
def a_byte_of_a_dump_is_flipped(scene: Scene) -> Iterator[Design | None]:
    """A disk forgot a bit of a dump."""
    place = dump(scene).stat().st_size * 3 // 4
    flip(dump(scene), place)
    try:
        yield None
    finally:
        flip(dump(scene), place)


@sabotage("BAK-015", where=WHERE, alone=True)
def everybody_may_look_at_the_dumps(scene: Scene) -> Iterator[Design | None]:
    """Somebody gave the dumps to everybody, for a moment."""
    with scene.mode(Path(plan(scene).exports), 0o755), scene.mode(dump(scene), 0o644):
        yield None


@sabotage("BAK-015", where=WHERE, alone=True)
def a_dump_is_plain(scene: Scene) -> Iterator[Design | None]:
    """Somebody opened a dump where it lay."""
    plain = Path(plan(scene).exports, "jeex_idea_20260101_000000.dump")
    plain.touch(mode=0o600)
    plain.write_bytes(b"PGDMP" + bytes(100))
    try:
        yield None
    finally:
        plain.unlink()


SABOTAGES = (
    nobody_receives_the_wal,
    the_last_backup_is_old,
    the_verification_failed,
    the_last_drill_failed,
    the_last_drill_is_old,
    a_backup_is_plain,
    a_segment_lies_plain_beside_the_sealed_one,
    everybody_may_look_at_the_backups,
    the_slot_is_unbounded,
    a_segment_is_deleted,
    a_byte_of_a_backup_is_flipped,
    a_row_of_the_ledger_is_gone,
    a_backup_was_removed_by_hand,
    backups_fail,
    the_key_expired,
    the_key_is_gone,
    the_passphrase_is_another,
    the_last_dump_is_old,
    a_byte_of_a_dump_is_flipped,
    everybody_may_look_at_the_dumps,
    a_dump_is_plain,
)
