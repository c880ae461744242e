"""How large the tables of a database are."""

from __future__ import annotations

from collections.abc import Mapping

from pgstead.model.revision import TableSize
from pgstead.observe.reading import Reading
from pgstead.observe.sql_files import query


def tables(reading: Reading, database: str) -> Mapping[str, TableSize]:
    """Return the size of each table by name, those of `public` without their schema.

    Rows are the planner's estimate: to count them would take as long as the lock in question.
    """
    rows = reading.rows(query("table_sizes", reading.major), {}, database)
    return {str(r["name"]): TableSize(int(r["rows"]), int(r["bytes"])) for r in rows}
