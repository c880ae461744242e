"""Barman and what it calls: found, or fetched into the toolchain.

Barman is a program beside us, in a directory of packages of its own: its licence, its driver and
its versions are never mixed with ours (docs/adr/0024). rsync and gpg are the system's, or taken
from Debian's packages as data.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pgstead.errors import HostError, MissingBackupToolError
from pgstead.host import debian, elf
from pgstead.host.binaries import fetched_libraries
from pgstead.host.package_sets import PackageSet
from pgstead.model.host import BackupTools
from pgstead.model.layout import Layout

BARMAN = PackageSet("barman", "barman", "[backup] enabled = false")
S3 = PackageSet("s3", "boto3", "no [backup.s3]")
_FIX = "`pgstead doctor --fix` fetches it without root; `[backup] enabled = false` does without"
_SYSTEM = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True, slots=True)
class _Deb:
    """Where a program comes from: the package that people install, those that hold the files."""

    install: str
    packages: tuple[str, ...]
    files: tuple[str, ...]


_DEBS: Mapping[str, _Deb] = MappingProxyType(
    {
        "rsync": _Deb("rsync", ("rsync",), ("rsync",)),
        "gpg": _Deb(
            "gnupg", ("gpg", "gpg-agent", "gpgconf"), ("gpg", "gpg-agent", "gpg-connect-agent")
        ),
    }
)


def find(layout: Layout, *, mirrored: bool = False) -> BackupTools:
    """Return Barman, rsync and gpg, and what a copy in S3 is kept with where one is `mirrored`.

    Raises MissingBackupToolError for the first that is missing.
    """
    if not BARMAN.is_there(layout):
        raise MissingBackupToolError(f"Barman {BARMAN.version} is not in the toolchain", hint=_FIX)
    if mirrored and not S3.is_there(layout):
        raise MissingBackupToolError(
            f"boto3 {S3.version} is not in the toolchain, and backup.s3 needs it",
            hint="`pgstead doctor --fix` fetches it without root",
        )
    rsync, gpg = _program("rsync", layout), _program("gpg", layout)
    fetched = any(str(layout.toolchain) in path for path in (rsync, gpg))
    return BackupTools(
        version=BARMAN.version,
        python=sys.executable,
        packages=str(BARMAN.place(layout)),
        rsync=rsync,
        gpg=gpg,
        library_path=fetched_libraries(layout) if fetched else "",
        s3=str(S3.place(layout)) if mirrored else "",
    )


def _program(name: str, layout: Layout) -> str:
    found = shutil.which(name, path=_SYSTEM)
    if found is not None:
        return found
    fetched = sorted(Path(layout.toolchain, name).glob(f"*/usr/bin/{name}"), reverse=True)
    if not fetched:
        raise MissingBackupToolError(
            f"there is no {name} on this machine, and Barman needs it",
            hint=f"`apt-get install {_DEBS[name].install}`, or {_FIX}",
        )
    return str(fetched[0])


def fetch(layout: Layout, *, mirrored: bool = False) -> None:
    """Fetch what `find` misses; what is there stays. Raises HostError or NoNetworkError."""
    BARMAN.fetch(layout)
    if mirrored:
        S3.fetch(layout)
    for name, deb in _DEBS.items():
        try:
            _program(name, layout)
        except MissingBackupToolError:
            debian.fetch_programs(name, deb.packages, deb.files, layout)
    _must_run(find(layout))


def _must_run(tools: BackupTools) -> None:
    """Raise HostError where a program that was fetched cannot start."""
    for path in (tools.rsync, tools.gpg):
        missing = elf.linkage([path], library_path=tools.library_path).missing
        if missing:
            raise HostError(
                f"{path} needs {', '.join(missing)}, which this machine does not have",
                hint=f"`apt-get install {' '.join(elf.packages(missing))}`",
            )
