"""Files below the state directory: written whole, with the mode and owner that were meant.

As root we write into directories that belong to the servers' user, who could plant symbolic
links there. So nothing here follows a link at the end of a path, and modes and owners are set
on the open file.
"""

from __future__ import annotations

import errno
import os
import pwd
import shutil
import stat
from pathlib import Path, PurePath, PurePosixPath

from pgstead.errors import StateDirectoryError
from pgstead.host import programs
from pgstead.ports import FileFacts

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


def problem(error: OSError, path: PurePath, doing: str) -> StateDirectoryError:
    """Say what the system refused, and what to do about it."""
    where = f"{doing} {path} failed: {(error.strerror or str(error)).lower()}"
    if error.errno in _FULL:
        return StateDirectoryError(
            where, hint=f"free space on the file system of {path.parent} (`df -h`, `df -i`)"
        )
    if error.errno in _REFUSED:
        return StateDirectoryError(
            where, hint='give this user the directory, or choose another: state = "/a/directory"'
        )
    return StateDirectoryError(where, hint='choose another directory: state = "/a/directory"')


def sync_directory(path: PurePath) -> None:
    """Make a rename in a directory survive a crash of the machine."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _owner_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _give(handle: int, owner: str | None) -> None:
    """Hand an open file to a user; only root can, and for others it is theirs already."""
    if os.geteuid() != 0:
        return
    who = programs.account(owner) if owner is not None else None
    os.fchown(handle, who.uid if who else 0, who.gid if who else 0)


class LocalFiles:
    """`ports.Files` on this machine; relative paths are below the state directory."""

    def __init__(self, state: PurePosixPath) -> None:
        """Keep the state directory."""
        self._state = state

    def _path(self, path: PurePosixPath) -> PurePosixPath:
        return self._state / path

    def read(self, path: PurePosixPath) -> FileFacts | None:
        """Return the file, or None where there is none."""
        full = self._path(path)
        try:
            handle = os.open(full, os.O_RDONLY | os.O_NOFOLLOW)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            if error.errno == errno.ELOOP:  # a link where we write files: not our file
                return None
            raise problem(error, full, "reading") from error
        with os.fdopen(handle, encoding="utf-8", errors="surrogateescape", newline="") as file:
            facts = os.fstat(handle)
            return FileFacts(file.read(), stat.S_IMODE(facts.st_mode), _owner_name(facts.st_uid))

    def mode(self, path: PurePosixPath) -> int | None:
        """Return the permission bits without reading the file."""
        full = self._path(path)
        try:
            return stat.S_IMODE(os.lstat(full).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise problem(error, full, "looking at") from error

    def write(
        self, path: PurePosixPath, text: str, *, mode: int = 0o644, owner: str | None = None
    ) -> None:
        """Write a file whole; parents are made. `owner` is an OS user, applied only as root."""
        full = self._path(path)
        self._make_parents(full)
        temporary = full.with_name(f".{full.name[:200]}.{os.getpid()}.new")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        try:
            # what a killed run with the same pid may have left
            temporary_path = Path(temporary)
            temporary_path.unlink(missing_ok=True)
            handle = os.open(temporary, flags, 0o600)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(text.encode("utf-8", "surrogateescape"))
                    file.flush()
                    _give(handle, owner)
                    os.fchmod(handle, mode)
                    os.fsync(handle)
                temporary_path.replace(full)
            except BaseException:
                temporary_path.unlink(missing_ok=True)
                raise
            sync_directory(full.parent)
        except OSError as error:
            raise problem(error, full, "writing") from error

    def _make_parents(self, full: PurePosixPath) -> None:
        try:
            Path(full.parent).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise problem(error, full.parent, "making") from error

    def make_directory(
        self, path: PurePosixPath, *, mode: int = 0o755, owner: str | None = None
    ) -> None:
        """Make a directory with exactly this mode, whatever the umask."""
        full = self._path(path)
        self._make_parents(full)
        try:
            Path(full).mkdir(mode=0o700, exist_ok=True)
            handle = os.open(full, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                _give(handle, owner)
                os.fchmod(handle, mode)
            finally:
                os.close(handle)
        except OSError as error:
            raise problem(error, full, "making") from error

    def remove(self, path: PurePosixPath) -> None:
        """Remove a file or a whole tree; nothing there is no error."""
        full = Path(self._path(path))
        try:
            if full.is_dir() and not full.is_symlink():
                shutil.rmtree(full)
            else:
                full.unlink(missing_ok=True)
        except FileNotFoundError:
            return
        except OSError as error:
            raise problem(error, full, "removing") from error

    def sweep(self, directory: PurePosixPath) -> tuple[PurePosixPath, ...]:
        """Remove a directory when it is empty; return what lies in it otherwise."""
        full = Path(self._path(directory))
        try:
            left = tuple(sorted(PurePosixPath(path) for path in full.iterdir()))
            if not left:
                full.rmdir()
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise problem(error, full, "removing") from error
        return left
