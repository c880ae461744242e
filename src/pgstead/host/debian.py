"""Debian's packages as data: fetched with an apt state of our own, unpacked, never installed.

Works for root and for everyone: the machine's sources, keys and proxies are used as they are,
but lists and cache lie in a directory of ours. No maintainer script runs.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from pgstead.errors import HostError, NoNetworkError
from pgstead.host import programs
from pgstead.host.files import problem
from pgstead.model.layout import Layout

_STATUS = Path("/var/lib/dpkg/status")
_INST = re.compile(r"^Inst (\S+) ", re.MULTILINE)
_NETWORK = ("Could not resolve", "Failed to fetch", "Unable to connect", "Connection", "Err:")
# Hooks of the machine's own configuration (docker-clean and the like) write where we may not.
_NO_HOOKS = (
    "#clear APT::Update::Pre-Invoke;\n"
    "#clear APT::Update::Post-Invoke;\n"
    "#clear APT::Update::Post-Invoke-Success;\n"
)
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


def fetch_pgbouncer(layout: Layout) -> Path:
    """Fetch PgBouncer and what it needs into the toolchain; return the path of its binary."""
    with _workplace() as place:
        apt = _Apt(Path(place))
        apt.update()
        tree = apt.unpack("pgbouncer")
        binary = tree / "usr" / "sbin" / "pgbouncer"
        if not binary.is_file():
            raise HostError("the package pgbouncer holds no /usr/sbin/pgbouncer")
        _take_libraries(tree, layout)
        home = Path(layout.toolchain, "pgbouncer", apt.version("pgbouncer"), "usr", "sbin")
        _place(binary, home / "pgbouncer")
        return home / "pgbouncer"


def fetch_programs(
    name: str, packages: Sequence[str], files: Sequence[str], layout: Layout
) -> Path:
    """Fetch programs of /usr/bin and what they need into the toolchain; return their directory."""
    with _workplace() as place:
        apt = _Apt(Path(place))
        apt.update()
        tree = apt.unpack(*packages)
        _take_libraries(tree, layout)
        home = Path(layout.toolchain, name, apt.version(packages[0]), "usr", "bin")
        for file in files:
            source = tree / "usr" / "bin" / file
            if not source.is_file():
                raise HostError(f"the packages {', '.join(packages)} hold no /usr/bin/{file}")
            _place(source, home / file)
        return home


def fetch_libraries(packages: Sequence[str], layout: Layout) -> Path:
    """Fetch missing libraries into the toolchain; return the directory for LD_LIBRARY_PATH."""
    with _workplace() as place:
        apt = _Apt(Path(place))
        apt.update()
        _take_libraries(apt.unpack(*packages), layout)
    return Path(layout.toolchain, "lib")


def _workplace() -> AbstractContextManager[str]:
    # Not below the state directory: apt's options know no way to quote some characters.
    return tempfile.TemporaryDirectory(prefix="pgstead-apt-", ignore_cleanup_errors=True)


class _Apt:
    """apt with its lists and cache in one directory."""

    def __init__(self, place: Path) -> None:
        if shutil.which("apt-get") is None:
            raise HostError(
                "there is no apt-get on this machine to fetch packages with",
                hint="install PgBouncer by the system's means (`brew install pgbouncer`,"
                " `dnf install pgbouncer`)",
            )
        self._place = place
        for name in ("state/lists/partial", "cache/archives/partial", "debs", "tree"):
            (place / name).mkdir(parents=True)
        (place / "apt.conf").write_text(_NO_HOOKS, encoding="ascii")
        self._status = _STATUS

    def _run(self, program: str, *arguments: str) -> programs.Outcome:
        options = [
            f"Dir::State={self._place / 'state'}",
            f"Dir::State::status={self._status}",
            f"Dir::Cache={self._place / 'cache'}",
            f"Dir::Log={self._place}",
            # As root apt would become _apt, who cannot enter our directory.
            "APT::Sandbox::User=root",
            "APT::Install-Recommends=false",
            "Acquire::Retries=2",
            "Acquire::http::Timeout=20",
        ]
        command = [program, "--config-file", str(self._place / "apt.conf")]
        command += [part for option in options for part in ("-o", option)]
        kept = {name: os.environ[name] for name in _PROXIES if name in os.environ}
        return programs.run(
            [*command, *arguments],
            environment=kept,
            directory=str(self._place / "debs"),
            timeout=600,
        )

    def update(self) -> None:
        """Read the lists of the machine's sources."""
        outcome = self._run("apt-get", "update", "-q")
        found = any((self._place / "state" / "lists").glob("*_Packages*"))
        if not found:
            if any(sign in outcome.words for sign in _NETWORK):
                raise NoNetworkError(
                    f"the package lists could not be fetched: {_last(outcome)}",
                    hint="check the network and the sources in /etc/apt, or install by hand",
                )
            raise HostError(
                f"apt has no package lists: {_last(outcome)}",
                hint="see the sources in /etc/apt",
            )

    def unpack(self, *packages: str) -> Path:
        """Download packages with the libraries that this machine lacks; return their tree."""
        wanted = self._closure(packages)
        outcome = self._run("apt-get", "download", "-q", *wanted)
        debs = sorted((self._place / "debs").glob("*.deb"))
        if not outcome.ok or len(debs) < len(wanted):
            raise NoNetworkError(
                f"fetching {', '.join(wanted)} failed: {_last(outcome)}",
                hint="check the network and the sources in /etc/apt, or install by hand",
            )
        tree = self._place / "tree"
        for deb in debs:
            done = programs.run(["dpkg-deb", "--extract", str(deb), str(tree)], timeout=120)
            if not done.ok:
                raise HostError(f"unpacking {deb.name} failed: {_last(done)}")
        return tree

    def _closure(self, packages: Sequence[str]) -> list[str]:
        """Return the packages with the libraries that apt would install beside them.

        dpkg's records may be broken or absent; then all is resolved as on an empty machine, and
        what this one has already is left out.
        """
        outcome = self._run("apt-get", "--simulate", "install", *packages)
        missing = set(_INST.findall(outcome.out)) if outcome.ok else self._from_scratch(packages)
        libraries = {name for name in missing if name.startswith(("lib", "zlib"))}
        # Where a package was renamed for 64-bit time, apt resolves its old name but does not
        # download by it (https://wiki.debian.org/ReleaseGoals/64bit-time).
        renamed = {name for name in packages if f"{name}t64" in missing}
        return sorted({*packages, *libraries} - renamed)

    def _from_scratch(self, packages: Sequence[str]) -> set[str]:
        self._status = self._place / "status"
        self._status.touch()
        outcome = self._run("apt-get", "--simulate", "install", *packages)
        if not outcome.ok:
            raise HostError(
                f"apt cannot resolve {', '.join(packages)}: {_last(outcome)}",
                hint="see the sources in /etc/apt; the component `main` is needed",
            )
        known = programs.run(["dpkg-query", "--show", "--showformat", "${Package}\\n"])
        return set(_INST.findall(outcome.out)) - set(known.out.split())

    def version(self, package: str) -> str:
        """Return the version of a package that was downloaded."""
        for deb in (self._place / "debs").glob(f"{package}_*.deb"):
            told = programs.run(["dpkg-deb", "--field", str(deb), "Version"])
            if told.ok:
                return re.sub(r"[^A-Za-z0-9.+~-]", "_", told.out.strip())
        raise HostError(f"{package} was not downloaded")


def _last(outcome: programs.Outcome) -> str:
    lines = [line.strip() for line in outcome.words.splitlines() if line.strip()]
    grave = [line for line in lines if line.startswith(("E:", "Err:", "W:"))]
    return " | ".join((grave or lines)[-2:])


def _take_libraries(tree: Path, layout: Layout) -> None:
    """Copy shared libraries, whatever the architecture's directory is called, into one place."""
    for above in ("usr/lib", "lib"):
        for path in sorted((tree / above).glob("*/lib*.so*")):
            _place(path, Path(layout.toolchain, "lib", path.name))


def _place(source: Path, target: Path) -> None:
    """Copy a file or a link to its place in one step, readable to the servers' user."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        shutil.copy2(source, temporary, follow_symlinks=False)
        if not temporary.is_symlink():
            temporary.chmod(0o755 if os.access(source, os.X_OK) else 0o644)
        temporary.replace(target)
    except OSError as error:
        raise problem(error, target, "placing") from error
