"""The data directory: made whole by initdb or not at all, and never taken for another's."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

from pgstead.errors import ForeignStateError, InitializationError, StateDirectoryError
from pgstead.host import clock, programs
from pgstead.host.binaries import MARK
from pgstead.host.files import LocalFiles, problem, sync_directory
from pgstead.model.design import Design
from pgstead.model.host import HostFacts, ServerBuild
from pgstead.model.layout import Layout
from pgstead.model.resources import Cluster

_CHECKSUMS = re.compile(r"^Data page checksum version:\s*(\d+)", re.MULTILINE)
# Relative to the data directory, so that no path needs quoting and a moved state still works.
_INCLUDE = "include '../pgstead.conf'"


class DataDirectory:
    """`ports.ClusterHost` by initdb and pg_controldata."""

    def __init__(self, layout: Layout, host: HostFacts, build: ServerBuild, stead_id: str) -> None:
        """Keep what a data directory of this stead must be."""
        self._layout = layout
        self._files = LocalFiles(layout.state)
        self._user = host.server_user
        self._build = build
        self._stead_id = stead_id

    def inspect(self) -> Cluster | None:
        """Return what the data directory is. Raises ForeignStateError for another stead's."""
        data = self._layout.data
        version = self._files.read(data / "PG_VERSION")
        if version is None:
            self._must_be_vacant()
            return None
        mark = self._mark()
        major = int(version.text.strip())
        if mark["stead_id"] != self._stead_id:
            raise ForeignStateError(
                f"the data directory {data} belongs to another stead"
                f" ({mark.get('name', mark['stead_id'])!r})",
                hint='choose another directory for this one: state = "/a/directory"',
            )
        if major != self._build.major:
            raise ForeignStateError(
                f"the data directory {data} is of PostgreSQL {major}, the binaries in"
                f" {self._build.bindir} are {self._build.version}",
                hint=f"set server.major = {major}, or `pgstead upgrade --rehearse` the way on",
            )
        return Cluster(
            major=major,
            checksums=self._checksums(),
            encoding=mark["encoding"],
            locale_provider=mark["locale_provider"],
            locale=mark["locale"],
            stead_id=mark["stead_id"],
        )

    def _must_be_vacant(self) -> None:
        """Refuse a directory that holds something else: it is not ours to replace."""
        try:
            vacant = not any(Path(self._layout.data).iterdir())
        except FileNotFoundError:
            return
        except OSError as error:
            raise problem(error, self._layout.data, "looking at") from error
        if not vacant:
            raise ForeignStateError(
                f"{self._layout.data} is not empty, and it is no data directory of PostgreSQL",
                hint='move it away, or choose another directory: state = "/a/directory"',
            )

    def _mark(self) -> dict[str, Any]:
        path = self._layout.data / MARK
        found = self._files.read(path)
        if found is None:
            raise ForeignStateError(
                f"the data directory {self._layout.data} was not made by pgstead",
                hint='choose another directory: state = "/a/directory"',
            )
        try:
            told: dict[str, Any] = json.loads(found.text)
            needed = {"stead_id", "encoding", "locale_provider", "locale", "build"}
            if needed <= told.keys():
                return told
        except ValueError:
            pass
        raise ForeignStateError(
            f"{path} does not say which stead the data directory belongs to",
            hint="restore it from a backup of the data directory",
        )

    def _checksums(self) -> bool:
        outcome = self._run("pg_controldata", "-D", str(self._layout.data))
        match = _CHECKSUMS.search(outcome.out)
        if match is None:
            raise StateDirectoryError(
                f"pg_controldata cannot read {self._layout.data}: {outcome.words}",
                hint="restore the data directory from a backup",
            )
        return match[1] != "0"

    def _run(self, program: str, *arguments: str, timeout: float = 60) -> programs.Outcome:
        extra = {"LD_LIBRARY_PATH": self._build.library_path} if self._build.library_path else {}
        command = [str(Path(self._build.bindir, program)), *arguments]
        return programs.run(
            command, user=self._user, environment=extra, timeout=timeout, umask=0o077
        )

    def initialize(self, wanted: Cluster, design: Design) -> None:
        """Run initdb in a temporary directory, fsync, rename. Raises InitializationError."""
        self.sweep()
        server = self._layout.server
        _must_not_be_restored(Path(server))
        self._files.make_directory(server, mode=0o700, owner=self._user)
        temporary = server / f"data.{os.getpid()}.new"
        try:
            self._initdb(temporary, wanted, design)
            self._complete(temporary, wanted, design)
            # Onto nothing or onto an empty directory: rename(2) refuses anything else.
            Path(temporary).rename(self._layout.data)
            sync_directory(server)
        except OSError as error:
            raise problem(error, self._layout.data, "making") from error
        finally:
            self._files.remove(temporary)

    def initialize_beside(
        self, place: PurePosixPath, wanted: Cluster, design: Design, *, segment: int
    ) -> None:
        """Run initdb in a new directory that another cluster is upgraded into.

        `wanted` says what that one is, `segment` the bytes of its WAL segments: pg_upgrade takes
        no others. Raises InitializationError.
        """
        self._initdb(place, wanted, design, "--wal-segsize", str(segment // 2**20))
        self._complete(place, wanted, design)

    def record_build(self) -> None:
        """Write down that the binaries at hand are those of this data directory from now on."""
        path = self._layout.data / MARK
        told = self._mark() | {"build": self._identity()}
        text = json.dumps(told, indent=2, sort_keys=True) + "\n"
        self._files.write(path, text, mode=0o600, owner=self._user)

    def adopt(self, place: Path) -> None:
        """Make restored files the data directory, which must not be there, and our own.

        Their settings are those that were copied, not those of recovery.
        """
        mine = PurePosixPath(place)
        for name in ("postgresql.conf", "postgresql.auto.conf"):
            origin = self._files.read(mine / f"{name}.origin")
            if origin is not None:
                self._files.write(mine / name, origin.text, mode=0o600, owner=self._user)
                self._files.remove(mine / f"{name}.origin")
        self._files.remove(mine / "barman_wal")
        found = self._files.read(mine / MARK)
        told: dict[str, Any] = json.loads(found.text) if found is not None else {}
        told |= {"stead_id": self._stead_id, "build": self._identity()}
        text = json.dumps(told, indent=2, sort_keys=True) + "\n"
        self._files.write(mine / MARK, text, mode=0o600, owner=self._user)
        try:
            place.rename(self._layout.data)
            sync_directory(self._layout.server)
        except OSError as error:
            raise problem(error, self._layout.data, "placing") from error

    def sweep(self) -> None:
        """Remove what a killed initdb left; it never had the data directory's name."""
        for left in Path(self._layout.server).glob("data.*.new"):
            self._files.remove(self._layout.server / left.name)

    def _initdb(
        self, temporary: PurePosixPath, wanted: Cluster, design: Design, *more: str
    ) -> None:
        arguments = [
            *more,
            "--pgdata",
            str(temporary),
            "--username",
            design.superuser,
            "--encoding",
            wanted.encoding,
            "--locale",
            wanted.locale,
            "--lc-messages",
            "C",
            "--auth-local",
            "peer",
            "--auth-host",
            "reject",
            "--text-search-config",
            "english",
        ]
        if wanted.locale_provider == "builtin":
            arguments += ["--locale-provider", "builtin", "--builtin-locale", wanted.locale]
        if wanted.checksums:
            arguments.append("--data-checksums")
        elif self._build.major >= 18:
            arguments.append("--no-data-checksums")
        outcome = self._run("initdb", *arguments, timeout=600)
        log = self._layout.logs / "initdb.log"
        self._files.write(log, f"{clock.stamp()} initdb {arguments}\n{outcome.words}\n", mode=0o600)
        if not outcome.ok:
            raise InitializationError(
                f"initdb failed with status {outcome.status}: {_last_lines(outcome.words)}",
                hint=f"all that it said is in {log}",
            )

    def _complete(self, temporary: PurePosixPath, wanted: Cluster, design: Design) -> None:
        """Add the include and the mark; what initdb itself wrote it has fsynced."""
        configuration = temporary / "postgresql.conf"
        made = self._files.read(configuration)
        assert made is not None
        note = "# all settings of pgstead; the only line that it adds to this file"
        text = f"{made.text.rstrip()}\n\n{note}\n{_INCLUDE}\n"
        self._files.write(configuration, text, mode=0o600, owner=self._user)
        mark = {
            "stead_id": wanted.stead_id,
            "name": design.name,
            "encoding": wanted.encoding,
            "locale_provider": wanted.locale_provider,
            "locale": wanted.locale,
            "created": clock.stamp(),
            "born": self._build.born or self._build.major,
            "build": self._identity(),
        }
        told = json.dumps(mark, indent=2, sort_keys=True) + "\n"
        self._files.write(temporary / MARK, told, mode=0o600, owner=self._user)

    def _identity(self) -> dict[str, str]:
        """Return what must not change below a cluster unnoticed: collation is decided there."""
        return {
            "version": self._build.version,
            "origin": self._build.origin,
            "bindir": self._build.bindir,
            "libc": libc(),
        }


def libc() -> str:
    """Return the C library and the architecture: text sorts as they say, where libc sorts."""
    try:
        name = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (OSError, ValueError):
        name = ""
    return f"{name} {os.uname().machine}".strip()


def _last_lines(words: str, count: int = 5) -> str:
    return " | ".join(line.strip() for line in words.splitlines()[-count:] if line.strip())


def _must_not_be_restored(server: Path) -> None:
    """Raise InitializationError where a restore in place ended between two names.

    The data directory has its name aside then, and an empty one must not take its place.
    """
    before = sorted(server.glob("data.before-*"))
    if before and any(server.glob("data.*.restored")):
        raise InitializationError(
            f"a restore in place was killed: the data directory is {before[-1].name} now",
            hint="`pgstead restore --in-place` again; or give it its name back:"
            f" `mv {before[-1]} {server / 'data'}`",
        )
