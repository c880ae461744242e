"""Values for columns that the prover has never seen: guesses, of which the server says what fits.

A CHECK says what a column takes in a language that only the server speaks. So it is asked: of some
plausible values, those with the literals of the condition among them, which one does it let in?
"""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Iterable
from typing import Any

from psycopg import Error, sql

from pgstead.prove.session import Session
from pgstead.prove.tables import Column

_TEXTS = frozenset({"text", "character varying", "character", "citext", "name"})
_NUMBERS = frozenset({"integer", "bigint", "smallint", "numeric", "double precision", "real"})
_LONGEST = 1 << 16  # bytes; a number in a condition need not be a length


class Guesses:
    """Finds for a column the first of its plausible values that the column's conditions let in."""

    def __init__(self, session: Session) -> None:
        """Ask in this session; it is in a transaction."""
        self._session = session
        self._fitting: dict[Column, int] = {}

    def value(self, column: Column) -> Any:
        """Return a new value; what is unique stays so."""
        guesses = plausible(column)
        if len(guesses) > 1 and column not in self._fitting:
            self._fitting[column] = self._first_fitting(column, guesses)
        return guesses[self._fitting.get(column, 0)]

    def _first_fitting(self, column: Column, guesses: list[Any]) -> int:
        # type and conditions are what the catalog itself wrote
        one = sql.SQL(f"({{}}, {{}}::{column.type})")  # pyright: ignore[reportArgumentType]
        rows = sql.SQL(", ").join(
            one.format(sql.Literal(n), sql.Literal(guess)) for n, guess in enumerate(guesses)
        )
        conditions = sql.SQL(" AND ").join(
            sql.SQL(f"(({check}) IS NOT FALSE)")  # pyright: ignore[reportArgumentType]
            for check in column.checks
        )
        query = sql.SQL("SELECT n FROM (VALUES {}) AS t (n, {}) WHERE {} ORDER BY n LIMIT 1")
        asked = query.format(rows, sql.Identifier(column.name), conditions)
        try:
            with self._session.connection.transaction():
                found = self._session.connection.execute(asked).fetchone()
        except Error:
            return 0  # the INSERT will say what is wrong
        return int(found[0]) if found else 0


def plausible(column: Column) -> list[Any]:
    """Return values that a column may take, in an order that is the same each time."""
    if column.labels:
        return [column.labels[0]]
    plain = column.type.partition("(")[0]
    if column.type.endswith("[]"):
        return ["{}"]
    if plain in _TEXTS:
        return _texts(column)
    if plain in _NUMBERS and column.key:
        return [1 + secrets.randbits(14 if plain == "smallint" else 30)]
    if plain in _NUMBERS:
        return [1, *_numbers(column.checks)]
    if plain == "bytea":
        lengths = (16, *(n for n in _numbers(column.checks) if n <= _LONGEST))
        return [secrets.token_bytes(n) for n in lengths] if column.checks else [_some_bytes()]
    if plain.startswith("time"):
        return ["2026-01-01 00:00:00+00"]
    return [_OTHERS[plain]] if plain in _OTHERS else [_plainly(plain)]


_OTHERS = {
    "boolean": False,
    "jsonb": "{}",
    "json": "{}",
    "inet": "127.0.0.1",
    "cidr": "127.0.0.0/8",
    "date": "2026-01-01",
    "interval": "1 day",
}


def _plainly(plain: str) -> Any:
    return uuid.uuid4() if plain == "uuid" else f"proof {secrets.token_hex(8)}"


def _some_bytes() -> bytes:
    return secrets.token_bytes(16)


def _texts(column: Column) -> list[str]:
    word = secrets.token_hex(8)
    found = [f"proof {word}", f"proof-{word}", f"proof{word}", word, f"proof-{word}@example.org"]
    if "mail" in column.name:
        found.insert(0, found.pop())
    if "url" in column.name:
        found.insert(0, f"https://example.org/{word}")
    if column.checks:
        literals = re.findall(r"'((?:[^']|'')*)'", " ".join(column.checks))
        found += [text.replace("''", "'").replace("%", word) for text in literals]
    longest = re.search(r"\((\d+)\)", column.type)
    if longest and int(longest[1]) < len(found[0]):
        found.insert(0, word[: int(longest[1])])
    return found if column.checks else found[:1]


def _numbers(conditions: Iterable[str]) -> list[int]:
    return [int(n) for n in re.findall(r"(?<![\w.])\d{1,9}(?![\w.])", " ".join(conditions))]
