"""The directory that images are built from: self-contained, and only changed where it must be.

All files bear one time, so that a builder whose cache heeds times (buildah) finds what it built of
the same contents, from another directory too.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import re
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from importlib import resources
from pathlib import Path

from pgstead.errors import HostError, NoNetworkError, UsageError
from pgstead.host import pip
from pgstead.host.files import problem

_LEFT_OUT = frozenset({"__pycache__", ".git", ".pgstead", ".venv", "node_modules"})
_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[(?P<extras>[^\]]*)\])?")
_EXTRA = re.compile(r"""extra\s*==\s*['"]([^'"]+)""")
_SIDE = re.compile(r" ; python_full_version (<|>=) '3\.12'")
_TIME = (946_684_800, 946_684_800)  # 2000-01-01
_MARK = ".pgstead-containers"  # whoever has it was made by us, and may be written anew


def claim(directory: Path) -> None:
    """Make the directory, or take it where it is empty or ours. Raises UsageError otherwise."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()) and not (directory / _MARK).exists():
            raise UsageError(
                f"{directory} is not empty, and was not made by `pgstead render compose`",
                hint="name another directory: --out DIR",
            )
        (directory / _MARK).touch()
    except OSError as error:
        raise problem(error, directory, "making") from error


def write(directory: Path, files: Mapping[str, str]) -> tuple[str, ...]:
    """Write texts; return the names of those that changed."""
    return tuple(n for n, text in files.items() if _put(directory / n, text.encode()))


def _put(path: Path, content: bytes) -> bool:
    try:
        if path.is_file() and path.read_bytes() == content:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o644)
        os.utime(path, _TIME)
    except OSError as error:
        raise problem(error, path, "writing") from error
    return True


def copy_trees(directory: Path, trees: Mapping[str, Path], without: Collection[Path] = ()) -> bool:
    """Make `directory` hold these files and trees alone; return whether anything changed.

    `without` are directories that are left out.
    """
    wanted: dict[Path, Path] = {}
    for target, source in trees.items():
        if not source.exists():
            raise UsageError(
                f"the manifest names {source}, and there is nothing",
                hint="paths in the manifest start from where it lies",
            )
        for path in _files(source, without):
            wanted[directory / target / path.relative_to(source)] = path
    changed = False
    for path in _files(directory) if directory.is_dir() else ():
        if path not in wanted:
            path.unlink()
            changed = True
    for target, source in wanted.items():
        changed |= _put(target, source.read_bytes())
    return changed


def digest(trees: Mapping[str, Mapping[str, Path]], without: Collection[Path] = ()) -> str:
    """Return one word for the names and contents of all that is copied."""
    told = hashlib.sha256()
    for name, sources in sorted(trees.items()):
        for target, source in sorted(sources.items()):
            for path in _files(source, without):
                place = Path(name, target, path.relative_to(source))
                content = hashlib.sha256(path.read_bytes()).hexdigest()
                told.update(f"{place} {content}\n".encode())
    return told.hexdigest()


def _files(place: Path, without: Collection[Path] = ()) -> Iterator[Path]:
    if place.is_file():
        yield place
        return
    for folder, names, files in os.walk(place):
        names[:] = sorted(n for n in set(names) - _LEFT_OUT if Path(folder, n) not in without)
        yield from (Path(folder, name) for name in sorted(files) if not name.endswith(".pyc"))


def own_package() -> Mapping[str, Path]:
    """Return where the code of this pgstead lies, and what tells its version."""
    code = resources.files("pgstead")
    found = importlib.metadata.distribution("pgstead")
    name = f"pgstead-{found.version}.dist-info/METADATA"
    metadata = next((f for f in found.files or () if f.name == "METADATA"), None)
    place = None if metadata is None else Path(str(found.locate_file(metadata)))
    if place is None or not place.is_file():
        raise HostError("pgstead is not installed as a package here", hint="`pip install` it")
    return {"pgstead": Path(str(code)), name: place}


def own_pins() -> str:
    """Return the packages that pgstead runs with here, with their versions."""
    found: dict[str, str] = {}
    _collect("pgstead", frozenset(), found)
    del found["pgstead"]
    return "".join(f"{name}=={version}\n" for name, version in sorted(found.items()))


def _collect(name: str, extras: frozenset[str], found: dict[str, str]) -> None:
    """Add a package and what it requires, as far as that is installed: markers are not judged."""
    key = re.sub(r"[-_.]+", "-", name).lower()
    try:
        package = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return
    if key in found and not extras:
        return
    found[key] = package.version
    for line in package.requires or ():
        match = _REQUIREMENT.match(line)
        wanted = _EXTRA.search(line)
        if match is not None and (wanted is None or wanted[1] in extras):
            more = frozenset(filter(None, (match["extras"] or "").replace(" ", "").split(",")))
            _collect(match["name"], more, found)


def fetch_wheels(directory: Path, requirements: Iterable[str], python: str) -> None:
    """Have pip fetch wheels for a Python, as the user's pip is configured here.

    Each of `requirements` is the text of a file. Raises NoNetworkError or HostError.
    """
    wheels = directory / "wheels"
    wheels.mkdir(exist_ok=True)
    for text in requirements:
        if _all_there(wheels, text):
            continue
        listed = directory / ".fetching.txt"
        _put(listed, for_python(text, python).encode())
        try:
            _download(listed, wheels, python)
        finally:
            listed.unlink(missing_ok=True)
        for wheel in wheels.glob("*.whl"):
            os.utime(wheel, _TIME)
        _put(wheels / _stamp(text), b"")


def for_python(text: str, python: str) -> str:
    """Return pins without those for another Python: pip's markers judge the one that runs pip."""
    side = ">=" if tuple(map(int, python.split("."))) >= (3, 12) else "<"
    kept: list[str] = []
    within = True
    for line in text.splitlines():
        if line[:1] not in (" ", "\t"):
            match = _SIDE.search(line)
            within = match is None or match[1] == side
        if within:
            kept.append(_SIDE.sub("", line))
    return "\n".join(kept) + "\n"


def _stamp(text: str) -> str:
    return f".{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _all_there(wheels: Path, text: str) -> bool:
    return (wheels / _stamp(text)).exists()


def _download(listed: Path, wheels: Path, python: str) -> None:
    where = ("--python-version", python, "--dest", str(wheels), "--requirement", str(listed))
    outcome = pip.run("download", *where, timeout=900)
    if outcome.ok:
        return
    told = " ".join(outcome.err.splitlines()[-2:])
    raise NoNetworkError(
        f"fetching packages for Python {python} failed: {told}",
        hint="check network, proxy and pip's configuration; `containers.python` names the version",
    )


def remove(directory: Path) -> None:
    """Remove a directory that is ours."""
    if (directory / _MARK).exists():
        shutil.rmtree(directory)
