"""Integrity: every page, row, index, constraint and declared rule looked at; findings by name."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType

from pgstead.errors import HostError
from pgstead.model.backup import Ending, Task
from pgstead.model.design import DatabasePlan, Design
from pgstead.model.integrity import Check, Damage, Declared, Integrity, Remedy, Unseen
from pgstead.observe import integrity as superuser
from pgstead.observe import row_checks
from pgstead.observe.integrity import Looking
from pgstead.ports import Ports
from pgstead.ports.integrity import BadPage
from pgstead.workflows.runs import alone, care_of, recorded

PROGRAM = "pgstead integrity"
EVERYTHING: frozenset[Check] = frozenset(Check)
_SEGMENT = 131_072  # blocks of one file of a relation (RELSEG_SIZE)
_KEPT = 200  # damages that a run keeps
_FILE = re.compile(r"base/(\d+)/(\d+)(?:_([a-z]+))?(?:\.(\d+))?$")
_THERE = "SELECT FROM pg_extension WHERE extname = 'amcheck'"
_MAKE = "CREATE EXTENSION amcheck SCHEMA pg_catalog"
_RELATION = """
    SELECT c.oid::regclass::text AS name, c.relkind::text AS kind,
           coalesce(t.oid, c.oid)::regclass::text AS owner, n.nspname ~ '^pg_' AS system
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    LEFT JOIN pg_class AS t ON t.reltoastrelid = c.oid
    WHERE c.oid = pg_filenode_relation(0, %(node)s)
