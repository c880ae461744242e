"""Versions: no upgrade half-done, extensions and statistics as the binaries need them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pgstead.model.address import Capability
from pgstead.prove.finding import Finding, answer, timed
from pgstead.prove.promise import promise
from pgstead.prove.witness import Witness

_PENDING = "pending.json"  # host.upgrade_log writes it before it begins
_ROWS = 1000  # below that a plan is good without statistics
_OUTDATED = """
    SELECT e.extname::text, e.extversion, a.default_version
    FROM pg_catalog.pg_extension AS e
    LEFT JOIN pg_catalog.pg_available_extensions AS a ON a.name = e.extname
    WHERE a.default_version IS DISTINCT FROM e.extversion ORDER BY 1
"""
_WITHOUT = """
    SELECT c.oid::regclass::text FROM pg_catalog.pg_class AS c
    WHERE c.relkind IN ('r', 'm') AND c.relpersistence = 'p' AND c.oid >= 16384
      AND c.reltuples > %s
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_statistic AS s WHERE s.starelid = c.oid)
    ORDER BY 1 LIMIT 5
"""


@promise(
    "SRV-050",
    "no upgrade of the server is left half-done",
    requirement="SRV-12",
    capability=Capability.SERVER,
)
def no_upgrade_is_half_done(w: Witness) -> Iterator[Finding]:
    path = Path(w.design.layout.upgrade, _PENDING)
    with timed() as watch:
        there = path.exists()
    told = answer(f"ls {path}", "it is there" if there else "there is none", there, watch)
    yield told.shows(
        holds=not there,
        expected="no upgrade that was begun and has not ended",
        hint="`pgstead upgrade` finishes it, or takes it back",
    )


@promise(
    "SRV-051",
    "every extension is the version that the server's binaries bring",
    requirement="SRV-12",
    capability=Capability.SERVER,
)
def extensions_fit_the_binaries(w: Witness) -> Iterator[Finding]:
    for database in ("postgres", *(plan.name for plan in w.databases)):
        told = w.look(_OUTDATED, database=database)
        said = ", ".join(
            f"{name} is {has}, the binaries bring {new}" for name, has, new in told.value
        )
        yield told.shows(
            holds=not told.value,
            expected=f"no difference in {database}",
            hint="`ALTER EXTENSION ... UPDATE`; `pgstead upgrade` does it after a major version",
            said=said or f"all extensions of {database} are",
        )


@promise(
    "SRV-052",
    "the planner has statistics of every table that is not small",
    requirement="SRV-12 SRV-10",
    capability=Capability.SERVER,
)
def tables_have_statistics(w: Witness) -> Iterator[Finding]:
    for database in ("postgres", *(plan.name for plan in w.databases)):
        told = w.look(_WITHOUT, [_ROWS], database)
        names = ", ".join(name for (name,) in told.value)
        yield told.shows(
            holds=not told.value,
            expected=f"none without statistics in {database}",
            hint="`ANALYZE` makes them; an upgrade to a version before 18 leaves none",
            said=f"without: {names}" if names else f"all of {database} have them",
        )


PROMISES = (
    no_upgrade_is_half_done,
    extensions_fit_the_binaries,
    tables_have_statistics,
)
