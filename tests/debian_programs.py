"""Programs of Debian's packages that tests need and a machine may lack: unpacked, never installed.

Fetched once into the cache beside the other binaries, so that nothing named here is skipped in CI.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pgstead.host import debian
from tests.fix_stead import cache_directory, locked

FOLDERS = ("usr/bin", "usr/sbin", "bin", "sbin")


@dataclass(frozen=True)
class Fetched:
    """A package with what it needs, in a directory of its own."""

    tree: Path

    def program(self, name: str) -> Path:
        """Return the path of a program."""
        return next(path for f in FOLDERS if (path := self.tree / f / name).exists())

    @property
    def environment(self) -> Mapping[str, str]:
        """What its programs need to find their libraries."""
        places = {str(path.parent) for path in self.tree.rglob("lib*.so*")}
        return {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(sorted(places))}

    def run(
        self, *words: str | Path, told: str = "", status: int | None = 0, **more: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of it; unless `status` is None its exit status must be that."""
        name, *arguments = words
        done = subprocess.run(
            [self.program(str(name)), *arguments], input=told, env={**self.environment, **more},
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert status is None or done.returncode == status, f"{words}: {done.stdout}{done.stderr}"
        return done


def fetched(package: str, *more: str) -> Fetched:
    """Return a package, fetched if it is not there yet."""
    home = cache_directory() / "debian" / package
    with locked(cache_directory() / f"debian-{package}.lock"):
        if not home.exists():
            _fetch([package, *more], home)
    return Fetched(home)


def _fetch(packages: Sequence[str], home: Path) -> None:
    with debian._workplace() as place:
        apt = debian._Apt(Path(place))
        apt.update()
        new = home.with_name(f".{home.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        shutil.copytree(apt.unpack(*packages), new, symlinks=True)
        new.replace(home)