"""
_DATABASE = "SELECT oid::bigint AS oid FROM pg_database WHERE datname = current_database()"
# Its functions are of the extension's schema; nothing of a user's is found by name.
_PATH = "SET search_path = pg_catalog"
_NOTHING: Mapping[str, Declared] = MappingProxyType({})


def check(
    design: Design, ports: Ports, cause: str, *,
    declared: Mapping[str, Declared] = _NOTHING, only: Collection[Check] = EVERYTHING,
    databases: Collection[str] = (), gentle: bool = False,
) -> Integrity:  # fmt: skip
    """Look at all of it; write down what was found, and name each damage in the journal.

    Raises BusyError where a check runs already, NotRunningError where the server does not.
    """
    care = care_of(ports)
    found = Integrity()
    plans = [p for p in design.databases if not databases or p.name in databases]
    with alone(ports.sql, Task.INTEGRITY), recorded(care.runs, Task.INTEGRITY, cause) as record:
        try:
            if Check.PAGES in only:
                _pages(ports, plans, found, gentle=gentle)
            for plan in plans:
                _database(ports, design, plan, found, declared.get(plan.name, Declared()), only)
            record.detail |= {
                "whole": True,
                "databases": [plan.name for plan in plans],
                "checks": sorted(only),
            }
        finally:
            found.damages = list(_once(found.damages))
            record.detail |= told(found)
            for damage in found.damages:
                ports.journal.record("integrity damaged", **_plainly(damage))
        if found.damages:
            record.ending = Ending.FAILED
            record.error = f"{len(found.damages)} damages were found"
    return found


def told(found: Integrity) -> dict[str, object]:
    """Return what a run keeps of itself."""
    return {
        "looked": dict(found.looked),
        "damages": [asdict(d) for d in found.damages[:_KEPT]],
        "left_out": max(0, len(found.damages) - _KEPT),
        "unseen": [asdict(u) for u in found.unseen[:_KEPT]],
    }


def _plainly(damage: Damage) -> dict[str, object]:
    return {name: value for name, value in asdict(damage).items() if value not in (None, "")}


def _once(damages: list[Damage]) -> Iterator[Damage]:
    """Yield each damage once: a page that cannot be read is met by more than one check."""
    seen: set[tuple[str, str, int]] = set()
    for damage in damages:
        if damage.block is not None and damage.check in (Check.PAGES, Check.HEAPS, Check.INDEXES):
            place = (damage.database, damage.relation, damage.block)
            if place in seen and damage.check is not Check.PAGES:
                continue
            seen.add(place)
        yield damage


# -- one database -------------------------------------------------------------------------------


def _database(
    ports: Ports, design: Design, plan: DatabasePlan, found: Integrity, declared: Declared,
    only: Collection[Check],
) -> None:  # fmt: skip
    major, tell = design.build.major, ports.progress.step
    with ports.sql.connect(plan.name) as connection:
        looking = Looking(connection, plan.name, major, found, tell)
        connection.execute("SET statement_timeout = 0")
        connection.execute("SET default_transaction_read_only = off")
        connection.execute(_PATH)
        if {Check.HEAPS, Check.INDEXES} & set(only):
            with amcheck(looking):
                if Check.HEAPS in only:
                    superuser.heaps(looking)
                if Check.INDEXES in only:
                    superuser.indexes(looking)
        if Check.CONSTRAINTS in only:
            superuser.foreign_keys(looking)
    if not {Check.CONSTRAINTS, Check.VERSIONS, Check.FILES} & set(only):
        return
    with care_of(ports).accounts.connect(plan.admin, plan.name, PROGRAM) as connection:
        connection.execute("SET default_transaction_read_only = on")
        connection.execute("SET statement_timeout = '10min'")
        looking = Looking(connection, plan.name, major, found, tell)
        if Check.CONSTRAINTS in only:
            row_checks.checks(looking)
        if Check.VERSIONS in only:
            row_checks.versions(looking, declared)
        if Check.FILES in only:
            _files(looking, declared)


@contextmanager
def amcheck(looking: Looking) -> Generator[None]:
    """Have the extension while the block lasts; the database is left as it was."""
    if looking.rows(_THERE):
        yield
        return
    looking.connection.execute(_MAKE)
    try:
        yield
    finally:
        if not looking.connection.closed:
            looking.connection.execute("DROP EXTENSION IF EXISTS amcheck")


# -- pages --------------------------------------------------------------------------------------


def _pages(ports: Ports, plans: list[DatabasePlan], found: Integrity, *, gentle: bool) -> None:
    ports.progress.step("reading every page on the disk")
    try:
        bad = care_of(ports).pages.look(gentle=gentle)
    except HostError as error:
        found.unseen.append(Unseen("", Check.PAGES, "", error.message))
        return
    found.count(Check.PAGES)
    known: dict[int, str] = {}
    for plan in plans:
        with ports.sql.connect(plan.name, read_only=True) as connection:
            row = connection.execute(_DATABASE).fetchone()
            assert row is not None
            known[row["oid"]] = plan.name
    for page in bad:
        file = _FILE.search(page.path)
        database = known.get(int(file[1])) if file is not None else None
        if file is None or database is None:
            found.damages.append(
                Damage("", Check.PAGES, page.path, "its checksum is wrong", block=page.block)
            )
            continue
        found.damages.append(_named(ports, database, page, file))


def _named(ports: Ports, database: str, page: BadPage, file: re.Match[str]) -> Damage:
    """Return the damage of a page with the name of what it belongs to."""
    what, block = "its checksum is wrong on the disk", page.block
    if block is not None:
        block += int(file[4] or 0) * _SEGMENT
    with ports.sql.connect(database, read_only=True) as connection:
        connection.execute(_PATH)
        row = connection.execute(_RELATION, {"node": int(file[2])}).fetchone()
    if row is None:
        return Damage(database, Check.PAGES, page.path, what, block=block)
    damage = Damage(database, Check.PAGES, row["owner"], what, block=block)
    if file[3]:  # fsm, vm: VACUUM makes them anew
        return replace(damage, what=f"{what}, in its {file[3]}")
    if row["system"] and row["kind"] != "t":
        return damage
    if row["kind"] == "i":
        return replace(damage, remedy=Remedy.REINDEX)
    return replace(damage, remedy=Remedy.SALVAGE)


# -- files --------------------------------------------------------------------------------------


def _files(looking: Looking, declared: Declared) -> None:
    """Look for files that rows name and nobody finds, and for files that no row names."""
    if not declared.files or not declared.directory:
        return  # the manifest does not say where they lie: databases.files
    if not Path(declared.directory).is_dir():
        for named in declared.files:
            why = f"there is no directory {declared.directory}"
            looking.unseen(Check.FILES, named.table, why)
        return
    root, mentioned = Path(declared.directory), set[str]()
    whole = True
    for named in declared.files:
        looking.found.count(Check.FILES)
        rows = row_checks.named_files(looking, named)
        if rows is None:
            whole = False
            continue
        mentioned |= {os.path.normpath(path) for path in rows}
        for path, (key, needed) in rows.items():
            if needed and not (root / path).is_file():
                looking.damage(Check.FILES, named.table, f"the file {path} is not there", key=key)
    if whole:
        for path in _orphaned(root, mentioned.__contains__):
            looking.damage(Check.FILES, declared.files[0].table, f"no row names the file {path}")


def _orphaned(root: Path, mentioned: Callable[[str], bool]) -> Iterator[str]:
    for folder, _, names in os.walk(root):
        for name in sorted(names):
            path = os.path.relpath(os.path.join(folder, name), root)  # noqa: PTH118 - as os.walk has it
            if not mentioned(path):
                yield path
