"""Statements that take a heavy lock by themselves, and revisions that hold several."""

from __future__ import annotations

from collections.abc import Iterator

from pgstead.lint.finding import Level
from pgstead.lint.rule import Harm, Hit, Lock, Rule, Work
from pgstead.lint.scene import Scene, Step
from pgstead.lint.tree import Node, dotted, listed, options, relation, truth

LOCK_TABLE = Rule(
    name="lock-table",
    level=Level.ERROR,
    harm=Harm.LOCK,
    message="LOCK TABLE {table} holds {table} until the revision commits",
    safe="leave it out: each statement takes the lock that it needs, for as long as it needs it",
    lock=Lock.ACCESS_EXCLUSIVE,
    work=Work.COMMIT,
)
VACUUM_FULL = Rule(
    name="vacuum-full",
    level=Level.ERROR,
    harm=Harm.LOCK,
    message="VACUUM FULL writes {table} anew",
    safe="plain VACUUM makes the space usable again without a lock; pg_repack or pg_squeeze give"
    " it back to the disk while the table is in use",
    code='with op.get_context().autocommit_block():\n    op.execute("VACUUM (ANALYZE) {table}")',
    lock=Lock.ACCESS_EXCLUSIVE,
    work=Work.REWRITE,
)
CLUSTER = Rule(
    name="cluster",
    level=Level.ERROR,
    harm=Harm.LOCK,
    message="CLUSTER writes {table} anew in the order of an index",
    safe="leave it out: the order is lost with the next writes; pg_repack sorts a table in use",
    lock=Lock.ACCESS_EXCLUSIVE,
    work=Work.REWRITE,
)
TRUNCATE = Rule(
    name="truncate",
    level=Level.ERROR,
    harm=Harm.ROWS,
    message="TRUNCATE removes all rows of {table}",
    safe="delete in batches outside of the migration, after a backup that was verified",
    code="while connection.execute(text('''\n"
    "    DELETE FROM {table} WHERE id IN (SELECT id FROM {table} LIMIT 1000)\n"
    "''')).rowcount:\n    connection.commit()",
    lock=Lock.ACCESS_EXCLUSIVE,
    work=Work.COMMIT,
)
REFRESH = Rule(
    name="refresh-not-concurrent",
    level=Level.WARNING,
    harm=Harm.LOCK,
    message="REFRESH MATERIALIZED VIEW {table} blocks its readers while it is computed",
    safe="refresh it concurrently (it needs a unique index on columns), in a revision of its own",
    code="with op.get_context().autocommit_block():\n"
    '    op.execute("REFRESH MATERIALIZED VIEW CONCURRENTLY {table}")',
    lock=Lock.ACCESS_EXCLUSIVE,
    work=Work.SCAN,
)
TRIGGER = Rule(
    name="trigger-on-table-in-use",
    level=Level.WARNING,
    harm=Harm.LOCK,
    message="CREATE TRIGGER on {table} waits for all writers of it, and holds back new ones",
    safe="alone in a revision: it takes a moment then, and lock_timeout ends the waiting",
    code="# a revision of its own\n"
    "def upgrade() -> None:\n"
    '    op.execute("CREATE TRIGGER ... ON {table} ...")',
    lock=Lock.SHARE_ROW_EXCLUSIVE,
)
SEVERAL = Rule(
    name="several-tables-in-one-transaction",
    level=Level.WARNING,
    harm=Harm.LOCK,
    message="one transaction locks {tables} one after the other",
    safe="one revision per table: each lock is given back before the next is asked for",
    code="# a revision of its own for each of: {tables}\npgstead migrate new DB -m '...'",
    breaks="the first table stays blocked while the others are waited for, and whoever takes"
    " them in another order deadlocks with the migration (40P01)",
    lock=Lock.ACCESS_EXCLUSIVE,
    work=Work.COMMIT,
)
SEVERAL_KEYS = Rule(
    name="several-foreign-keys-in-one-transaction",
    level=Level.WARNING,
    harm=Harm.LOCK,
    message="one transaction adds foreign keys to several tables: {tables}",
    safe="one foreign key per revision: each locks the writers of two tables",
    code="# first revision: the first key\n"
    'op.create_foreign_key("...", "{table}", "...", ["..."], ["id"], postgresql_not_valid=True)\n'
    "# second revision: the next one",
    lock=Lock.SHARE_ROW_EXCLUSIVE,
    work=Work.COMMIT,
)
RULES = (
    LOCK_TABLE,
    VACUUM_FULL,
    CLUSTER,
    TRUNCATE,
    REFRESH,
    TRIGGER,
    SEVERAL,
    SEVERAL_KEYS,
)

