"""What a drift means for whoever runs the database, and the way out of it.

One table, read from the top: the first line whose kind, way and facet fit is taken.
"""

from __future__ import annotations

from dataclasses import dataclass

ANY = "*"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What is told of drifts of one sort. `{name}` is the object's."""

    kind: str
    how: str
    facet: str
    says: str
    way_out: str


_WRITE_A_MIGRATION = (
    "if it is wanted, write it as a migration (`pgstead migrate new`); if not, undo it by hand"
)
_MAKE_AGAIN = "make it again as the migration has it: `pgstead migrate sql` shows the statement"

MEANINGS: tuple[Meaning, ...] = (
    Meaning(
        "row security",
        "changed",
        "enabled",
        "row-level security is off: every tenant's rows are everybody's",
        "ALTER TABLE {name} ENABLE ROW LEVEL SECURITY",
    ),
    Meaning(
        "row security",
        "changed",
        "forced",
        "row-level security does not bind the owner of the table",
        "ALTER TABLE {name} FORCE ROW LEVEL SECURITY",
    ),
    Meaning(
        "policy",
        "missing",
        ANY,
        "rows are not filtered by this policy any more; without any policy nobody sees a row",
        _MAKE_AGAIN,
    ),
    Meaning(
        "policy",
        "extra",
        ANY,
        "a policy that no migration made: a permissive one opens rows beyond the others",
        "DROP POLICY on the table, or " + _WRITE_A_MIGRATION,
    ),
    Meaning("policy", "changed", ANY, "other rows are shown or taken than was meant", _MAKE_AGAIN),
    Meaning(
        "index",
        "changed",
        "valid",
        "the index is invalid: a concurrent build failed; it is written to and never read",
        "REINDEX INDEX CONCURRENTLY {name}",
    ),
    Meaning(
        "index",
        "missing",
        ANY,
        "queries that it was made for read the whole table; a unique one guards nothing any more",
        _MAKE_AGAIN,
    ),
    Meaning(
        "index",
        "extra",
        ANY,
        "every write pays for an index that no migration made",
        "DROP INDEX CONCURRENTLY {name}, or " + _WRITE_A_MIGRATION,
    ),
    Meaning(
        "constraint",
        "changed",
        "validated",
        "rows that were there before were never checked against it",
        "ALTER TABLE ... VALIDATE CONSTRAINT (it reads the table, and blocks nobody)",
    ),
    Meaning(
        "constraint",
        "changed",
        "enforced",
        "the constraint is there and holds nobody to it",
        "drop it and add it again without NOT ENFORCED",
    ),
    Meaning(
        "constraint",
        "missing",
        ANY,
        "values that the application relies on not to be there are taken",
        _MAKE_AGAIN,
    ),
    Meaning(
        "constraint",
        "extra",
        ANY,
        "writes that the application believes to be right may be refused",
        "ALTER TABLE ... DROP CONSTRAINT, or " + _WRITE_A_MIGRATION,
    ),
    Meaning(
        "trigger",
        "changed",
        "fires",
        "the trigger does not fire when it should",
        "ALTER TABLE ... ENABLE TRIGGER",
    ),
    Meaning(
        "foreign key triggers",
        "changed",
        "fire",
        "foreign keys of this table are not checked: DISABLE TRIGGER ALL silenced them",
        "ALTER TABLE {name} ENABLE TRIGGER ALL, then look for rows that point nowhere",
    ),
    Meaning("trigger", "missing", ANY, "what it did on each change is not done", _MAKE_AGAIN),
    Meaning(
        "trigger",
        "extra",
        ANY,
        "something is done on each change that no migration asked for",
        "DROP TRIGGER, or " + _WRITE_A_MIGRATION,
    ),
    Meaning(
        "function",
        "changed",
        "security definer",
        "who calls it acts with other rights than was meant",
        "ALTER FUNCTION {name} SECURITY INVOKER or DEFINER, as the migration has it",
    ),
    Meaning(
        "function",
        "changed",
        "settings",
        "without a fixed search_path, whoever calls a SECURITY DEFINER function"
        " can make it run their code",
        _MAKE_AGAIN,
    ),
    Meaning("function", "changed", ANY, "it does something else than was tested", _MAKE_AGAIN),
    Meaning(
        "view",
        "changed",
        "options",
        "without security_invoker a view shows what its owner sees, past row-level security",
        "ALTER VIEW {name} SET (security_invoker = true)",
    ),
    Meaning(
        "grants",
        ANY,
        ANY,
        "somebody may do more, or less, than was meant",
        "GRANT or REVOKE as the migration has it; `pgstead up` sets what is the stead's",
    ),
    Meaning(
        "column",
        "changed",
        "type",
        "values are kept, sorted or cut otherwise; prepared statements of running"
        " applications may answer wrongly",
        _WRITE_A_MIGRATION,
    ),
    Meaning(
        "column",
        "changed",
        "not null",
        "empty values are taken, or refused, other than the application believes",
        _MAKE_AGAIN,
    ),
    Meaning(
        "column",
        "changed",
        "default",
        "new rows get another value where none is given",
        "ALTER TABLE ... ALTER COLUMN ... SET DEFAULT as the migration has it",
    ),
    Meaning(
        "column",
        "changed",
        "expression",
        "the value that is computed is another one",
        _WRITE_A_MIGRATION,
    ),
    Meaning(
        "column",
        "missing",
        ANY,
        "statements that name it fail",
        "add it again; its values are to be had from a backup only",
    ),
    Meaning(
        "table",
        "missing",
        ANY,
        "statements that name it fail",
        "restore it from a backup (`pgstead restore --extract`)",
    ),
    Meaning(
        "enum",
        "changed",
        "labels",
        "values are taken, or missing, that the application does not know",
        _WRITE_A_MIGRATION,
    ),
    Meaning(
        "extension",
        "changed",
        "version",
        "its functions may behave otherwise",
        "ALTER EXTENSION {name} UPDATE, after its release notes were read",
    ),
    Meaning(
        "settings",
        ANY,
        ANY,
        "sessions start with other settings than was meant",
        "ALTER ROLE ... IN DATABASE ... RESET, or `pgstead up`",
    ),
    Meaning(
        "comment", ANY, ANY, "whoever reads the schema is told something else", _WRITE_A_MIGRATION
    ),
    Meaning(ANY, "missing", ANY, "what the migrations made is gone", _MAKE_AGAIN),
    Meaning(ANY, "extra", ANY, "no migration made this", _WRITE_A_MIGRATION),
    Meaning(ANY, ANY, ANY, "it is not what the migrations made", _WRITE_A_MIGRATION),
)


def meaning(kind: str, how: str, facets: tuple[str, ...]) -> Meaning:
    """Return the first that fits one of the facets; the last of all fits everything."""
    return next(
        line
        for line in MEANINGS
        if line.kind in (kind, ANY)
        and line.how in (how, ANY)
        and (line.facet == ANY or line.facet in facets)
    )
