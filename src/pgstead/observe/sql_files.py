"""The SQL of this package: one query per file, `<what>_<floor>.sql`, chosen by major version."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import LiteralString, cast


@cache
def query(what: str, major: int) -> LiteralString:
    """Return the newest query for `what` whose floor is not above the server's major version.

    The files ship with the package, so their text is as trusted as a literal.
    """
    folder = files("pgstead.observe") / "queries"
    for floor in range(major, 14, -1):
        candidate = folder / f"{what}_{floor}.sql"
        if candidate.is_file():
            return cast("LiteralString", candidate.read_text(encoding="utf-8"))
    raise AssertionError(f"no query {what} for PostgreSQL {major}")


@cache
def floor(what: str) -> int:
    """Return the oldest major version that a query can be asked of."""
    folder = files("pgstead.observe") / "queries"
    return next(major for major in range(15, 100) if (folder / f"{what}_{major}.sql").is_file())
