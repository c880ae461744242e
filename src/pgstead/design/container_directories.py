"""Directories that the manifest names: refused, or a volume stands in for each. Pure.

The files that rows name lie beside the manifest (`databases.files`). A container cannot write to
its own file system, and retention removes in another one what a service wrote in its own: they
share a volume.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from pgstead.errors import ManifestError
from pgstead.manifest.document import DatabaseEntry, Manifest
from pgstead.model.containers import STEAD, Mount


def refuse(manifest: Manifest) -> None:
    """Raise ManifestError for directories that containers do not see."""
    for key, value in (
        ("backup.directory", manifest.backup.directory),
        ("backup.export.directory", manifest.backup.export.directory),
    ):
        if value:
            raise ManifestError(
                f"{key} names a directory of this machine, and containers do not see it",
                hint="leave it out: it is in the volume `backup`, which a compose.override.yml may"
                " put on another device",
                key=key,
            )
    for entry in manifest.databases:
        place = posixpath.normpath(entry.files) if entry.files else ""
        if posixpath.isabs(place) or place.startswith("."):
            raise ManifestError(
                f"databases.files names {entry.files}, and containers see only what is below the"
                " manifest's own directory",
                hint="name a directory below it: a volume stands in for it",
                key="databases.files",
            )


def mounts(*entries: DatabaseEntry) -> Iterator[Mount]:
    """Yield the volume of each database whose rows name files."""
    for entry in entries:
        if entry.files:
            yield Mount(f"files-{entry.name}", directory(STEAD, entry))


def directories(manifest: Manifest, place: str) -> tuple[str, ...]:
    """Return where they are seen, with the manifest at `place`."""
    return tuple(directory(place, entry) for entry in manifest.databases if entry.files)


def directory(place: str, entry: DatabaseEntry) -> str:
    """Return where the files of one database lie, with the manifest at `place`."""
    return posixpath.normpath(f"{place}/{entry.files}")
