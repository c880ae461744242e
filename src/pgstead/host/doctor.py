"""What a machine needs for a stead: looked at one by one, each with the way out; and mended."""

from __future__ import annotations

import os
import resource
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pgstead.catalog import gaps
from pgstead.errors import (
    HostError,
    MissingBackupToolError,
    MissingLibraryError,
    MissingPoolerError,
    MissingServerError,
)
from pgstead.host import (
    backup_tools,
    binaries,
    clock,
    cluster,
    debian,
    elf,
    leftovers,
    listening,
    pgbouncer,
    state,
    toolchain,
    users,
)
from pgstead.model.design import Notice
from pgstead.model.host import HostFacts
from pgstead.model.layout import Layout

_ZONES = Path("/usr/share/zoneinfo")
_SHARED = Path("/dev/shm")  # noqa: S108  # the memory file system, not a place for files
_ENOUGH_FILES = 4096
_ENOUGH_SHARED = 64 * 1024 * 1024  # Docker's default for /dev/shm; parallel queries need more
_FLOOR = (3, 11)
# A clock before this was never set: certificates would be valid in the past only.
_BUILT = datetime(2026, 1, 1, tzinfo=UTC)
_ROUNDS = 5  # a fetched library may need another one


@dataclass(frozen=True, slots=True)
class Needs:
    """What a manifest asks of the machine."""

    major: int
    bindir: str | None = None
    pooled: bool = True
    pooler_binary: str | None = None
    backed_up: bool = True
    mirrored: bool = False  # a copy of the backups is kept in S3
    ports: Mapping[int, str] = field(default_factory=dict[int, str])  # port -> manifest key


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    code: str
    ok: bool
    text: str
    hint: str = ""
    fixable: bool = False
    grave: bool = True  # without it nothing runs; else a warning

    @classmethod
    def of(cls, code: str, error: HostError, *, fixable: bool = False) -> Finding:
        """Return a finding for what could not be had."""
        return cls(code, ok=False, text=error.message, hint=error.hint, fixable=fixable)


def examine(needs: Needs, layout: Layout, host: HostFacts) -> list[Finding]:
    """Look at the machine. Changes nothing."""
    looks: list[Iterator[Finding]] = [
        _python(),
        _people(layout, host),
        _place(layout, host),
        _server(needs, layout, host),
        _pooler(needs, layout, host),
        _backup_tools(needs, layout),
        _tools(),
        _ports(needs, layout),
        _limits(),
        _time(),
    ]
    return [finding for look in looks for finding in look]


def fix(needs: Needs, layout: Layout, host: HostFacts, step: Callable[[str], None]) -> None:
    """Fetch what is missing and can be fetched: binaries, PgBouncer, libraries.

    Raises the HostError of what cannot be had.
    """
    state.prepare(layout, host)
    _fix_server(needs, layout, host, step)
    if needs.pooled:
        _fix_pooler(needs, layout, host, step)
    if needs.backed_up:
        _fix_backup_tools(needs, layout, step)


def _fix_server(needs: Needs, layout: Layout, host: HostFacts, step: Callable[[str], None]) -> None:
    for _ in range(_ROUNDS):
        try:
            binaries.find(needs.bindir, needs.major, layout, host)
        except MissingServerError:
            if needs.bindir:
                raise
            step(f"fetching the binaries of PostgreSQL {needs.major}")
            toolchain.add(needs.major, layout)
        except MissingLibraryError as error:
            _fix_libraries(error, layout, step)
        else:
            return
    binaries.find(needs.bindir, needs.major, layout, host)


def _fix_pooler(needs: Needs, layout: Layout, host: HostFacts, step: Callable[[str], None]) -> None:
    for _ in range(_ROUNDS):
        try:
            pgbouncer.find(needs.pooler_binary, layout, host)
        except MissingPoolerError:
            if needs.pooler_binary:
                raise
            step("fetching PgBouncer")
            debian.fetch_pgbouncer(layout)
        except MissingLibraryError as error:
            _fix_libraries(error, layout, step)
        else:
            return
    pgbouncer.find(needs.pooler_binary, layout, host)


def _fix_backup_tools(needs: Needs, layout: Layout, step: Callable[[str], None]) -> None:
    try:
        backup_tools.find(layout, mirrored=needs.mirrored)
    except MissingBackupToolError:
        step("fetching what makes the backups")
        backup_tools.fetch(layout, mirrored=needs.mirrored)


def _fix_libraries(error: MissingLibraryError, layout: Layout, step: Callable[[str], None]) -> None:
    wanted = elf.packages(error.libraries)
    if not wanted:
        raise error
    step(f"fetching {', '.join(wanted)}")
    debian.fetch_libraries(wanted, layout)


def _python() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding(
        "python",
        ok=sys.version_info >= _FLOOR,
        text=f"Python {version} at {sys.executable}",
        hint="pgstead needs 3.11 or newer",
    )


def _people(layout: Layout, host: HostFacts) -> Iterator[Finding]:
    if host.os_user == host.server_user:
        yield Finding("users", ok=True, text=f"everything runs as {host.os_user!r}")
    else:
        yield Finding(
            "users",
            ok=True,
            text=f"running as root; servers as {host.server_user!r}, HTTP services as"
            f" {host.service_user!r}",
        )
    beside = Path(layout.manifest_directory, state.STATE)
    entered = users.can_traverse(beside, host.server_user)
    text = (
        f"the servers' user can enter {layout.manifest_directory}"
        if entered
        else f"the servers' user cannot enter {layout.manifest_directory}: the state lies in"
        f" {layout.state}"
    )
    yield Finding("checkout", ok=True, text=text)


