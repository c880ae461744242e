"""What stands in the way of a major upgrade, how it is done, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterator

from pgstead.model.definition import Definition, Facet
from pgstead.model.resources import Cluster
from pgstead.model.upgrade import (
    ClusterFacts,
    Ground,
    Mode,
    Obstacle,
    RehearsedUpgrade,
    Release,
)

_TABLE = ("DELETE", "INSERT", "REFERENCES", "SELECT", "TRIGGER", "TRUNCATE", "UPDATE")
_MAINTAIN = 17  # the version that a table's privilege of that name came with
_NOT_NULL = 18  # the version since which it is a constraint with a name
_CARRIED = 18  # the version since which pg_upgrade carries statistics over
_SPARE = 256 * 2**20  # bytes: the new cluster's catalogs, its WAL, and what is logged
# What a real one has besides what a rehearsal measures: the supervisor, the pooler, files written
# and renamed, a server with all its memory. These are processes that end and begin, so on a busy
# machine they take longer as the copy's own end and beginning do: this many times as long as both.
BESIDES = 3.0


def mode(asked: str, ground: Ground) -> Mode:
    """Return how files come into the new cluster: cloned where that can be, else copied."""
    if asked == "auto":
        return Mode.CLONE if ground.clones else Mode.COPY
    return Mode(asked)


def room(chosen: Mode, found: ClusterFacts) -> int:
    """Return the bytes that an upgrade needs beside the cluster."""
    return _SPARE + (found.bytes if chosen is Mode.COPY else 0)


def _lost(found: ClusterFacts, ground: Ground, own_slot: str) -> Iterator[Obstacle]:
    """Yield what the new cluster would not have, or pg_upgrade cannot take."""
    if found.prepared:
        yield Obstacle(
            f"prepared transactions are left: {', '.join(found.prepared)}",
            "COMMIT PREPARED or ROLLBACK PREPARED them, in their database",
        )
    if slots := [name for name in found.slots if name != own_slot]:
        yield Obstacle(
            f"replication slots would be lost: {', '.join(slots)}",
            "end who follows them, then `SELECT pg_drop_replication_slot(...)`; make them anew"
            " afterwards",
        )
    if found.tablespaces:
        yield Obstacle(
            f"the cluster has tablespaces: {', '.join(found.tablespaces)}",
            "move what is in them to pg_default, and drop them",
        )
    if found.closed:
        yield Obstacle(
            f"databases that nobody can connect to: {', '.join(found.closed)}",
            "drop them, or `ALTER DATABASE ... ALLOW_CONNECTIONS true`",
        )
    for name, databases in found.extensions.items():
        if name not in ground.available:
            yield Obstacle(
                f"the new binaries have no extension {name}, which is in {', '.join(databases)}",
                f"`DROP EXTENSION {name}` there, or install it for the new version",
            )


def obstacles(
    found: ClusterFacts, ground: Ground, chosen: Mode, own_slot: str, *, rehearsal: bool = False
) -> Iterator[Obstacle]:
    """Yield what must be seen to first; what pg_upgrade itself refuses is asked of it besides."""
    yield from _lost(found, ground, own_slot)
    if ground.apart:
        yield Obstacle(
            "the data directory is a file system of its own, which can get no other name, and the"
            " new one comes beside it: files can be neither linked nor swapped",
            "`pgstead down`, mount it one directory higher with `data` in it, `pgstead up`",
        )
    needed = room(chosen, found) + (found.bytes if rehearsal and not ground.clones else 0)
    if ground.free < needed:
        yield Obstacle(
            f"there is no room: {needed // 2**20} MB are needed beside the data directory,"
            f" {ground.free // 2**20} MB are free",
            "make room there"
            + ("" if chosen is Mode.LINK else "; `--mode link` needs less, and has no way back"),
        )


def unfit(found: Cluster, wanted: Cluster) -> Iterator[Obstacle]:
    """Yield in what the cluster differs from what every stead is, and no upgrade changes."""
    if found.checksums != wanted.checksums:
        yield Obstacle(
            f"data checksums are {_onoff(found.checksums)} in the cluster, and"
            f" {_onoff(wanted.checksums)} in every new one",
            "`pgstead down`, `pg_checksums --enable` on the data directory, `pgstead up`",
        )
    if found.encoding != wanted.encoding:
        yield Obstacle(
            f"the cluster's encoding is {found.encoding}, not {wanted.encoding}",
            "dump, `pgstead destroy`, and load again",
        )


def expected(before: Definition, old: int, new: int) -> Definition:
    """Return what a database is made of once the newer version has it, in the older one's words.

    Who has all privileges of a table has all that there are: since 17 MAINTAIN is one of them.
    """
    if old >= _MAINTAIN or new < _MAINTAIN:
        return before
    return Definition(
        {
            name: {who: _all_of(what) for who, what in facets.items()}
            if name.kind == "grants"
            else facets
            for name, facets in before.objects.items()
        }
    )


def _all_of(privileges: Facet) -> Facet:
    for mark in ("", "*"):
        if privileges == ", ".join(f"{word}{mark}" for word in _TABLE):
            return ", ".join(f"{word}{mark}" for word in sorted((*_TABLE, "MAINTAIN")))
    return privileges


def comparable(after: Definition, old: int) -> Definition:
    """Leave out what is told twice since 18: NOT NULL as a constraint, beside the column's."""
    if old >= _NOT_NULL:
        return after
    return Definition(
        {
            name: facets
            for name, facets in after.objects.items()
            if name.kind != "constraint"
            or not str(facets.get("definition", "")).startswith("NOT NULL ")
        }
    )


