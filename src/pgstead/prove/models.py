"""What an application's SQLAlchemy models say of its schema, to compare with the catalog."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, MetaData, Table, UniqueConstraint
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import Constraint, Index, PrimaryKeyConstraint

from pgstead.prove.finding import CannotTryError

Part = tuple[str, ...]

WITHHELD = "pgstead.withheld"  # in table.info; read by its name, as what lies in row_security

CATALOG = """
SELECT 'table', c.relname::text, '', '' FROM pg_catalog.pg_class AS c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND c.relname <> 'alembic_version'
UNION ALL
SELECT 'column', c.relname || '.' || a.attname, format_type(a.atttypid, a.atttypmod),
       CASE WHEN a.attnotnull THEN 'not null' ELSE 'null' END
FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0
  AND NOT a.attisdropped AND NOT c.relispartition AND c.relname <> 'alembic_version'
UNION ALL
SELECT CASE k.contype WHEN 'p' THEN 'primary key' WHEN 'f' THEN 'foreign key'
                      WHEN 'u' THEN 'unique' ELSE 'check' END,
       k.conname::text, c.relname::text,
       CASE WHEN k.contype = 'f' THEN CASE k.confdeltype
            WHEN 'c' THEN 'cascade' WHEN 'n' THEN 'set null' WHEN 'r' THEN 'restrict'
            WHEN 'd' THEN 'set default' ELSE '' END ELSE '' END
FROM pg_catalog.pg_constraint AS k JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid
WHERE k.connamespace = 'public'::regnamespace AND k.contype IN ('p', 'f', 'u', 'c')
  AND NOT c.relispartition AND c.relname <> 'alembic_version'
UNION ALL
SELECT 'index', i.indexrelid::regclass::text, c.relname::text,
       CASE WHEN i.indisunique THEN 'unique' ELSE '' END
FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indrelid
WHERE c.relnamespace = 'public'::regnamespace AND NOT c.relispartition
  AND c.relname <> 'alembic_version'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint AS k WHERE k.conindid = i.indexrelid
                  AND k.contype IN ('p', 'u', 'x'))
"""


@contextmanager
def _importable(directory: PurePosixPath) -> Generator[None]:
    """Let the manifest's directory be imported from, as it is for the application."""
    sys.path.insert(0, str(directory))
    try:
        yield
    finally:
        sys.path.remove(str(directory))


def metadata_of(path: str, directory: PurePosixPath) -> MetaData:
    """Return the metadata at `package.module:name`. Raises CannotTryError."""
    module, _, name = path.partition(":")
    try:
        with _importable(directory):
            found: Any = getattr(importlib.import_module(module), name or "metadata")
    except Exception as error:
        raise CannotTryError(f"the models {path} cannot be imported: {error}") from error
    metadata = getattr(found, "metadata", found)
    if not isinstance(metadata, MetaData):
        raise CannotTryError(f"{path} is no SQLAlchemy metadata")
    return metadata


def of_application(path: str, directory: PurePosixPath) -> frozenset[Part]:
    """Return the parts of the schema that the models name, as CATALOG tells those that are."""
    metadata = metadata_of(path, directory)
    return frozenset(part for table in metadata.tables.values() for part in _parts(table))


def cascades(path: str, directory: PurePosixPath) -> frozenset[tuple[str, tuple[str, ...]]]:
    """Return the table and the columns of each foreign key that deletes with its parent."""
    metadata = metadata_of(path, directory)
    return frozenset(
        (table.name, tuple(key.column_keys))
        for table in metadata.tables.values()
        for key in table.foreign_key_constraints
        if (key.ondelete or "").upper() == "CASCADE"
    )


def withheld(path: str, directory: PurePosixPath) -> dict[str, frozenset[str]]:
    """Return the privileges on each table that the application shall not have."""
    tables = metadata_of(path, directory).tables.values()
    return {t.name: frozenset(t.info[WITHHELD]) for t in tables if WITHHELD in t.info}


def _parts(table: Table) -> Iterator[Part]:
    yield ("table", table.name, "", "")
    for column in table.columns:
        shown = as_catalog(column.type.compile(dialect=postgresql.dialect()))
        yield ("column", f"{table.name}.{column.name}", shown, _nullable(column.nullable))
    for constraint in table.constraints:
        part = _constraint(constraint, table)
        if part is not None:
            yield part
    for index in table.indexes:
        yield ("index", _name(index), table.name, "unique" if index.unique else "")


def _nullable(nullable: bool | None) -> str:  # noqa: FBT001
    return "null" if nullable else "not null"


def _constraint(constraint: Constraint, table: Table) -> Part | None:
    match constraint:
        case PrimaryKeyConstraint():
            return ("primary key", _name(constraint) or f"{table.name}_pkey", table.name, "")
        case ForeignKeyConstraint():
            # `SET NULL (column)`: the catalogue tells the action and the columns apart
            action = (constraint.ondelete or "").lower().partition("(")[0].strip()
            action = action.replace("no action", "")
            return ("foreign key", _name(constraint), table.name, action)
        case UniqueConstraint():
            return ("unique", _name(constraint), table.name, "")
        case CheckConstraint():
            return ("check", _name(constraint), table.name, "")
        case _:
            return None


def _name(part: Constraint | Index) -> str:
    """Return the name that a naming convention gives."""
    preparer = postgresql.dialect().identifier_preparer
    if isinstance(part, Index):
        name = preparer.format_index(part)
    else:
        name = preparer.format_constraint(part)
    return (name or "").strip('"')


def as_catalog(compiled: str) -> str:
    """Return a type as format_type() writes it."""
    text = compiled.lower()
    text = re.sub(r"\bvarchar\b", "character varying", text)
    text = re.sub(r"\bfloat\b", "double precision", text)
    text = re.sub(r"\bdecimal\b", "numeric", text)
    text = re.sub(r"^char\b", "character", text)
    return text.replace(", ", ",")
