"""Kinds of damage to what backups are made of, and what is said of each.

A repository is damaged as it lies there: compressed and encrypted.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pgstead.host import gpg
from tests.live.backup.repository import Repository


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
    """Turn the bits of one byte over."""
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


# -- what looks right by itself ------------------------------------------------------------------


def manifest_edited_with_its_checksum(r: Repository) -> None:
    """Its own checksum holds again: only what it says of a file does not."""
    forgotten(r)
    path = r.base / "backup_manifest"
    before = path.read_text()
    told = re.search(r'"PG_VERSION"[^}]*"Checksum": "([0-9a-f]+)"', before)
    assert told
    text = before.replace(told[1], f"{int(told[1], 16) ^ 1:08x}")
    signed = text[: text.index('"Manifest-Checksum"')]
    sum_of_it = hashlib.sha256(signed.encode()).hexdigest()
    path.write_text(f'{signed}"Manifest-Checksum": "{sum_of_it}"}}\n')
    assert json.loads(path.read_text())


def manifest_of_another_backup(r: Repository) -> None:
    forgotten(r)
    other = max(Path(r.plan.base).iterdir()) / "data" / "backup_manifest"
    assert other.parent != r.base
    shutil.copy(other, r.base / "backup_manifest")


def base_backups_swapped(r: Repository) -> None:
    other = next((max(Path(r.plan.base).iterdir()) / "data").glob("base.tar*"))
    aside = other.with_name("aside")
    mine = r.tar
    mine.rename(aside)
    other.rename(mine)
    aside.rename(other)


def base_backups_swapped_and_nobody_knows_their_sums(r: Repository) -> None:
    forgotten(r)
    base_backups_swapped(r)


def segment_size_edited(r: Repository) -> None:
    forgotten(r)
    edit(r.info, r"xlog_segment_size=\d+", f"xlog_segment_size={2**20}")


def segment_size_that_no_server_has(r: Repository) -> None:
    edit(r.info, r"xlog_segment_size=\d+", "xlog_segment_size=1000")


def history_leads_elsewhere(r: Repository) -> None:
    (path,) = Path(r.plan.wals).rglob("*.history")
    text = r.unpacked(path.read_bytes())
    assert text.startswith(b"1\t")
    path.write_bytes(r.packed(b"9" + text[1:]))


def segment_left_packed_and_not_sealed(r: Repository) -> None:
    plain = r.segments[1].with_name(f"{r.segments[1].name}.compressed")
    plain.write_bytes(r.packed(b"rows of somebody" * 1000))


def plain_segment_among_the_sealed(r: Repository) -> None:
    (r.segments[0].parent / "000000010000000F00000001").write_bytes(b"rows" * 1000)


# -- keys and passphrases ------------------------------------------------------------------------


def passphrase_of_another(r: Repository) -> None:
    Path(r.plan.passphrase).write_text("not this one\n")


def key_pair_of_another_repository(r: Repository) -> None:
    """A pair that the passphrase opens, and that nothing here was sealed to."""
    key = Path(r.plan.key)
    for path in key.iterdir():
        path.unlink()
    gpg.make(r.tools, key, r.plan.recipient, Path(r.plan.passphrase))


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
    Damage(
        manifest_edited_with_its_checksum, r'checksum mismatch for file "PG_VERSION"', soak=True
    ),
    Damage(
        manifest_of_another_backup, r"is not what was copied: \S+.*mismatch|not present", soak=True
    ),
    Damage(base_backups_swapped, r"file base\.tar\S* of \S+ is not what was made"),
    Damage(base_backups_swapped_and_nobody_knows_their_sums, r"is not what was copied", soak=True),
    Damage(segment_size_edited, r"segments? of \d+ bytes|begins too late|WAL is missing"),
    Damage(segment_size_that_no_server_has, r"backup\.info of \S+ cannot be read: xlog_segment"),
    Damage(history_leads_elsewhere, r"history", soak=True),
    Damage(passphrase_of_another, r"the passphrase in \S+ does not open the key"),
    Damage(key_pair_of_another_repository, r"secret key", soak=True),
)
# The backup is whole: it is restored, and what lies about is told of.
PLAINTEXT = (
    Damage(segment_left_packed_and_not_sealed, r"can be read by anybody: \S+\.compressed"),
    Damage(
        plain_segment_among_the_sealed,
        r"can be read by anybody: \S+/000000010000000F00000001",
        soak=True,
    ),
)
