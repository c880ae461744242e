"""Rules: what is looked for, and the words for who meets it.

The texts are templates; a hit brings the words (`{table}`, `{column}`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from pgstead.lint.finding import Level

# How the code of a safe way begins that `pgstead.app.staged` has.
STAGED = "from pgstead.app import staged\n"


class Lock(Enum):
    """The lock modes of PostgreSQL that matter to others, and what each of them blocks.

    https://www.postgresql.org/docs/current/explicit-locking.html
    """

    ACCESS_EXCLUSIVE = ("ACCESS EXCLUSIVE", "every read and write of {table}")
    EXCLUSIVE = ("EXCLUSIVE", "every write of {table}, and SELECT FOR UPDATE")
    SHARE_ROW_EXCLUSIVE = ("SHARE ROW EXCLUSIVE", "every write of {table}")
    SHARE = ("SHARE", "every write of {table}")
    ROW_EXCLUSIVE = ("ROW EXCLUSIVE", "writers of the same rows of {table}, and index builds")

    @property
    def mode(self) -> str:
        """The name that pg_locks shows."""
        return self.value[0]

    @property
    def blocks(self) -> str:
        """What waits meanwhile."""
        return self.value[1]


class Work(Enum):
    """What is done while the lock is held, and how fast a plain disk does it (MB per second)."""

    MOMENT = ("only for a moment, but whoever comes while it waits for its lock waits too", 0)
    SCAN = ("while the whole table is read", 200)
    BUILD = ("while the index is built", 50)
    REWRITE = ("while the table and all of its indexes are written anew", 50)
    COMMIT = ("until the transaction ends", 0)

    @property
    def words(self) -> str:
        """How long, in words."""
        return self.value[0]

    @property
    def pace(self) -> int:
        """An assumption that gives an order of magnitude; `migrate rehearse` measures."""
        return self.value[1]


class Harm(Enum):
    """What kind of harm a rule guards against. Only a lock is harmless on a small table."""

    LOCK = "lock"
    FAILURE = "failure"  # the migration, or a later one, fails
    ROWS = "rows"  # values are lost or wrong
    CODE = "code"  # the application that runs meanwhile breaks
    SECURITY = "security"
    UPKEEP = "upkeep"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule with its text."""

    name: str
    level: Level
    harm: Harm
    message: str
    safe: str
    code: str = ""
    lock: Lock | None = None
    work: Work = Work.MOMENT
    breaks: str = ""  # where it is no lock that breaks something

    def hit(self, table: str = "", line: int | None = None, /, **words: object) -> Hit:
        """Return a place where the rule is broken."""
        return Hit(self, table, line, {k: str(v) for k, v in words.items()})


@dataclass(frozen=True, slots=True)
class Hit:
    """A place where a rule is broken."""

    rule: Rule
    table: str
    line: int | None = None  # None: that of the statement
    words: Mapping[str, str] = field(default_factory=dict[str, str])
