"""The schema: at its head, as the models say, and built as it should be."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from pgstead.model.resources import Capability
from pgstead.prove import models
from pgstead.prove.finding import Answer, CannotTryError, Finding
from pgstead.prove.promise import promise
from pgstead.prove.session import Rows
from pgstead.prove.witness import Witness

SCHEMA = Capability.SCHEMA
_NEEDS = ("door", "schema")


@promise(
    "SCH-001",
    "every database is at the revision that its migrations lead to",
    requirement="MIG-2 API-6",
    capability=SCHEMA,
    needs=("schema",),
)
def databases_are_at_their_heads(w: Witness) -> Iterator[Finding]:
    for plan in w.migrated:
        told = w.look(
            "SELECT version_num FROM public.alembic_version ORDER BY version_num",
            database=plan.name,
        )
        yield told.shows(
            holds=[row[0] for row in told.value] == sorted(plan.heads),
            expected=", ".join(sorted(plan.heads)) or "a revision",
            hint=f"`pgstead up`, or `alembic upgrade head` in {plan.migrations}",
        )


@promise(
    "SCH-002",
    "tables, columns, keys, constraints and indexes are those of the models",
    requirement="MIG-3 MIG-5",
    capability=SCHEMA,
    needs=("schema",),
)
def the_schema_is_the_models(w: Witness) -> Iterator[Finding]:
    for plan in w.migrated:
        if not plan.models:
            raise CannotTryError(f"the manifest names no models for {plan.name}", could_try=False)
        wanted = models.of_application(plan.models, w.design.layout.manifest_directory)
        told = w.look(models.CATALOG, database=plan.name)
        found = {tuple(map(str, row)) for row in told.value}
        odd = [f"{' '.join(e)} is missing" for e in sorted(wanted - found)]
        odd += [f"{' '.join(e)} is not in the models" for e in sorted(found - wanted)]
        yield told.shows(
            holds=bool(wanted) and not odd,
            expected=f"what {plan.models} says",
            said="; ".join(odd) or f"{len(found)} parts, all as in {plan.models}",
            hint="`alembic check` in the migrations' directory shows the difference",
        )


@promise(
    "SCH-003",
    "every table has a primary key, and no index or constraint is invalid",
    requirement="MIG-2 OPS-4",
    capability=SCHEMA,
    needs=("schema",),
)
def nothing_is_invalid(w: Witness) -> Iterator[Finding]:
    for plan in w.migrated:
        told = w.look(
            "SELECT 'index', i.indexrelid::regclass::text FROM pg_catalog.pg_index AS i"
            " WHERE NOT (i.indisvalid AND i.indisready)"
            " UNION ALL SELECT 'constraint', conname::text FROM pg_catalog.pg_constraint"
            " WHERE NOT convalidated"
            " UNION ALL SELECT 'no primary key', c.oid::regclass::text"
            " FROM pg_catalog.pg_class AS c"
            " WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace"
            " AND NOT EXISTS (SELECT FROM pg_catalog.pg_index AS i"
            " WHERE i.indrelid = c.oid AND i.indisprimary) ORDER BY 1, 2",
            database=plan.name,
        )
        yield told.shows(
            holds=not told.value, expected="no row", hint="DROP INDEX CONCURRENTLY, and build anew"
        )


@promise(
    "SCH-004",
    "all that migrations made belongs to the owner, who cannot log in",
    requirement="ROL-1",
    capability=SCHEMA,
    needs=("schema",),
)
def the_owner_owns_it_all(w: Witness) -> Iterator[Finding]:
    for plan in w.migrated:
        told = w.look(
            "SELECT c.oid::regclass::text, c.relowner::regrole::text FROM pg_catalog.pg_class AS c"
            " WHERE c.relnamespace = 'public'::regnamespace AND pg_get_userbyid(c.relowner) <> %s"
            " AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d"
            " WHERE d.objid = c.oid AND d.deptype = 'e')"
            " UNION ALL SELECT p.oid::regprocedure::text, p.proowner::regrole::text"
            " FROM pg_catalog.pg_proc AS p WHERE p.pronamespace = 'public'::regnamespace"
            " AND pg_get_userbyid(p.proowner) <> %s AND NOT EXISTS"
            " (SELECT FROM pg_catalog.pg_depend AS d WHERE d.objid = p.oid AND d.deptype = 'e')"
            " ORDER BY 1",
            [plan.owner, plan.owner],
            plan.name,
        )
        yield told.shows(holds=not told.value, expected="no row")


@promise(
    "SCH-005",
    "every moment is stored with its zone",
    requirement="SRV-14",
    capability=SCHEMA,
    needs=("schema",),
)
def moments_have_zones(w: Witness) -> Iterator[Finding]:
    for plan in w.migrated:
        told = w.look(
            "SELECT a.attrelid::regclass::text, a.attname::text FROM pg_catalog.pg_attribute AS a"
            " JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid"
            " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')"
            " AND a.atttypid = 'timestamp'::regtype AND NOT a.attisdropped ORDER BY 1, 2",
            database=plan.name,
        )
        yield told.shows(holds=not told.value, expected="no row", hint="use timestamptz")


@promise(
    "SCH-006",
    "every foreign key is served by an index",
    requirement="OPS-4",
    capability=SCHEMA,
    needs=("schema",),
)
def foreign_keys_are_indexed(w: Witness) -> Iterator[Finding]:
    for plan in w.migrated:
        told = w.look(
            "SELECT k.conrelid::regclass::text, k.conname::text FROM pg_catalog.pg_constraint AS k"
            " WHERE k.contype = 'f' AND k.connamespace = 'public'::regnamespace AND NOT EXISTS ("
            " SELECT FROM pg_catalog.pg_index AS i WHERE i.indrelid = k.conrelid AND i.indisvalid"
            " AND i.indpred IS NULL AND (i.indkey::int2[])[0:cardinality(k.conkey) - 1]"
            " @> k.conkey) ORDER BY 1, 2",
            database=plan.name,
        )
        yield told.shows(holds=not told.value, expected="no row")


@promise(
    "SCH-007",
    "keys made by the database are UUIDs of version 7 that sort by their time",
    requirement="SRV-2",
    capability=SCHEMA,
    needs=_NEEDS,
)
def keys_sort_by_time(w: Witness) -> Iterator[Finding]:
    tried = False
    for plan in w.migrated:
        defaults = w.look(
            "SELECT c.oid::regclass::text, pg_get_expr(d.adbin, d.adrelid)"
            " FROM pg_catalog.pg_index AS i"
            " JOIN pg_catalog.pg_class AS c ON c.oid = i.indrelid"
            " JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]"
            " JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum"
            " WHERE i.indisprimary AND i.indnatts = 1 AND a.atttypid = 'uuid'::regtype"
            " AND c.relnamespace = 'public'::regnamespace ORDER BY 1",
            database=plan.name,
        )
        with w.session(plan.app, plan.name, w.doors[-1].name) as session:
            for table, default in defaults.value:
                tried = True
                # The expression is the catalog's own; what it may do, this role may do anyway.
                told = session.ask(_MADE.replace("DEFAULT", str(default), 1))
                yield _sorts(told, str(table))
    if not tried:
        raise CannotTryError("no table has a UUID key made by the database", could_try=False)


_MADE = "SELECT DEFAULT AS key FROM generate_series(1, 500)"


def _sorts(told: Answer[Rows], table: str) -> Finding:
    keys = [row[0] for row in told.value]
    increasing = all(a < b for a, b in itertools.pairwise(keys))
    versions = {key.version for key in keys}
    order = "rising" if increasing else "not rising"
    return told.shows(
        holds=increasing and versions == {7},
        expected="500 rising keys of version 7",
        said=f"{table}: {len(keys)} keys of version {versions}, {order}",
    )


PROMISES = (
    databases_are_at_their_heads,
    the_schema_is_the_models,
    nothing_is_invalid,
    the_owner_owns_it_all,
    moments_have_zones,
    foreign_keys_are_indexed,
    keys_sort_by_time,
)
