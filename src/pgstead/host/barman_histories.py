"""History files of timelines in Barman's repository: opened, so that Barman itself can read them.

Barman 3.19 seals them like WAL, and then cannot list a single backup that a timeline has branched
from: what reads them only unpacks. They hold numbers of timelines and places in the WAL, no row.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from pgstead.host import gpg
from pgstead.host.files import problem
from pgstead.model.backup import SERVER, BackupPlan
from pgstead.model.host import BackupTools

_SUFFIX = ".history"
_NONE = "None"  # how Barman writes that a file is not encrypted


def open_all(plan: BackupPlan, tools: BackupTools, locks: Path) -> None:
    """Decrypt history files in place, and have Barman's list of WAL say so.

    `locks` is Barman's own directory of locks. Raises HostError for a key that does not open.
    """
    found = sorted(Path(plan.wals).glob(f"*{_SUFFIX}"))
    if not found:
        return
    index = Path(plan.wals, f"{SERVER}-xlog.db")
    if not any(gpg.sealed_to(path) for path in found) and not _stale(index):
        return
    with _locked(locks / f".{SERVER}-xlogdb.lock"):
        try:
            for path in found:
                if gpg.sealed_to(path):  # somebody else may have opened it while we waited
                    _open(plan, tools, path)
            _correct(index)
        except OSError as error:
            raise problem(error, index, "writing") from error


def _open(plan: BackupPlan, tools: BackupTools, path: Path) -> None:
    opened = path.with_name(f".{path.name}.opened")
    with gpg.keyring(tools, Path(plan.key), Path(plan.passphrase)) as home:
        gpg.decrypt(tools, home, Path(plan.passphrase), path, opened)
    opened.replace(path)


def _stale(index: Path) -> bool:
    try:
        lines = index.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return False
    return any(_corrected(index.parent, line) != line for line in lines)


def _correct(index: Path) -> None:
    try:
        lines = index.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return
    temporary = index.with_name(f".{index.name}.new")
    text = "".join(f"{_corrected(index.parent, line)}\n" for line in lines)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(index)


def _corrected(wals: Path, line: str) -> str:
    """Return a line of the list as the file is: name, size, time, compression, encryption."""
    fields = line.split("\t")
    if len(fields) != 5 or not fields[0].endswith(_SUFFIX) or fields[4] == _NONE:
        return line
    path = wals / fields[0]
    return "\t".join([fields[0], str(path.stat().st_size), *fields[2:4], _NONE])


@contextmanager
def _locked(path: Path) -> Generator[None]:
    """Hold Barman's lock of its list; the kernel lets go of it when we end."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
