"""Copying the repository to object storage: what is new, and nothing that is plain.

The index is written when all that it names is there, and what is not needed goes after that: a
copy that was interrupted is the one before.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import cast

from pgstead.errors import MirrorError, SteadError
from pgstead.model.backup import State, StoredBackup, Task
from pgstead.model.design import Design
from pgstead.model.mirror import (
    INDEX,
    Copy,
    Index,
    Known,
    LocalFile,
    MirrorPlan,
    index_of,
    index_text,
    object_key,
)
from pgstead.plan import mirroring
from pgstead.ports import Ports
from pgstead.ports.backup import BackupPorts
from pgstead.ports.mirror import Listed, MirrorPorts, Transfer
from pgstead.workflows import segments
from pgstead.workflows.backup import PATIENCE, ports_of, proven, recorded


@dataclass(frozen=True, slots=True)
class Manner:
    """What a run may do beyond the usual."""

    take_over: bool = False  # from another stead
    anew: bool = False  # although the index that is there cannot be trusted
    repair: bool = False  # read all that is there, and copy again what is not whole


@dataclass(frozen=True, slots=True)
class Mirrored:
    """What a run did, and what the copy holds."""

    place: str
    objects: int
    size: int  # bytes of all objects
    copied: int  # objects
    bytes: int
    removed: int
    strays: tuple[str, ...]  # in the copy alone


def mirror_of(design: Design, ports: Ports) -> tuple[MirrorPlan, BackupPorts, MirrorPorts]:
    """Return what a copy is kept with. Raises MirrorError where none is kept."""
    backup = ports_of(ports)
    if design.backup is None or design.backup.mirror is None or backup.mirror is None:
        raise MirrorError(
            "this stead keeps no copy of its backups in object storage",
            hint="[backup.s3] with a bucket in the manifest, then `pgstead up --fix`",
        )
    return design.backup.mirror, backup, backup.mirror


def stored_index(plan: MirrorPlan, mirror: MirrorPorts) -> Index | None:
    """Return what the copy says of itself; None where there is none. Raises MirrorError."""
    text = mirror.store.read(INDEX)
    if text is None:
        return None
    try:
        return index_of(text)
    except ValueError as error:
        raise MirrorError(
            f"the index of {plan} cannot be trusted: {error}",
            hint="the objects below files/ may be whole; `pgstead backup mirror --anew` writes a"
            " new index for what this machine has",
        ) from error


def sweep(design: Design, ports: Ports) -> Mirrored | None:
    """Copy what is new, as the agent does; return None where nothing is, at no request."""
    _, backup, mirror = mirror_of(design, ports)
    known = mirror.memory.load()
    files = mirror.source.files(_done(backup))
    if known is not None and not known.error and not mirroring.news(files, known):
        return None
    return copy(design, ports, "schedule")


def copy(design: Design, ports: Ports, cause: str, manner: Manner = Manner()) -> Mirrored:
    """Copy what is new, and let go of what the retention let go of here.

    A copy that another stead keeps is left alone unless it is to be taken over. Raises MirrorError.
    """
    plan, backup, mirror = mirror_of(design, ports)
    with (
        backup.turns.mirroring(patience=PATIENCE),
        backup.turns.reading(patience=PATIENCE),
    ):
        _bring_in(ports, backup, close=cause != "schedule")
        run = _Run(design.stead_id, plan, backup, mirror, manner)
        try:
            if cause == "schedule":  # each minute: lines of the catalog would hide the others
                return run.copied()
            with recorded(backup, Task.MIRROR, cause) as record:
                done = run.copied()
                record.detail |= {"copied": done.copied, "bytes": done.bytes}
                return done
        except SteadError as error:
            now = datetime.now(UTC)
            with suppress(SteadError):  # the first error is told
                known = mirror.memory.load() or Known(now, None)
                mirror.memory.save(known.failed(now, error.message))
            raise


def _bring_in(ports: Ports, backup: BackupPorts, *, close: bool) -> None:
    """Have the WAL in the repository that there is; with `close`, all that was written by now."""
    if close and ports.sql.answers():
        segments.close(ports)
    backup.engine.archive()


def _done(backup: BackupPorts) -> tuple[StoredBackup, ...]:
    return tuple(b for b in backup.engine.backups() if b.state is State.DONE)


@dataclass(frozen=True, slots=True)
class _Sent:
    """What was copied, and what was found on the way."""

    copies: Mapping[str, Copy]
    changed: Mapping[str, int]  # when what was looked at was written, by its path
    local: frozenset[str]
    spoilt: tuple[str, ...]  # never changes, and has


@dataclass(frozen=True, slots=True)
class _Run:
    """One run, that holds both turns."""

    writer: str
    plan: MirrorPlan
    backup: BackupPorts
    mirror: MirrorPorts
    manner: Manner

    def copied(self) -> Mirrored:
        """Copy, write the index, sweep; in that order."""
        began = datetime.now(UTC)
        known = self._remembered()
        index = self._writable(known)
        backups = _done(self.backup)
        self._must_be_of_it(index, backups)
        self.mirror.store.abort()
        there = self.mirror.store.listing()
        whole = self._whole(index, there)
        sent = self._sent(backups, index, whole, known)
        copies = {**index.copies, **sent.copies}
        gone = self._gone(replace(index, copies=copies), sent.local, backups)
        lost = sorted(copies.keys() - whole.copies.keys() - sent.copies.keys() - {*gone})
        kept = {path: c for path, c in copies.items() if path not in {*gone, *lost}}
        wrote = Index(self.writer, index.number + 1, began, kept)
        self.mirror.store.write(INDEX, index_text(wrote))
        removed = _swept(self.mirror, wrote, there)
        told = {**(known.changed if known else {}), **sent.changed}
        changes = {path: told[path] for path in kept if path in told}
        self.mirror.memory.save(Known(began, began, "", wrote, changes))
        self._tell(sent.spoilt, "is not what was copied")
        self._tell([path for path in lost if path not in sent.spoilt], "is gone, here too,")
        size = sum(copy.size for copy in sent.copies.values())
        strays = mirroring.strays(wrote, sent.local)
        return Mirrored(
            str(self.plan), len(kept), wrote.size, len(sent.copies), size, removed, strays
        )

    def _sent(
        self,
        backups: Sequence[StoredBackup],
        index: Index,
        whole: Index,
        known: Known | None,
    ) -> _Sent:
        """Copy what is new, and what is not there as it was put there."""
        source = self.mirror.source
        files = source.files(backups)
        with source.still([f for f in files if not f.fixed]) as still:
            everything = (*still, *(f for f in files if f.fixed))
            known = None if known is None else replace(known, index=whole)
            fresh = mirroring.news(everything, known)
            sums = {f.path: source.sum(f) for f in fresh}
            # by what the index says, whatever is there: that is what it was
            spoilt = mirroring.damaged(fresh, sums, index.copies)
            changed = [f for f in fresh if f.path not in spoilt]
            wanted = [f for f in changed if not _has(whole, f, sums[f.path])]
            put = _put(self.mirror, wanted, sums)
        local = frozenset(f.path for f in everything)
        return _Sent(put, {f.path: f.changed for f in changed}, local, spoilt)

    def _remembered(self) -> Known | None:
        known = self.mirror.memory.load()
        ours = known is not None and known.index is not None and known.index.writer == self.writer
        return known if ours else None

    def _writable(self, known: Known | None) -> Index:
        """Return what is there, which this stead may write over. Raises MirrorError.

        Where the index is gone or altered, and this machine knows what it wrote, that counts.
        """
        ours = known.index if known is not None else None
        try:
            found = stored_index(self.plan, self.mirror) or ours
        except MirrorError:
            if ours is None and not self.manner.anew:
                raise
            found = ours
        if found is None:
            return Index(self.writer, 0, datetime.now(UTC))
        if found.writer != self.writer and not self.manner.take_over:
            raise MirrorError(
                f"{self.plan} is the copy of another stead ({found.writer}), written"
                f" {found.at:%F %T} UTC",
                hint="name another backup.s3.prefix; if that stead is gone and this one goes on"
                " from its backups: `pgstead backup mirror --take-over`",
            )
        return found

    def _must_be_of_it(self, index: Index, backups: Sequence[StoredBackup]) -> None:
        """Raise MirrorError where the repository is another one than was copied.

        Its key and its list of WAL would take the place of those that the copy is opened with.
        """
        kept = set(index.bases) - _let_go(self.backup)
        if kept and not kept & {found.name for found in backups} and not self.manner.anew:
            raise MirrorError(
                f"none of the base backups in {self.plan} is in this repository: it is another one",
                hint="name another backup.s3.prefix; or move this repository away and"
                " `pgstead restore --from s3`; --anew mixes both",
            )

    def _whole(self, index: Index, there: Mapping[str, Listed]) -> Index:
        """Return the index without the objects that are not there as they were put there."""
        good = {
            path: c
            for path, c in index.copies.items()
            if c.key in there and there[c.key] == Listed(c.size, c.etag)
        }
        if self.manner.repair:
            wanted = [Transfer(c.key, "", c.size, c.sha256) for c in good.values()]
            wrong = self.mirror.store.altered(wanted)
            good = {path: c for path, c in good.items() if c.key not in wrong}
        return replace(index, copies=good)

    def _gone(
        self, index: Index, local: Collection[str], backups: Sequence[StoredBackup]
    ) -> tuple[str, ...]:
        last = proven(self.backup.catalog.runs(Task.DRILL))
        begins = [found.begin_wal for found in backups]
        return mirroring.leaving(
            index,
            local,
            let_go=_let_go(self.backup),
            proven=last.backup if last is not None else "",
            oldest=min(begins, key=lambda name: name[8:], default=""),
        )

    def _tell(self, paths: Sequence[str], what: str) -> None:
        if paths:
            more = f" (and {len(paths) - 1} more)" if len(paths) > 1 else ""
            raise MirrorError(
                f"{paths[0]}{more} {what} in {self.plan}".replace("copied in", "copied to"),
                hint="the rest was copied, and what is there stays; `pgstead backup verify` looks"
                " at what is here, `verify --remote` at what is there",
            )


def _has(index: Index, file: LocalFile, sha256: str) -> bool:
    return file.path in index.copies and index.copies[file.path].sha256 == sha256


def _put(
    mirror: MirrorPorts, files: Sequence[LocalFile], sums: Mapping[str, str]
) -> dict[str, Copy]:
    transfers = [
        Transfer(object_key(f.path, sums[f.path]), f.source, f.size, sums[f.path]) for f in files
    ]
    etags = mirror.store.put(transfers)
    return {
        f.path: Copy(t.key, f.size, t.sha256, etags[t.key])
        for f, t in zip(files, transfers, strict=True)
    }


def _let_go(backup: BackupPorts) -> set[str]:
    names: set[str] = set()
    for run in backup.catalog.runs(Task.EXPIRE):
        removed = run.detail.get("removed")
        names |= set(cast("list[str]", removed)) if isinstance(removed, list) else set()
    return names


def _swept(mirror: MirrorPorts, index: Index, there: Collection[str]) -> int:
    """Remove the objects that were there and that the index does not name; return how many."""
    needed = {copy.key for copy in index.copies.values()} | {INDEX}
    spare = [key for key in there if key not in needed]
    mirror.store.delete(spare)
    return len(spare)
