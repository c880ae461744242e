"""How long rows are kept, what is due, and what was removed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Rule:
    """How long the rows of a table are kept."""

    table: str  # with its schema
    by: str  # the column whose moment counts
    seconds: float  # that a row is kept beyond it
    where: str = ""  # SQL: only rows that satisfy it; empty: all
    files: str = ""  # a column that names a file, which goes with its row
    rules: str = ""  # a table (relation, keep_for) whose row for this table counts instead


@dataclass(frozen=True, slots=True)
class Due:
    """What a run would remove of one table."""

    database: str
    table: str
    by: str
    before: datetime | None  # rows from before that moment are due; None: nobody can tell
    rows: int | None  # exactly; None: nobody can tell
    files: int = 0
    why: str = ""  # nobody can tell


@dataclass(slots=True)
class Removed:
    """What a run removed of one table."""

    database: str
    table: str
    before: datetime | None = None
    rows: int = 0
    files: int = 0
    left: int = 0  # due, and locked by somebody or held by a row that refers to it
    batches: int = 0
    longest: float = 0.0  # seconds of the longest transaction
    under_way: int = 0  # rows, at the most, of a batch whose end was not written down yet
    why: str = ""  # nothing was removed, or not all
