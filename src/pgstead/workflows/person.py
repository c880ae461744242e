"""One person in a database: found by what they are called, with all rows that are theirs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg import sql

from pgstead.errors import PersonalDataError, UsageError
from pgstead.model.personal import (
    IDENTIFYING,
    Inventory,
    Name,
    Reach,
    Reference,
    Table,
    is_blank,
)
from pgstead.observe.personal import row_is

if TYPE_CHECKING:
    import psycopg

    Session = psycopg.Connection[dict[str, Any]]

# Neither a statement nor what a refused row held comes to the server's log, from this session.
QUIET = (
    "SET log_statement = 'none'; SET log_min_duration_statement = -1;"
    " SET log_min_duration_sample = -1; SET log_min_error_statement = 'panic';"
    " SET log_error_verbosity = 'terse'; SET auto_explain.log_min_duration = -1"
)
_SHORTEST = 5  # characters: shorter ones are found in every text


@dataclass(frozen=True, slots=True)
class Person:
    """The row of a person."""

    table: Table
    key: Mapping[str, str]


def find(connection: Session, inventory: Inventory, called: str) -> Person:
    """Return who is called so. Raises UsageError where that is nobody, or more than one."""
    if not inventory.subjects:
        raise UsageError(
            f"no table of {inventory.database} is one of persons",
            hint='Classified(subject="id email") in its model says that it is, and a migration',
        )
    found = [p for table in inventory.subjects for p in _called(connection, table, called)]
    if len(found) == 1:
        return found[0]
    ways = "; ".join(
        f"{t.shown} by {' or '.join(t.subject.names)}" for t in inventory.subjects if t.subject
    )
    said = f"{len(found)} persons of {inventory.database} are" if found else "nobody is"
    raise UsageError(
        f"{said} called {called!r} in {inventory.database}", hint=f"persons are named in {ways}"
    )


def _called(connection: Session, table: Table, called: str) -> Iterator[Person]:
    assert table.subject is not None
    if not table.key:
        raise PersonalDataError(
            f"{table.shown} has no primary key: its rows cannot be told apart",
            hint="give the table a key",
        )
    key = [sql.SQL("{}::text").format(sql.Identifier(name)) for name in table.key]
    named = [
        sql.SQL("{}::text = {}").format(sql.Identifier(name), sql.Literal(called))
        for name in table.subject.names
    ]
    asked = sql.SQL("SELECT DISTINCT ARRAY[{}] AS key FROM {} WHERE {}").format(
        sql.SQL(", ").join(key), sql.Identifier(*table.full), sql.SQL(" OR ").join(named)
    )
    for row in connection.execute(asked):
        yield Person(table, dict(zip(table.key, row["key"], strict=True)))


@dataclass(frozen=True)
class Rows:
    """The rows of a person, their keys gathered in temporary tables of a transaction."""

    connection: Session
    inventory: Inventory
    reach: Reach
    going: Mapping[Name, sql.Identifier]  # the person's own row is here too, though it may stay
    staying: Mapping[Name, sql.Identifier]

    def count(self, keys: sql.Identifier) -> int:
        """Return how many rows there are."""
        found = self.connection.execute(sql.SQL("SELECT FROM {}").format(keys))
        return found.rowcount

    def among(self, name: Name, keys: sql.Identifier, alias: str = "t") -> sql.Composed:
        """Return the condition that a row of a table is among these."""
        columns = self.inventory.table(name).key
        mine = sql.SQL(", ").join(sql.Identifier(alias, c) for c in columns)
        theirs = sql.SQL(", ").join(map(sql.Identifier, columns))
        return sql.SQL("({}) IN (SELECT {} FROM {})").format(mine, theirs, keys)

    def told(self) -> Iterator[tuple[Table, sql.Identifier]]:
        """Yield each table that has rows, with their keys."""
        for name, keys in (*self.going.items(), *self.staying.items()):
            if self.count(keys):
                yield self.inventory.table(name), keys

    def values(self) -> tuple[str, ...]:
        """Return what they are known by: addresses, names, and the like, of rows that name them."""
        found: set[str] = set()
        near = [(self.reach.root.full, self.going[self.reach.root.full])]
        near += [(r.child, self.going[r.child]) for r in self.reach.owned
                 if r.parent == self.reach.root.full]  # fmt: skip
        near += [*self.staying.items()]
        for name, keys in near:
            table = self.inventory.table(name)
            for column in table.personal:
                if column.kind in IDENTIFYING:
                    found |= self._of_column(name, keys, column.name)
        return tuple(sorted(found))

    def _of_column(self, name: Name, keys: sql.Identifier, column: str) -> set[str]:
        asked = sql.SQL(
            "SELECT DISTINCT {0}::text AS v FROM {1} AS t WHERE {0} IS NOT NULL AND {2}"
        )
        asked = asked.format(
            sql.Identifier("t", column), sql.Identifier(*name), self.among(name, keys)
        )
        found = {str(row["v"]) for row in self.connection.execute(asked)}
        return {v for v in found if len(v) >= _SHORTEST and not is_blank(v)}


def gather(connection: Session, inventory: Inventory, person: Person) -> Rows:
    """Gather the keys of all rows of a person, in a transaction that is open.

    The row of the person is locked, so that nothing new comes to point at it meanwhile.
    """
    reach = Reach.of(inventory, person.table)
    root = person.table.full
    going = _keys(connection, inventory, "going", [root, *(n for n in reach.going if n != root)])
    staying = _keys(connection, inventory, "staying", reach.staying)
    rows = Rows(connection, inventory, reach, going, staying)
    own = sql.SQL(", ").join(map(sql.Identifier, person.table.key))
    connection.execute(
        sql.SQL("WITH own AS (SELECT {0} FROM {1} WHERE {2} FOR UPDATE)"
                " INSERT INTO {3} SELECT {0} FROM own").format(
            own, sql.Identifier(*root), row_is(person.key), going[root]
        )
    )  # fmt: skip
    # a table may be come to by several ways, and a row of it may point at another one
    while any(_follow(rows, r, going[r.child]) for r in reach.owned):
        pass
    for reference in reach.authored:
        _follow(rows, reference, staying[reference.child])
    for name, keys in staying.items():
        if name in going:
            connection.execute(
                sql.SQL("DELETE FROM {} AS t WHERE {}").format(keys, rows.among(name, going[name]))
            )
    return rows


def _keys(
    connection: Session, inventory: Inventory, what: str, names: Sequence[Name]
) -> dict[Name, sql.Identifier]:
    made: dict[Name, sql.Identifier] = {}
    for number, name in enumerate(names):
        columns = inventory.table(name).key
        if not columns:
            raise PersonalDataError(
                f"{'.'.join(name)} has no primary key: its rows cannot be told apart",
                hint="give the table a key",
            )
        made[name] = keys = sql.Identifier("pg_temp", f"pgstead_{what}_{number}")
        plain = sql.Identifier(f"pgstead_{what}_{number}")
        listed = sql.SQL(", ").join(map(sql.Identifier, columns))
        connection.execute(
            sql.SQL("CREATE TEMP TABLE {} ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA").format(
                plain, listed, sql.Identifier(*name)
            )
        )
        connection.execute(sql.SQL("ALTER TABLE {} ADD PRIMARY KEY ({})").format(keys, listed))
    return made


def _follow(rows: Rows, reference: Reference, into: sql.Identifier) -> int:
    """Gather the rows that point at gathered ones; return how many are new."""
    child, parent = rows.inventory.table(reference.child), reference.parent
    statement = sql.SQL(
        "INSERT INTO {into} SELECT {key} FROM {child} AS c WHERE ({columns}) IN"
        " (SELECT {targets} FROM {parent} AS t WHERE {among}) ON CONFLICT DO NOTHING"
    ).format(
        into=into,
        key=sql.SQL(", ").join(sql.Identifier("c", c) for c in child.key),
        child=sql.Identifier(*reference.child),
        columns=sql.SQL(", ").join(sql.Identifier("c", c) for c in reference.columns),
        targets=sql.SQL(", ").join(sql.Identifier("t", c) for c in reference.parent_columns),
        parent=sql.Identifier(*parent),
        among=rows.among(parent, rows.going[parent]),
    )
    return rows.connection.execute(statement).rowcount
