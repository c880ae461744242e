"""What squawk says, beside our own rules: its advice is kept where ours has none.

https://squawkhq.com. Its rules see a text and no history, so wherever a rule of ours looks at the
same hazard, ours decides, also where it is silent: a virtual generated column is no rewrite, a
wider varchar is free, a table that the revision itself makes has nobody waiting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pgstead.lint.finding import Level
from pgstead.model.revision import Remark, RevisionScript, Statement

PREFIX = "squawk:"

# squawk's rule -> ours that look at the same. None: not a hazard here, with the reason beside it.
OURS: Mapping[str, tuple[str, ...] | None] = {
    "adding-field-with-default": ("volatile-default", "stored-generated-column"),
    "adding-foreign-key-constraint": ("foreign-key-not-in-stages",),
    "adding-not-nullable-field": ("set-not-null", "required-column-without-default"),
    "adding-required-field": ("required-column-without-default",),
    "adding-serial-primary-key-field": ("numbered-column", "unique-not-by-index"),
    "ban-concurrent-index-creation-in-transaction": ("not-in-a-transaction",),
    "ban-drop-column": ("drop-column", "drop-column-still-mapped"),
    "ban-drop-constraint": ("drop-constraint",),
    "ban-drop-database": ("drop-schema",),
    "ban-drop-not-null": ("drop-not-null",),
    "ban-drop-schema": ("drop-schema",),
    "ban-drop-table": ("drop-table", "drop-table-still-mapped"),
    "ban-truncate-cascade": ("truncate",),
    "ban-uncommitted-transaction": None,  # the runner opens and ends transactions
    "changing-column-type": ("type-change",),
    "constraint-missing-not-valid": ("check-not-in-stages", "exclusion-constraint"),
    "disallowed-unique-constraint": ("unique-not-by-index",),
    "prefer-repack": ("vacuum-full", "cluster"),
    "prefer-robust-stmts": None,  # a revision is one transaction; `autocommit-not-repeatable`
    "renaming-column": ("rename-column",),
    "renaming-object": ("rename-enum-value", "rename-table"),
    "renaming-table": ("rename-table",),
    "require-concurrent-index-creation": ("index-not-concurrent",),
    "require-concurrent-index-deletion": ("drop-index-not-concurrent",),
    "require-concurrent-partition-detach": ("detach-not-concurrent",),
    "require-concurrent-reindex": ("reindex-not-concurrent",),
    "require-enum-value-ordering": ("enum-value-without-position",),
    "require-lock-timeout": None,  # the runner sets it, and tries again
    "require-statement-timeout": None,  # the runner sets it
    "require-table-schema": None,  # search_path is bound to the role
    "syntax-error": ("syntax-error",),
    "transaction-nesting": None,  # the runner opens and ends transactions
    "unused-ignore": None,  # of squawk's own comments
}

# A matter of taste, or of a size that only the application knows: shown, never in the way.
_TASTE = frozenset(
    {
        *("prefer-bigint-over-int", "prefer-bigint-over-smallint", "prefer-identity"),
        *("prefer-text-field", "ban-char-field", "identifier-too-long"),
    }
)


@dataclass(frozen=True, slots=True)
class Sheet:
    """The statements of a revision as the text that squawk reads."""

    name: str
    text: str
    starts: tuple[int, ...]  # the line (from 0) of each statement
    statements: tuple[Statement, ...]
    transactional: bool

    def at(self, line: int) -> Statement | None:
        """Return the statement that a line belongs to."""
        found = [s for s, start in zip(self.statements, self.starts, strict=True) if start <= line]
        return found[-1] if found else None


def sheet(revision: RevisionScript) -> Sheet:
    """Write out what a revision's upgrade executes."""
    statements = revision.upgrade.statements
    lines, starts = 0, list[int]()
    texts: list[str] = []
    for statement in statements:
        text = statement.text.strip()
        text = text if text.endswith(";") else f"{text};"
        starts.append(lines)
        lines += text.count("\n") + 1
        texts.append(text)
    inside = all(s.transactional for s in statements)
    return Sheet(f"{revision.name}.sql", "\n".join(texts), tuple(starts), statements, inside)


def level_of(rule: str) -> Level:
    """Return how grave a rule of squawk's is to us."""
    return Level.NOTE if rule in _TASTE else Level.WARNING


def kept(remarks: Sequence[Remark]) -> tuple[Remark, ...]:
    """Return the remarks on what no rule of ours looks at."""
    return tuple(r for r in remarks if r.rule not in OURS)
