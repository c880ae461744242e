"""Lint one database of the manifest: for `migrate lint`, and for who asks before an upgrade."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgstead.cli.console import Console
from pgstead.cli.invocation import Invocation
from pgstead.errors import NotRunningError

if TYPE_CHECKING:
    from pgstead.lint.finding import Report
    from pgstead.manifest.document import DatabaseEntry
    from pgstead.model.revision import TableSize
    from pgstead.observe.reading import Reading


@dataclass(frozen=True, slots=True)
class Asked:
    """Which revisions are judged, and against what."""

    invocation: Invocation
    since: str | None = None
    everything: bool = False
    against_live: bool = False
    squawk: bool = True

    @property
    def pending(self) -> bool:
        """The database is to say which revisions are applied."""
        return not self.everything and self.since is None


@dataclass(frozen=True, slots=True)
class _Target:
    """What a running database tells."""

    applied: tuple[str, ...] = ()
    sizes: Mapping[str, TableSize] | None = None


def report_of(entry: DatabaseEntry, asked: Asked, console: Console) -> Report:
    """Lint a database of the manifest. Raises SteadError where it cannot be done."""
    from pgstead.cli.wiring import read_manifest
    from pgstead.host.revisions import AlembicRevisions
    from pgstead.host.squawk import Squawk
    from pgstead.lint import chain
    from pgstead.lint.scene import Surroundings
    from pgstead.workflows.lint import lint

    source = read_manifest(asked.invocation.manifest)
    roles = {p: getattr(entry, p) for p in ("app", "admin", "readonly", "migrator", "owner")}
    target = _look(entry, asked, console)
    revisions = AlembicRevisions(source.directory).written(entry.migrations, roles)
    around = Surroundings(
        major=source.manifest.server.major,
        sizes=target.sizes,
        mapped=_mapped(entry, asked.invocation),
        roles=roles,
    )
    if asked.since is not None:
        applied: tuple[str, ...] = (chain.named(revisions, asked.since),)
    else:
        applied = () if asked.everything else target.applied
    wanted = chain.after(revisions, applied)
    squawk = Squawk() if asked.squawk else None
    if squawk is not None and squawk.version() is None:
        console.warn("squawk is not installed: its advice is missing, our own rules are not")
        squawk = None
    return lint(revisions, wanted, around, squawk)


def _mapped(entry: DatabaseEntry, invocation: Invocation) -> dict[str, frozenset[str]]:
    """Return the columns that the models map, by table."""
    from pgstead.cli.keyring import metadata_of

    if not entry.models:
        return {}
    tables = metadata_of(entry.name, invocation).tables.values()
    return {
        t.name if t.schema in {None, "public"} else f"{t.schema}.{t.name}": frozenset(
            c.name for c in t.columns
        )
        for t in tables
    }


def _look(entry: DatabaseEntry, asked: Asked, console: Console) -> _Target:
    """Ask the running database, if the command line needs it."""
    if not asked.pending and not asked.against_live:
        return _Target()
    from pgstead.cli.wiring import wire
    from pgstead.observe.reading import Reading

    wired = wire(asked.invocation.manifest, console, tolerant=True)
    if not wired.exists:
        if asked.against_live:
            raise NotRunningError(
                "--against-live: nothing was brought up here yet",
                hint="`pgstead up` does; without --against-live the lint needs no server",
            )
        console.hint("nothing was brought up here yet: every revision is pending")
        return _Target()
    try:
        with Reading(wired.ports.sql, wired.design.build.major) as reading:
            return _target(entry.name, reading, against_live=asked.against_live)
    except NotRunningError as error:
        raise NotRunningError(
            error.message, hint="--since REV and --all need no server; `pgstead up` starts it"
        ) from error


def _target(database: str, reading: Reading, *, against_live: bool) -> _Target:
    from pgstead.observe import schema, sizes

    applied = tuple(r for found in schema.resources(reading, database) for r in found.heads)
    return _Target(applied, sizes.tables(reading, database) if against_live else None)
