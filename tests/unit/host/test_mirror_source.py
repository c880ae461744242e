"""What of a repository is copied, while Barman archives into it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pgstead.errors import MirrorError
from pgstead.host import gpg
from pgstead.host.mirror_source import MirrorSource
from pgstead.model.host import BackupTools
from tests.unit.design.world import LAYOUT, composed, host

TOOLS = BackupTools("3.19.1", "/venv/bin/python", "/packages", "/usr/bin/rsync", "/usr/bin/gpg")
KEPT, COMING = (f"0000000100000000000000{n:02X}" for n in (1, 2))
SEALED = b"\x84\x5e\x03" + b"\x11" * 40
PLAIN = b"\x28\xb5\x2f\xfd" + b"rows" * 10  # as zstd begins


@pytest.fixture
def wals(tmp_path: Path) -> Path:
    folder = tmp_path / "stead" / "wals" / KEPT[:16]
    folder.mkdir(parents=True)
    (folder / KEPT).write_bytes(SEALED)
    return folder


@pytest.fixture
def source(tmp_path: Path) -> MirrorSource:
    plan = composed(machine=replace(host(), backup_tools=TOOLS)).backup
    assert plan is not None
    return MirrorSource(replace(plan, repository=str(tmp_path)), LAYOUT)


def names(source: MirrorSource) -> list[str]:
    return [Path(file.path).name for file in source.files(())]


def archived(folder: Path) -> list[Callable[[], object]]:
    """Return what Barman's archiver does with a segment, one after the other (wal_archiver)."""
    compressed = folder / f"{COMING}.compressed"
    sealed = folder / f"{COMING}.compressed.gpg"
    return [
        lambda: compressed.write_bytes(PLAIN),
        lambda: sealed.write_bytes(b""),
        lambda: sealed.write_bytes(SEALED),
        compressed.unlink,
        lambda: sealed.rename(folder / COMING),
    ]


def test_a_segment_is_copied_when_it_is_in_its_place_and_not_before(
    source: MirrorSource, wals: Path
) -> None:
    *passing, placed = archived(wals)
    for step in passing:
        step()
        assert names(source) == [KEPT]
    placed()
    assert names(source) == [KEPT, COMING]


@pytest.mark.parametrize("name", [COMING, f"{COMING}.00000028.backup", f"{COMING}.partial"])
def test_what_is_plain_where_a_segment_belongs_stops_the_copy(
    source: MirrorSource, wals: Path, name: str
) -> None:
    (wals / name).write_bytes(PLAIN)
    with pytest.raises(MirrorError, match=f"{name} is not encrypted"):
        source.files(())


@pytest.mark.parametrize("before", [True, False])
def test_what_goes_while_it_is_looked_at_is_passed_over(
    source: MirrorSource, wals: Path, monkeypatch: pytest.MonkeyPatch, *, before: bool
) -> None:
    (wals / COMING).write_bytes(SEALED)
    look = Path.stat

    def seen_and_gone(path: Path, **given: bool) -> object:
        if before and path.name == COMING:
            path.unlink()
        told = look(path, **given)
        if path.name == COMING:
            path.unlink()
        return told

    monkeypatch.setattr(Path, "stat", seen_and_gone)
    assert names(source) == [KEPT]


def test_what_goes_before_it_is_opened_is_passed_over(
    source: MirrorSource, wals: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (wals / COMING).write_bytes(SEALED)
    sealed_to = gpg.sealed_to

    def gone(path: Path) -> str:
        if path.name == COMING:
            path.unlink()
        return sealed_to(path)

    monkeypatch.setattr(gpg, "sealed_to", gone)
    assert names(source) == [KEPT]
