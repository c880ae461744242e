"""The repository of backups: sealed, closed to others, whole."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from pgstead.model.address import Capability
from pgstead.model.backup import BackupPlan, Ending, State, Task
from pgstead.prove.backup_facts import backups_of, newest_of, plan_of, ports_of, runs_of
from pgstead.prove.finding import CannotTryError, Finding, answer, timed
from pgstead.prove.promise import promise
from pgstead.prove.witness import Witness

BACKUP = Capability.BACKUP
_NEEDS = ("backup",)
_PGP = (0x84, 0x85, 0xC1)  # how a message to a public key begins (RFC 9580, 4.2 and 5.1)
_MANIFEST = "backup_manifest"
_PASSING = ".compressed"  # how Barman calls a segment that gpg is sealing
_SEALED = 15.0  # seconds within which that has to be done
_YOUNG = 60.0  # seconds; what is older is nobody's work any more
_WHOLE = 2 * 2**30  # bytes of a base backup up to which all of it is read


@promise(
    "BAK-005",
    "what lies in the repository is encrypted, base backups and WAL",
    requirement="BAK-4 ENC-3",
    capability=BACKUP,
    needs=_NEEDS,
)
def the_repository_is_encrypted(w: Witness) -> Iterator[Finding]:
    plan = plan_of(w)
    if not plan.encrypted:
        raise CannotTryError("a waiver lets these backups be plain", could_try=False)
    unfinished = _being_made(w)

    def looked_at() -> list[Path]:
        files = [*_data_files(plan, unfinished), *Path(plan.wals).glob("*/*")]
        aside = [*Path(plan.errors).glob("*"), *Path(plan.abandoned).glob("*")]
        return [path for path in (*files, *aside) if path.is_file()]

    def plain_ones() -> list[str]:
        return sorted(str(path) for path in looked_at() if not _is_sealed(path))

    with timed() as watch:
        files, plain = looked_at(), plain_ones()
        if any(_is_passing(path) for path in plain):
            w.wait_until(lambda: not plain_ones(), _SEALED)
            plain = plain_ones()
    text = f"{len(files)} files, {len(plain)} of them plain"
    told = answer(f"the first bytes of every file below {plan.repository}", text, plain, watch)
    yield told.shows(
        holds=bool(files) and not plain,
        expected="messages to a public key alone",
        hint="remove what is plain, or find out who put it there",
        said=f"{text}: {', '.join(plain[:3])}" if plain else text,
    )


def _being_made(w: Witness) -> set[str]:
    """Return the base backups of a run that goes on: they are sealed at its end."""
    runs = runs_of(w, Task.BACKUP).value
    if not runs or runs[0].ending is not Ending.RUNNING:
        return set()
    made = (State.RUNNING, State.WAITING)
    return {b.name for b in ports_of(w).engine.backups() if b.state in made}


def _data_files(plan: BackupPlan, unfinished: set[str]) -> list[Path]:
    """Return the files of base backups; the manifest names files and sums, and no row."""
    found = Path(plan.base).glob("*/data/*")
    return [p for p in found if p.name != _MANIFEST and p.parts[-3] not in unfinished]


def _segments(plan: BackupPlan) -> list[Path]:
    """Return the segments of WAL that are kept; history files say no more than numbers."""
    found = Path(plan.wals).glob("*/*")
    return sorted(path for path in found if path.is_file() and len(path.name) == 24)


def _is_passing(name: str) -> bool:
    """Say whether a segment may just be being sealed."""
    try:
        return name.endswith(_PASSING) and time.time() - Path(name).stat().st_mtime < _YOUNG
    except FileNotFoundError:
        return True


def _is_sealed(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(1)[:1] in {bytes([b]) for b in _PGP}
    except FileNotFoundError:
        return True  # let go of, or renamed, while we looked
    except OSError:
        return False


@promise(
    "BAK-006",
    "nobody but who makes the backups may look into the repository",
    requirement="BAK-4",
    capability=BACKUP,
    needs=_NEEDS,
)
def the_repository_is_closed(w: Witness) -> Iterator[Finding]:
    plan = plan_of(w)
    places = [Path(plan.repository), Path(plan.key), Path(plan.streaming), Path(plan.base)]
    with timed() as watch:
        modes = {str(p): p.stat().st_mode & 0o777 for p in places if p.exists()}
    open_ones = [f"{place} {mode:04o}" for place, mode in modes.items() if mode & 0o077]
    told = answer(f"stat of {plan.repository} and what is in it", "", open_ones, watch)
    yield told.shows(
        holds=bool(modes) and not open_ones,
        expected="mode 0700",
        hint="`chmod 0700`, and find out who was there",
        said=", ".join(open_ones) or f"{len(modes)} directories, all of mode 0700",
    )


@promise(
    "BAK-008",
    "no segment of WAL is missing from the oldest base backup to the newest segment",
    requirement="BAK-1 BAK-3",
    capability=BACKUP,
    needs=_NEEDS,
)
def no_wal_is_missing(w: Witness) -> Iterator[Finding]:
    plan, backups = plan_of(w), backups_of(w).value
    if not backups:
        raise CannotTryError("there is no base backup yet")
    with timed() as watch:
        arrived = [p.name for p in Path(plan.streaming).glob("*")]
        names = {path.name for path in _segments(plan)} | {n[:24] for n in arrived}
        per_log = 2**32 // backups[0].segment
        numbers = sorted({_number(n, per_log) for n in names if len(n) == 24})
        first = _number(backups[0].begin_wal, per_log)
        there = set(numbers)
        last = max(numbers, default=first - 1)
        missing = [n for n in range(first, last + 1) if n not in there]
    text = f"{len(numbers)} segments from {backups[0].begin_wal} on, {len(missing)} missing"
    told = answer(f"the names in {plan.wals} and {plan.streaming}", text, missing, watch)
    yield told.shows(
        holds=last >= first and not missing,
        expected="every number once",
        hint="moments behind the gap can't be recovered from older backups: `pgstead backup now`",
    )


def _number(segment: str, per_log: int) -> int:
    return int(segment[8:16], 16) * per_log + int(segment[16:24], 16)


@promise(
    "BAK-009",
    "base backups are, byte for byte, what was made",
    requirement="BAK-2 REL-4",
    capability=BACKUP,
    needs=_NEEDS,
    limit=120.0,
)
def backups_are_as_made(w: Witness) -> Iterator[Finding]:
    plan, newest = plan_of(w), newest_of(w)
    made = next((r for r in runs_of(w, Task.BACKUP).value if r.backup == newest.name), None)
    sums = _sums(made.detail.get("sums")) if made is not None else {}
    if not sums:
        raise CannotTryError(f"the catalog has no sums of {newest.name}")
    folder = Path(plan.base, newest.name, "data")
    with timed() as watch:
        size = sum(p.stat().st_size for p in folder.glob("*") if p.is_file())
        if size > _WHOLE:
            raise CannotTryError(
                f"{size} bytes are too many to read for a proof; verify does", could_try=False
            )
        odd = [name for name, wanted in sums.items() if sum_of(folder / name) != wanted]
    told = answer(f"sha256sum of {folder}/*", f"{len(sums)} files, {size} bytes", odd, watch)
    yield told.shows(
        holds=not odd,
        expected="the sums that the catalog has",
        hint="it cannot be trusted: `pgstead backup now` makes another",
        said=f"altered or gone: {', '.join(odd)}" if odd else "",
    )


def _sums(told: object) -> dict[str, str]:
    return cast("dict[str, str]", told) if isinstance(told, dict) else {}


def sum_of(path: Path) -> str:
    """Return the SHA-256 of a file, empty where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


PROMISES = (
    the_repository_is_encrypted,
    the_repository_is_closed,
    no_wal_is_missing,
    backups_are_as_made,
)
