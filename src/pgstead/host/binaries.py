"""Finding PostgreSQL's binaries: the manifest's, the system's, the toolchain's, in this order."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pgstead.errors import (
    HostError,
    MissingLibraryError,
    MissingServerError,
    StateDirectoryError,
)
from pgstead.host import elf, programs
from pgstead.model.host import HostFacts, ServerBuild
from pgstead.model.layout import Layout

_NEEDED = ("postgres", "initdb", "pg_controldata")
_VERSION = re.compile(r"\(PostgreSQL\) (?P<version>(?P<major>\d+)(?:\.\d+)*\S*)")
_UNSPEAKABLE = re.compile(r"[:;]|\$\{?(ORIGIN|LIB|PLATFORM)")
# In the data directory: whose it is, and which build made it.
MARK = "pgstead.json"
_FIX = "`pgstead doctor --fix` fetches what is missing"


def find(bindir: str | None, major: int, layout: Layout, host: HostFacts) -> ServerBuild:
    """Return the first build of the wanted major; once there is a cluster, the one that made it.

    Raises MissingServerError when there is none, MissingLibraryError when a build lacks a
    system library, HostError when the manifest's own bindir does not fit.
    """
    if bindir:
        return _manifest_build(str(Path(layout.manifest_directory, bindir)), major, layout, host)
    broken: list[MissingLibraryError] = []
    tried: list[str] = []
    for directory, origin in _candidates(major, layout):
        if not _complete(directory):
            continue
        tried.append(str(directory))
        try:
            build = probe(str(directory), origin, layout, host)
        except MissingLibraryError as error:
            if str(major) in str(directory):  # what PATH leads to may be of any major
                broken.append(error)
            continue
        except StateDirectoryError:
            raise
        except HostError:
            continue
        if build.major == major:
            return build
    if broken:
        raise broken[0]
    looked = f" (looked at {', '.join(tried)})" if tried else ""
    raise MissingServerError(
        f"there are no binaries of PostgreSQL {major} on this machine{looked}",
        hint=f"`pgstead toolchain add {major}` fetches them, or name a directory: server.bindir",
    )


def _manifest_build(bindir: str, major: int, layout: Layout, host: HostFacts) -> ServerBuild:
    missing = [name for name in _NEEDED if not Path(bindir, name).is_file()]
    if missing:
        raise MissingServerError(
            f"server.bindir is {bindir}, and there is no {missing[0]} in it",
            hint="it is the directory that `pg_config --bindir` prints",
        )
    build = probe(bindir, "manifest", layout, host)
    if build.major != major:
        raise HostError(
            f"server.bindir is PostgreSQL {build.version}, and server.major is {major}",
            hint="make them agree",
        )
    return build


def _complete(directory: Path) -> bool:
    return all((directory / name).is_file() for name in _NEEDED)


def _candidates(major: int, layout: Layout) -> Iterator[tuple[Path, str]]:
    """Yield directories to look at; PATH may lead to any major.

    A cluster keeps its binaries, also when a package with others is installed later: they could
    sort text differently (locale, libc), and nobody would have asked for it.
    """
    recorded = recorded_build(layout)
    if recorded.get("version", "").startswith(f"{major}."):
        yield Path(recorded["bindir"]), recorded["origin"]
    for place in (
        f"/usr/lib/postgresql/{major}/bin",  # Debian and Ubuntu
        f"/usr/pgsql-{major}/bin",  # the project's own packages for Red Hat
        f"/opt/homebrew/opt/postgresql@{major}/bin",
        f"/usr/local/opt/postgresql@{major}/bin",
    ):
        yield Path(place), "system"
    on_path = shutil.which("postgres")
    if on_path is not None:
        yield Path(on_path).resolve().parent, "system"
    for directory in toolchain_builds(layout, major):
        yield directory, "toolchain"


def recorded_build(layout: Layout) -> Mapping[str, str]:
    """Return the build that made the data directory, empty where there is none (or no mark)."""
    try:
        told: dict[str, Any] = json.loads(Path(layout.data, MARK).read_text(encoding="utf-8"))
        return {name: str(value) for name, value in told["build"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def born(layout: Layout) -> int:
    """Return the major whose initdb made the cluster, 0 where there is none.

    An upgrade leaves the databases with the collations that they have, and a backup takes the
    mark along to wherever it is restored.
    """
    try:
        told: dict[str, Any] = json.loads(Path(layout.data, MARK).read_text(encoding="utf-8"))
        major = Path(layout.data, "PG_VERSION").read_text(encoding="ascii")
        return int(told.get("born") or major)
    except (OSError, ValueError, TypeError, AttributeError):
        return 0


def newest(build: ServerBuild, layout: Layout, host: HostFacts) -> ServerBuild:
    """Return what the toolchain has that is newer than a build of the same major, or that build."""
    for directory in toolchain_builds(layout, build.major):
        if _numbers(directory.parent.name)[:2] <= _numbers(build.version)[:2]:
            break
        found = probe(str(directory), "toolchain", layout, host)
        if found.major == build.major:
            return replace(found, born=build.born)
    return build


def toolchain_builds(layout: Layout, major: int) -> list[Path]:
    """Return the toolchain's bin directories of a major, newest first."""
    found = Path(layout.toolchain, "postgresql").glob(f"{major}.*/bin")
    return sorted(found, key=lambda path: _numbers(path.parent.name), reverse=True)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))