def _place(layout: Layout, host: HostFacts) -> Iterator[Finding]:
    nearest = Path(layout.state)
    while not nearest.exists():
        nearest = nearest.parent
    writable = os.access(nearest, os.W_OK | os.X_OK)
    yield Finding(
        "state-directory",
        ok=writable,
        text=f"the state lies in {layout.state}"
        + ("" if writable else f", and {host.os_user!r} cannot write to {nearest}"),
        hint='give this user the directory, or choose another: state = "/a/directory"',
    )
    free = shutil.disk_usage(nearest).free
    there = Path(layout.data, "PG_VERSION").exists()
    yield Finding(
        "space",
        ok=free >= state.NEEDED,
        text=f"{free // 2**20} MB are free there",
        hint=f"a new stead needs {state.NEEDED // 2**20} MB, and a full disk stops the server",
        grave=not there,
    )


def _server(needs: Needs, layout: Layout, host: HostFacts) -> Iterator[Finding]:
    try:
        build = binaries.find(needs.bindir, needs.major, layout, host)
    except MissingServerError as error:
        yield Finding.of("server", error, fixable=not needs.bindir)
    except MissingLibraryError as error:
        yield Finding.of("libraries", error, fixable=bool(elf.packages(error.libraries)))
    except HostError as error:
        yield Finding.of("server", error)
    else:
        text = f"PostgreSQL {build.version} ({build.origin}) in {build.bindir}"
        yield Finding("server", ok=True, text=text)
        yield Finding(
            "server-tls",
            ok=build.tls,
            text="these binaries know TLS" if build.tls else "these binaries have no TLS",
            hint="they will open no TCP port; the pooler with TLS is the only door",
            grave=False,
        )
        yield from map(_gap, gaps.of_server(build.version))
        yield from _identity(layout)
    yield Finding(
        "tzdata",
        ok=(_ZONES / "UTC").exists(),
        text=f"time zones in {_ZONES}",
        hint="`apt-get install tzdata`: the server reads them when it starts",
    )


def _identity(layout: Layout) -> Iterator[Finding]:
    """Compare this machine with the one that made the data directory."""
    made = binaries.recorded_build(layout).get("libc")
    here = cluster.libc()
    if made is None:
        return
    yield Finding(
        "libc",
        ok=made == here,
        text=f"the data directory was made on {made}"
        + ("" if made == here else f", this is {here}"),
        hint="indexes on text that libc sorts may be in another order now: REINDEX them",
        grave=False,
    )


def _pooler(needs: Needs, layout: Layout, host: HostFacts) -> Iterator[Finding]:
    if not needs.pooled:
        return
    try:
        build = pgbouncer.find(needs.pooler_binary, layout, host)
    except MissingLibraryError as error:
        fixable = bool(elf.packages(error.libraries))
        yield Finding.of("pooler-libraries", error, fixable=fixable)
    except MissingPoolerError as error:
        yield Finding.of("pooler", error, fixable=not needs.pooler_binary)
    else:
        text = f"PgBouncer {build.text} ({build.origin}) at {build.path}"
        yield Finding("pooler", ok=True, text=text)
        yield from map(_gap, gaps.of_pooler(build.version))


def _backup_tools(needs: Needs, layout: Layout) -> Iterator[Finding]:
    if not needs.backed_up:
        return
    try:
        tools = backup_tools.find(layout, mirrored=needs.mirrored)
    except MissingBackupToolError as error:
        yield Finding.of("backup-tools", error, fixable=True)
    else:
        text = f"Barman {tools.version} with {tools.rsync} and {tools.gpg}"
        yield Finding("backup-tools", ok=True, text=text)


def _gap(notice: Notice) -> Finding:
    return Finding(notice.code, ok=False, text=notice.text, hint=notice.hint, grave=False)


def _tools() -> Iterator[Finding]:
    for name in ("setpriv", "flock"):
        found = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
        yield Finding(
            name,
            ok=found is not None,
            text=f"{name} at {found}" if found else f"{name} is missing",
            hint="`apt-get install util-linux`: without it a killed supervisor leaves servers"
            " running until the next one ends them",
            grave=False,
        )


def _ports(needs: Needs, layout: Layout) -> Iterator[Finding]:
    ours = {process.pid for process in leftovers.everything(layout)}
    for port, key in needs.ports.items():
        who = listening.holder(port)
        mine = who is not None and who.pid in ours
        what = "free" if who is None else "in use by this stead" if mine else f"taken by {who}"
        yield Finding(
            f"port-{port}",
            ok=who is None or mine,
            text=f"port {port} ({key}) is {what}",
            hint=f"end that process, or choose another port: {key}",
        )


def _limits() -> Iterator[Finding]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = hard == resource.RLIM_INFINITY or hard >= _ENOUGH_FILES
    yield Finding(
        "open-files",
        ok=enough,
        text=f"a process may open {soft} files, at most {hard}",
        hint=f"raise the hard limit to {_ENOUGH_FILES}: each client of the pooler takes one",
        grave=False,
    )
    try:
        shared = shutil.disk_usage(_SHARED).total
    except OSError:
        return
    yield Finding(
        "shared-memory",
        ok=shared > _ENOUGH_SHARED,
        text=f"{_SHARED} has {shared // 2**20} MB",
        hint="parallel queries may fail with 'No space left on device'; in Docker: --shm-size",
        grave=False,
    )


def _time() -> Iterator[Finding]:
    now = clock.now()
    yield Finding(
        "clock",
        ok=now > _BUILT,
        text=f"the clock says {clock.stamp(now)}",
        hint="set it: certificates are valid for a span of time",
    )
