"""Barman and what it calls: found, or fetched into the toolchain.

Barman is a program beside us, in a directory of packages of its own: its licence, its driver and
its versions are never mixed with ours (docs/adr/0024). rsync and gpg are the system's, or taken
from Debian's packages as data.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import MappingProxyType

from pgstead.errors import HostError, MissingBackupToolError, NoNetworkError
from pgstead.host import debian, elf, programs
from pgstead.host.binaries import fetched_libraries
from pgstead.host.files import problem, sync_directory
from pgstead.model.host import BackupTools
from pgstead.model.layout import Layout

_PINS = "data/barman.txt"
_PINNED = re.compile(r"^barman==(?P<version>\S+) ; python_full_version (?P<side><|>=) '3\.12'")
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


def wanted_version() -> str:
    """Return the version of Barman that is pinned for this interpreter."""
    side = ">=" if sys.version_info >= (3, 12) else "<"
    text = resources.files("pgstead.catalog").joinpath(_PINS).read_text(encoding="utf-8")
    for line in text.splitlines():
        match = _PINNED.match(line)
        if match and match["side"] == side:
            return match["version"]
    raise AssertionError("barman.txt pins no Barman")


def find(layout: Layout) -> BackupTools:
    """Return Barman, rsync and gpg. Raises MissingBackupToolError for the first that is missing."""
    version = wanted_version()
    packages = _packages(layout, version)
    if not (packages / "barman" / "__init__.py").is_file():
        raise MissingBackupToolError(f"Barman {version} is not in the toolchain", hint=_FIX)
    rsync, gpg = _program("rsync", layout), _program("gpg", layout)
    fetched = any(str(layout.toolchain) in path for path in (rsync, gpg))
    return BackupTools(
        version=version,
        python=sys.executable,
        packages=str(packages),
        rsync=rsync,
        gpg=gpg,
        library_path=fetched_libraries(layout) if fetched else "",
    )


def _packages(layout: Layout, version: str) -> Path:
    # Compiled modules fit one version of Python.
    tag = f"{sys.implementation.cache_tag}"
    return Path(layout.toolchain, "barman", f"{version}-{tag}")


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


def fetch(layout: Layout) -> None:
    """Fetch what `find` misses; what is there stays. Raises HostError or NoNetworkError."""
    _fetch_barman(layout)
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


def _fetch_barman(layout: Layout) -> None:
    place = _packages(layout, wanted_version())
    if (place / "barman" / "__init__.py").is_file():
        return
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        for left in place.parent.glob(".fetching-*"):  # of a run that was killed
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=".fetching-", dir=place.parent) as temporary:
            tree = Path(temporary, "packages")
            _install(tree)
            tree.chmod(0o755)
            tree.rename(place)
            sync_directory(place.parent)
    except OSError as error:
        raise problem(error, place, "placing") from error


def _install(tree: Path) -> None:
    pins = resources.files("pgstead.catalog").joinpath(_PINS)
    with resources.as_file(pins) as path:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--no-deps"]
        command += ["--disable-pip-version-check", "--only-binary=:all:", "--require-hashes"]
        command += ["--no-compile", "--target", str(tree), "--requirement", str(path)]
        # pip is configured by the user's environment: proxies, mirrors, certificates
        outcome = programs.run(command, environment=dict(os.environ), timeout=600)
    if outcome.ok and (tree / "barman").is_dir():
        return
    told = " ".join(outcome.err.splitlines()[-2:])
    if "No module named pip" in outcome.words:
        raise HostError(
            f"this interpreter has no pip: {sys.executable}",
            hint=f"`{sys.executable} -m ensurepip` adds it",
        )
    if "hash" in told.lower():
        raise HostError(
            f"fetching Barman failed: {told}",
            hint="what came is not what was pinned; the mirror in between may have changed it",
        )
    raise NoNetworkError(
        f"fetching Barman failed: {told}",
        hint="check network, proxy and pip's configuration, or do without: [backup] enabled ="
        " false",
    )