def fetched_libraries(layout: Layout) -> str:
    """Return the toolchain's library directory, empty where nothing was fetched.

    Raises StateDirectoryError for a path that LD_LIBRARY_PATH cannot hold (ld.so(8)).
    """
    directory = Path(layout.toolchain, "lib")
    if not directory.is_dir():
        return ""
    if _UNSPEAKABLE.search(str(directory)):
        raise StateDirectoryError(
            f"the dynamic loader cannot be told of the libraries in {directory}: `:`, `;` and"
            " $ORIGIN mean something else to it",
            hint='install what is missing by apt-get, or choose another directory: state = "..."',
        )
    return str(directory)


def probe(bindir: str, origin: str, layout: Layout, host: HostFacts) -> ServerBuild:
    """Find out what a set of binaries is and can do, asking it as the servers' user.

    Raises MissingLibraryError or HostError.
    """
    user = host.server_user
    server = str(Path(bindir, "postgres"))
    if not programs.run(["test", "-x", server], user=user).ok:
        raise HostError(
            f"the servers' user {user!r} cannot execute {server}",
            hint="open its parents (`chmod a+x`), or choose other binaries: server.bindir",
        )
    library_path = ""
    # psql needs a library more (readline), and comes from the same build.
    tried = [server, *(str(p) for p in [Path(bindir, "psql")] if p.exists())]
    links = elf.linkage(tried, user=user)
    if links.missing:
        library_path = fetched_libraries(layout)
        links = elf.linkage(tried, library_path=library_path, user=user)
        _must_be_whole(links, server)
    said = _ask(server, "-V", user=user, library_path=library_path)
    match = _VERSION.search(said)
    if match is None:
        raise HostError(f"{server} does not say its version: {said!r}", hint=_FIX)
    configure = _configuration(bindir, "--configure", user, library_path)
    return ServerBuild(
        major=int(match["major"]),
        version=match["version"],
        bindir=bindir,
        origin=origin,
        tls=links.has("libssl") or "openssl" in configure,
        io_uring=links.has("liburing") or "--with-liburing" in configure,
        lz4=links.has("liblz4") or "--with-lz4" in configure,
        zstd=links.has("libzstd") or "--with-zstd" in configure,
        modules=_modules(bindir, user, library_path),
        library_path=library_path,
        notifies="--with-systemd" in configure,
    )


def _must_be_whole(links: elf.Linkage, program: str) -> None:
    if not links.missing:
        return
    known = elf.packages(links.missing)
    by_hand = f"`apt-get install {' '.join(known)}`, or " if known else ""
    raise MissingLibraryError(
        f"{program} needs {', '.join(links.missing)}, which this machine does not have",
        hint=f"{by_hand}`pgstead doctor --fix` fetches it without root",
        libraries=links.missing,
    )


def _ask(program: str, option: str, *, user: str, library_path: str) -> str:
    extra = {"LD_LIBRARY_PATH": library_path} if library_path else None
    outcome = programs.run([program, option], user=user, environment=extra, timeout=20)
    if not outcome.ok:
        raise HostError(f"`{program} {option}` failed: {outcome.words}", hint=_FIX)
    return outcome.out.strip()


def _configuration(bindir: str, option: str, user: str, library_path: str) -> str:
    """Return what pg_config says; empty where a build comes without it."""
    try:
        return _ask(str(Path(bindir, "pg_config")), option, user=user, library_path=library_path)
    except HostError:
        return ""


def _modules(bindir: str, user: str, library_path: str) -> frozenset[str]:
    """Return the loadable modules by name."""
    told = _configuration(bindir, "--pkglibdir", user, library_path)
    places = [told] if told else []
    places += [str(Path(bindir).parent / part) for part in ("lib/postgresql", "lib")]
    for place in places:
        names = frozenset(path.stem for path in Path(place).glob("*.so"))
        if "plpgsql" in names:
            return names
    return frozenset()
