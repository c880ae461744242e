"""What a copy in object storage lacks, and what of it may go."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from pgstead.model.backup import SERVER
from pgstead.model.mirror import CATALOG, Copy, Index, Known, LocalFile

_SEGMENT = 24


def news(files: Sequence[LocalFile], known: Known | None) -> tuple[LocalFile, ...]:
    """Return the files that may be new: those that are not as they were when they were copied."""
    if known is None or known.index is None:
        return tuple(files)
    copies, changed = known.index.copies, known.changed
    return tuple(
        f
        for f in files
        if f.path not in copies or copies[f.path].size != f.size or changed.get(f.path) != f.changed
    )


def damaged(
    files: Sequence[LocalFile], sums: Mapping[str, str], copies: Mapping[str, Copy]
) -> tuple[str, ...]:
    """Return the files that never change, and have: the copy keeps the ones that it has."""
    return tuple(
        f.path
        for f in files
        if f.fixed and f.path in copies and copies[f.path].sha256 != sums[f.path]
    )


def leaving(
    index: Index,
    local: Collection[str],
    *,
    let_go: Collection[str],
    proven: str,
    oldest: str,
) -> tuple[str, ...]:
    """Return what of the copy may go: what the retention let go of here, and WAL before that.

    `let_go` names base backups that `expire` removed, by the catalog; `proven` is never one of
    them. `oldest` is the first segment that a base backup of this machine needs. What is gone here
    for another reason stays there: that is what a copy is for.
    """
    left = {b for b in index.bases if b in let_go and b != proven}
    stays = {b for b in index.bases if b not in left}
    here = {path.split("/")[2] for path in local if path.startswith(f"{SERVER}/base/")}
    # what a base backup needs that is only there, nobody here knows
    edge = oldest[8:_SEGMENT] if stays <= here else ""
    return tuple(
        path
        for path in index.copies
        if path not in local and (_of_base(path) in left or _is_before(path, edge))
    )


def _of_base(path: str) -> str:
    """Return the base backup that a file is of; empty where it is of none."""
    parts = path.split("/")
    if len(parts) > 3 and parts[1] == "base":
        return parts[2]
    return parts[2].removesuffix("-backup.info") if parts[1:2] == ["meta"] else ""


def _is_before(path: str, edge: str) -> bool:
    """Say whether a segment is older than all that is needed, on whatever timeline."""
    name = path.rpartition("/")[2]
    kept = path.startswith(f"{SERVER}/wals/") and path.count("/") == 3
    return bool(edge) and kept and name[8:_SEGMENT] < edge


def strays(index: Index, local: Collection[str]) -> tuple[str, ...]:
    """Return what is in the copy alone."""
    return tuple(path for path in index.copies if path not in local and path != CATALOG)


def late(files: Sequence[LocalFile], known: Known | None, edge: float) -> tuple[LocalFile, ...]:
    """Return what should have been copied: it was there before a moment, in seconds."""
    return tuple(f for f in news(files, known) if f.changed < edge * 1e9)
