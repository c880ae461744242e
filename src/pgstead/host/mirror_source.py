"""The files of the repository that belong into the copy in object storage.

What is plain stays here: the WAL that is being received, and what was set aside of it. So does the
secret half of the key, unless the manifest wants it there too.
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from pgstead.errors import MirrorError
from pgstead.host import gpg, listing
from pgstead.host.files import problem
from pgstead.host.plaintext import PASSING
from pgstead.model.backup import SERVER, BackupPlan, StoredBackup
from pgstead.model.layout import Layout
from pgstead.model.mirror import CATALOG, LocalFile

_SEGMENT = 24  # letters of a segment's name
_PLAIN = ("backup_manifest",)  # names and sums, and no row


class MirrorSource:
    """`ports.MirrorSource` on this machine."""

    def __init__(self, plan: BackupPlan, layout: Layout) -> None:
        """Keep where it looks."""
        self._plan = plan
        self._layout = layout
        self._root = Path(plan.repository)

    def files(self, backups: Sequence[StoredBackup]) -> tuple[LocalFile, ...]:
        """Return what there is of finished backups, and what is needed to use them.

        The list of the WAL is looked at before the WAL: what it names is there then. Raises
        MirrorError for a file that is plain and must not be.
        """
        try:
            changing = list(self._changing(backups))
            found = [*self._bases(backups), *self._segments()]
            fixed = [(file, sealed) for file in found if (sealed := _may_leave(file)) is not None]
        except OSError as error:
            raise problem(error, self._root, "looking at") from error
        plain = [file.path for file, sealed in fixed if not sealed]
        if plain:
            raise MirrorError(
                f"{plain[0]} is not encrypted, and nothing plain leaves this machine (ENC-3)",
                hint="find out who put it into the repository, and remove it",
            )
        return (*changing, *(file for file, _ in fixed))

    def _changing(self, backups: Sequence[StoredBackup]) -> Iterator[LocalFile]:
        root, server = self._root, self._root / SERVER
        names = {f"{found.name}-backup.info" for found in backups}
        halves = (gpg.PUBLIC, gpg.SECRET) if self._with_key() else (gpg.PUBLIC,)
        wanted = [
            *sorted(server.glob("wals/*xlog.db")),
            root / "pgstead.toml",
            server / "identity.json",
            *(path for path in sorted(server.glob("meta/*")) if path.name in names),
            *sorted(server.glob("wals/*.history")),
            *(Path(self._plan.key, half) for half in halves),
        ]
        return self._there(wanted, fixed=False)

    def _with_key(self) -> bool:
        return self._plan.mirror is not None and self._plan.mirror.with_key

    def _bases(self, backups: Sequence[StoredBackup]) -> Iterator[LocalFile]:
        for found in backups:
            yield from self._there(sorted(Path(self._plan.base, found.name).rglob("*")), fixed=True)

    def _segments(self) -> Iterator[LocalFile]:
        """Leave out what an archiving run makes on its way, or has left: that is no copy of WAL.

        `plaintext.found` tells of what is left.
        """
        kept = [
            path
            for path in sorted(listing.two_down(self._plan.wals))
            if len(path.name.partition(".")[0]) == _SEGMENT and not PASSING.match(path.name)
        ]
        return self._there(kept, fixed=True)

    def _there(self, paths: Iterable[Path], *, fixed: bool) -> Iterator[LocalFile]:
        for path in paths:
            try:
                found = path.stat()
            except FileNotFoundError:
                continue  # let go of while we looked
            if stat.S_ISREG(found.st_mode):
                name = str(path.relative_to(self._root))
                yield LocalFile(name, str(path), found.st_size, found.st_mtime_ns, fixed)

    @contextmanager
    def still(self, files: Sequence[LocalFile]) -> Generator[tuple[LocalFile, ...]]:
        """Give copies of those that may change, which do not, with the catalog; for a while."""
        with tempfile.TemporaryDirectory(prefix="mirror-", dir=self._layout.backup) as place:
            try:
                copied = [self._copied(f, Path(place, str(n))) for n, f in enumerate(files)]
                catalog = self._catalog(Path(place, CATALOG))
            except (OSError, sqlite3.Error) as error:
                raise MirrorError(
                    f"what changes in the repository could not be copied for a moment: {error}",
                    hint=f"free space in {self._layout.backup}",
                ) from error
            yield (*copied, *catalog)

    def _copied(self, file: LocalFile, target: Path) -> LocalFile:
        shutil.copyfile(file.source, target)
        return replace(file, source=str(target), size=target.stat().st_size)

    def _catalog(self, target: Path) -> Iterator[LocalFile]:
        source = Path(self._layout.backup_catalog)
        if not source.is_file():
            return
        with (
            closing(sqlite3.connect(source, timeout=20)) as there,
            closing(sqlite3.connect(target)) as here,
        ):
            there.backup(here)
        size = target.stat().st_size
        yield LocalFile(CATALOG, str(target), size, source.stat().st_mtime_ns, fixed=False)

    def sum(self, file: LocalFile) -> str:
        """Return the SHA-256 of a file."""
        try:
            with Path(file.source).open("rb") as opened:
                return hashlib.file_digest(opened, "sha256").hexdigest()
        except OSError as error:
            raise problem(error, Path(file.source), "reading") from error


def _may_leave(file: LocalFile) -> bool | None:
    """Say whether a file is sealed, or need not be; None where it is gone by now."""
    path = Path(file.source)
    try:
        return path.name in _PLAIN or bool(gpg.sealed_to(path))
    except FileNotFoundError:
        return None