_ROW_EXCLUSIVE = 3  # what writers take themselves (lockdefs.h)
# ALTER TABLE takes ACCESS EXCLUSIVE but for these
# (https://www.postgresql.org/docs/current/sql-altertable.html).
_LIGHT = frozenset(
    {
        *("AT_ValidateConstraint", "AT_SetStatistics", "AT_SetOptions", "AT_ResetOptions"),
        *("AT_ClusterOn", "AT_DropCluster", "AT_AttachPartition", "AT_SetRelOptions"),
        *("AT_ResetRelOptions", "AT_EnableTrig", "AT_DisableTrig", "AT_EnableTrigUser"),
        *("AT_DisableTrigUser", "AT_EnableTrigAll", "AT_DisableTrigAll"),
    }
)


def each(step: Step, scene: Scene) -> Iterator[Hit]:
    """Yield what one statement would hurt."""
    node = step.node
    match step.kind:
        case "LockStmt" if node.number("mode") > _ROW_EXCLUSIVE:
            yield from _on(LOCK_TABLE, scene, *map(relation, node.all("relations")))
        case "TruncateStmt":
            yield from _on(TRUNCATE, scene, *map(relation, node.all("relations")))
        case "VacuumStmt" if node.flag("is_vacuumcmd") and _full(node):
            names = [relation(r.one("relation")) for r in node.all("rels")] or ["every table"]
            yield from _on(VACUUM_FULL, scene, *names)
        case "ClusterStmt":
            yield from _on(CLUSTER, scene, relation(node.one("relation")) or "every table")
        case "RefreshMatViewStmt" if not node.flag("concurrent") and not node.flag("skip_data"):
            yield from _on(REFRESH, scene, relation(node.one("relation")))
        case "CreateTrigStmt":
            yield from _on(TRIGGER, scene, relation(node.one("relation")))
        case _:
            pass


def _full(node: Node) -> bool:
    found = options(node, "options")
    return "full" in found and truth(found["full"])


def _on(rule: Rule, scene: Scene, *tables: str) -> Iterator[Hit]:
    yield from (rule.hit(table) for table in tables if scene.old(table))


def whole(scene: Scene) -> Iterator[Hit]:
    """Yield what the transactions of a revision hold together, its own tables apart."""
    made = scene.made
    for block in sorted({s.block for s in scene.steps if s.transactional}):
        steps = [s for s in scene.steps if s.block == block]
        tables = _distinct(t for s in steps for t in _exclusive(s) if t not in made)
        line = _line(steps, tables)
        if len(tables) > 1:
            yield SEVERAL.hit(_largest(tables, scene), line, tables=", ".join(tables))
        keys = [s for s in steps if s.table not in made and _refers(s)]
        targets = _distinct(s.table for s in keys)
        if len(keys) > 1 or any(_refers(s) > 1 for s in keys):
            line = _first(keys[-1])
            yield SEVERAL_KEYS.hit(_largest(targets, scene), line, tables=", ".join(targets))


def _largest(tables: list[str], scene: Scene) -> str:
    """Return the table whose size weighs the finding."""
    sizes = scene.around.sizes or {}
    return max(tables, key=lambda table: sizes[table].bytes if table in sizes else 0)


def _distinct(names: Iterator[str]) -> list[str]:
    return [*dict.fromkeys(name for name in names if name)]


def _first(step: Step) -> int:
    return step.statement.lines[0] if step.statement.lines else 0


def _line(steps: list[Step], tables: list[str]) -> int:
    """Return where the second table is locked."""
    second = (s for s in steps if len(tables) > 1 and tables[1] in _exclusive(s))
    return next((_first(s) for s in second), 0)


def _exclusive(step: Step) -> list[str]:
    """Return the tables that a statement takes ACCESS EXCLUSIVE."""
    node = step.node
    match step.kind:
        case "AlterTableStmt":
            heavy = any(what not in _LIGHT and not _weak(part) for what, part in step.alterations())
            return [step.table] if heavy else []
        case "DropStmt" if node.word("remove_type") == "OBJECT_TABLE":
            return [dotted(names) for names in map(listed, node.all("objects"))]
        case "TruncateStmt" | "LockStmt":
            return [relation(each) for each in node.all("relations")]
        case "RenameStmt" if node.word("rename_type") in {"OBJECT_TABLE", "OBJECT_COLUMN"}:
            return [relation(node.one("relation"))]
        case "CreatePolicyStmt":
            return [relation(node.one("table"))]
        case _:
            return []


def _weak(part: Node) -> bool:
    """Say whether it is a foreign key, which locks writers only."""
    definition = part.one("def")
    if definition is None or definition.kind != "Constraint":
        return False
    return definition.word("contype") == "CONSTR_FOREIGN"


def _refers(step: Step) -> int:
    return sum(c.word("contype") == "CONSTR_FOREIGN" for c in step.added_constraints())
