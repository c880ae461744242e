"""Where a copy is fetched to: beside the repository's place, under its name when it is whole."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from pgstead.errors import MirrorError, UsageError
from pgstead.host import gpg
from pgstead.host.files import problem, sync_directory
from pgstead.model.backup import BackupPlan
from pgstead.model.layout import Layout
from pgstead.model.mirror import CATALOG, Copy
from pgstead.ports.mirror import Transfer

_SPARE = 2**20
_FOLDERS = ("base", "errors", "incoming", "meta", "streaming", "wals")


class MirrorArrival:
    """`ports.MirrorArrival` on this machine."""

    def __init__(self, plan: BackupPlan, layout: Layout) -> None:
        """Keep where it goes."""
        self._plan = plan
        self._layout = layout
        self._repository = Path(plan.repository)

    @property
    def staging(self) -> Path:
        """The directory that files are fetched into; it stays after a failure, to go on from."""
        return self._repository.with_name(f".{self._repository.name}.fetching")

    def open(self, room: int) -> None:
        """Make it. Raises UsageError where a repository is there, MirrorError without room."""
        there = self._repository
        if there.is_dir() and any(there.iterdir()):
            raise UsageError(
                f"there is a repository already: {there}",
                hint="restore from it, without --from; or move it away, or name another place:"
                " backup.directory",
            )
        try:
            self.staging.mkdir(mode=0o700, parents=True, exist_ok=True)
            here = sum(p.stat().st_size for p in self.staging.rglob("*") if p.is_file())
            free = shutil.disk_usage(self.staging).free
        except OSError as error:
            raise problem(error, self.staging, "making") from error
        if free + here < room + _SPARE:
            raise MirrorError(
                f"there is no room in {self.staging.parent}: {room // 2**20} MB are needed,"
                f" {free // 2**20} MB are free",
                hint="make room there, or name another place: backup.directory",
            )

    def missing(self, copies: Mapping[str, Copy]) -> tuple[Transfer, ...]:
        """Return what has to be fetched still; what came before is compared by its sum."""
        return tuple(self._missing(copies))

    def _missing(self, copies: Mapping[str, Copy]) -> Iterator[Transfer]:
        root = self.staging.resolve()
        for name, copy in copies.items():
            path = root / name
            if not path.resolve().is_relative_to(root):
                raise MirrorError(
                    f"the copy holds a name that leads out of it: {name}",
                    hint="somebody else wrote into this bucket: do not trust it",
                )
            if not (path.is_file() and _sum(path) == copy.sha256):
                yield Transfer(copy.key, str(path), copy.size, copy.sha256)

    def put_key(self, key: Path) -> None:
        """Place the secret half of the key, from where it was kept apart."""
        try:
            text = key.read_bytes()
            place = self._key
            place.parent.mkdir(mode=0o700, exist_ok=True)
            place.touch(mode=0o600)
            place.write_bytes(text)
        except OSError as error:
            raise problem(error, key, "taking") from error

    @property
    def _key(self) -> Path:
        return self.staging / Path(self._plan.key).name / gpg.SECRET

    @property
    def has_key(self) -> bool:
        """The secret half is there."""
        return self._key.is_file()

    def close(self) -> None:
        """Give the repository its name, and the stead the catalog unless it has one."""
        try:
            for folder in _FOLDERS:
                (self.staging / Path(self._plan.base).parent.name / folder).mkdir(
                    mode=0o700, parents=True, exist_ok=True
                )
            self._take_catalog()
            if self._repository.is_dir():
                self._repository.rmdir()
            self.staging.rename(self._repository)
            sync_directory(self._repository.parent)
        except OSError as error:
            raise problem(error, self._repository, "placing") from error

    def _take_catalog(self) -> None:
        fetched, wanted = self.staging / CATALOG, Path(self._layout.backup_catalog)
        if not fetched.is_file():
            return
        if wanted.exists():
            fetched.unlink()
            return
        wanted.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copyfile(fetched, wanted)
        wanted.chmod(0o600)
        fetched.unlink()


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
