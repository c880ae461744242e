"""The way back."""

from __future__ import annotations

from collections.abc import Iterator

from pgstead.lint.finding import Level
from pgstead.lint.rule import Harm, Hit, Rule
from pgstead.lint.scene import Step
from pgstead.lint.schema import Schema
from pgstead.lint.source import Source

MISSING = Rule(
    name="downgrade-missing",
    level=Level.ERROR,
    harm=Harm.FAILURE,
    message="the revision has no downgrade()",
    breaks="`alembic downgrade` ends with an error at this revision, and nothing before it can be"
    " reached",
    safe="undo the statements of upgrade() in reverse order",
    code='def downgrade() -> None:\n    """Undo it."""\n    op.drop_...(...)',
)
EMPTY = Rule(
    name="downgrade-empty",
    level=Level.ERROR,
    harm=Harm.FAILURE,
    message="downgrade() does nothing, while upgrade() changes the schema",
    breaks="the way back leaves all of it behind, alembic_version says otherwise, and the next"
    " upgrade fails on what is there",
    safe="undo the statements of upgrade() in reverse order",
    code='def downgrade() -> None:\n    """Undo it."""\n    op.drop_...(...)',
)
RAISES = Rule(
    name="downgrade-raises",
    level=Level.ERROR,
    harm=Harm.FAILURE,
    message="downgrade() raises: the revision cannot be undone",
    breaks="a bad release can be taken back by restoring a backup only, which loses what was"
    " written since",
    safe="keep what upgrade() would destroy (another table, a renamed column) until the release"
    " has settled; or say in an ignore why there is no way back",
    code='op.execute("CREATE TABLE ..._before AS TABLE ...")  # dropped by a later revision',
)
LEAVES = Rule(
    name="downgrade-leaves",
    level=Level.WARNING,
    harm=Harm.FAILURE,
    message="after downgrade() there is still: {things}",
    breaks="up, down and up again fails on what is there, or leads to another schema",
    safe="undo every statement of upgrade()",
    code="op.drop_...(...)  # {things}",
)
EXTENSION = Rule(
    name="downgrade-drops-extension",
    level=Level.WARNING,
    harm=Harm.ROWS,
    message="downgrade() drops the extension {name}, which upgrade() makes only if it is missing",
    breaks="it drops what was there before, and with CASCADE all columns of its types",
    safe="leave extensions to the manifest ([[databases]] extensions), or do not drop them",
    code='# no DROP EXTENSION "{name}" in downgrade()',
)
RULES = (MISSING, EMPTY, RAISES, LEAVES, EXTENSION)


def written(source: Source, steps: tuple[Step, ...]) -> Iterator[Hit]:
    """Yield what is wrong with downgrade() as it is written."""
    if not steps:
        return
    way = source.downgrade
    if way is None:
        yield MISSING.hit("", source.upgrade.line if source.upgrade else 0)
    elif way.raises:
        yield RAISES.hit("", way.line)
    elif way.empty and not all(map(_of_backfill, steps)):
        # the schema is as it was behind a backfill, and what the rows were is not kept
        yield EMPTY.hit("", way.line)


_FORCED = frozenset({"AT_ForceRowSecurity", "AT_NoForceRowSecurity"})


def _of_backfill(step: Step) -> bool:
    """Say whether a statement belongs to a backfill in batches."""
    switched = {what for what, _ in step.alterations()}
    return step.staged and (step.kind == "DoStmt" or (bool(switched) and switched <= _FORCED))


def leftovers(made: set[str], after: Schema, line: int) -> Iterator[Hit]:
    """Yield what upgrade() made and downgrade() left.

    What downgrade() makes anew was there before, also where no revision tells of it.
    """
    left = sorted(made & names(after))
    if left:
        shown = left[:6] + ([f"and {len(left) - 6} more"] if len(left) > 6 else [])
        yield LEAVES.hit("", line, things=", ".join(shown))


def names(schema: Schema) -> set[str]:
    """Return the names of all that is there; what goes with a table is not named beside it."""
    found = {f"{kind} {name}" for kind, name in schema.others}
    found |= {f"index {name}" for name in schema.indexes}
    for table in schema.tables.values():
        found.add(f"{table.kind} {table.name}")
        found |= {f"column {table.name}.{column}" for column in table.columns}
        found |= {f"constraint {table.name}.{name}" for name in table.constraints}
        found |= {f"policy {table.name}.{name}" for name in table.policies}
    return found


def extensions(up: tuple[Step, ...], down: tuple[Step, ...]) -> Iterator[Hit]:
    """Yield the extensions that may not have been ours."""
    lenient = {
        s.node.word("extname")
        for s in up
        if s.kind == "CreateExtensionStmt" and s.node.flag("if_not_exists")
    }
    for step in down:
        if step.kind != "DropStmt" or step.node.word("remove_type") != "OBJECT_EXTENSION":
            continue
        for each in step.node.all("objects"):
            name = each.word("sval") if each.kind == "String" else ""
            if name in lenient:
                lines = step.statement.lines
                yield EXTENSION.hit("", lines[0] if lines else 0, name=name)