def _onoff(flag: bool) -> str:  # noqa: FBT001  a word for one
    return "on" if flag else "off"


def predicted(shown: RehearsedUpgrade) -> float:
    """Return the seconds that nobody will be served."""
    seconds = shown.seconds
    return seconds.total + BESIDES * (seconds.stop + seconds.start)


def way_back(chosen: Mode, old: Release, *, backed_up: bool) -> str:
    """Return how the old version is had again, in words."""
    if chosen.reversible:
        return (
            f"the old data directory stays whole: `pgstead upgrade --back` runs {old.version} on it"
            " again; what was written since is lost then"
        )
    if backed_up:
        return (
            "none once the new server has started: both have the same files; the base backup made"
            f" before, of {old.version}, can be restored from the repository that is set aside"
        )
    return (
        "none once the new server has started: both have the same files, and nothing is backed up"
    )


def report(shown: RehearsedUpgrade) -> Iterator[tuple[str, str]]:
    """Yield what a rehearsal showed, as a table of two columns."""
    seconds = shown.seconds
    yield "from, to", f"PostgreSQL {shown.old} to {shown.new}"
    yield "files", f"{shown.mode}, {shown.bytes / 2**20:.0f} MB"
    yield "stop", f"{seconds.stop:.2f} s"
    yield "pg_upgrade", f"{seconds.upgrade:.2f} s"
    yield "start", f"{seconds.start:.2f} s"
    yield "statistics", f"{seconds.statistics:.2f} s until the first statement may come"
    if seconds.engine:
        yield "engine", f"{seconds.engine:.2f} s to end a container and to make another"
    if shown.new.major >= _CARRIED:
        kept, of = shown.statistics
        yield "carried over", f"the planner's statistics of {kept} columns out of {of}"
    yield "downtime", f"about {predicted(shown):.1f} s"
    counted = f"{shown.rows} rows in {shown.tables} tables of {shown.databases} databases"
    if shown.differences:
        yield "different", "; ".join(shown.differences[:10])
    else:
        yield "equal", f"{counted}, and {shown.objects} objects"
    yield from (("note", note) for note in shown.notes)
