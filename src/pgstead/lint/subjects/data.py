"""Rows that a revision changes."""

from __future__ import annotations

from collections.abc import Iterator

from pgstead.lint.finding import Level
from pgstead.lint.replay import column_of
from pgstead.lint.rule import STAGED, Harm, Hit, Lock, Rule, Work
from pgstead.lint.scene import Scene, Step
from pgstead.lint.tree import Node, relation

UPDATE = Rule(
    name="update-not-in-batches",
    level=Level.ERROR,
    harm=Harm.LOCK,
    message="UPDATE {table} changes its rows in one transaction",
    safe="backfill in batches by key, each a transaction of its own, after the revision that"
    " changes the schema",
    code=f"{STAGED}# a revision of its own\n"
    'staged.backfill("{table}", {{"...": "..."}}, where="...")',
    lock=Lock.ROW_EXCLUSIVE,
    work=Work.COMMIT,
)
DELETE = Rule(
    name="delete-not-in-batches",
    level=Level.ERROR,
    harm=Harm.LOCK,
    message="DELETE FROM {table} removes its rows in one transaction",
    safe="delete in batches by key, each a transaction of its own, after a verified backup",
    code="while connection.execute(text('''\n"
    "    DELETE FROM {table} WHERE id IN (\n"
    "        SELECT id FROM {table} WHERE ... ORDER BY id LIMIT 1000)\n"
    "''')).rowcount:\n    connection.commit()",
    lock=Lock.ROW_EXCLUSIVE,
    work=Work.COMMIT,
)
DELETE_ALL = Rule(
    name="delete-without-where",
    level=Level.ERROR,
    harm=Harm.ROWS,
    message="DELETE FROM {table} has no WHERE",
    breaks="all rows of {table} are gone, and no downgrade brings them back",
    safe="say which rows; if all of them: after a verified backup, with the reason in an ignore",
    code='op.execute("DELETE FROM {table} WHERE ...")',
)
TRIGGERS_OFF = Rule(
    name="triggers-disabled",
    level=Level.ERROR,
    harm=Harm.ROWS,
    message="triggers of {table} are disabled ({which})",
    breaks="what they keep (foreign keys are triggers too, audit, updated_at) is not kept for any"
    " session until they are enabled again",
    safe="leave them on; a trigger that is in the way gets a condition",
    code='op.execute("ALTER TABLE {table} ENABLE TRIGGER {which}")  # in the same revision',
)
REPLICA = Rule(
    name="replication-role",
    level=Level.ERROR,
    harm=Harm.ROWS,
    message="session_replication_role switches triggers and foreign keys off",
    breaks="rows that violate foreign keys come in, and nothing finds them afterwards",
    safe="leave it out; add what refers to other rows after these",
)
RULES = (UPDATE, DELETE, DELETE_ALL, TRIGGERS_OFF, REPLICA)

_OFF = {
    "AT_DisableTrig": "{}",
    "AT_DisableTrigAll": "ALL",
    "AT_DisableTrigUser": "USER",
}
_ON = frozenset({"AT_EnableTrig", "AT_EnableTrigAll", "AT_EnableTrigUser", "AT_EnableAlwaysTrig"})


def each(step: Step, scene: Scene) -> Iterator[Hit]:
    """Yield what a statement does to rows that were there before."""
    for change in step.node.find("UpdateStmt", "DeleteStmt"):
        yield from _changed(change, scene)
    if step.kind == "VariableSetStmt" and step.node.word("name") == "session_replication_role":
        yield REPLICA.hit()
    for what, part in step.alterations():
        if what in _OFF and scene.old(step.table) and not _enabled_again(step, scene):
            yield TRIGGERS_OFF.hit(step.table, which=_OFF[what].format(part.word("name")))


def _changed(change: Node, scene: Scene) -> Iterator[Hit]:
    table = relation(change.one("relation"))
    if not scene.old(table):
        return
    where = change.one("where_clause")
    if change.kind == "DeleteStmt" and where is None:
        yield DELETE_ALL.hit(table)
    elif not _few(where, table, scene):
        yield (UPDATE if change.kind == "UpdateStmt" else DELETE).hit(table)


def _few(where: Node | None, table: str, scene: Scene) -> bool:
    """Say whether a condition names rows by their key, or takes a batch of them."""
    if where is None:
        return False
    if where.kind == "BoolExpr":
        parts = [_few(part, table, scene) for part in where.all("args")]
        return any(parts) if where.word("boolop") == "AND_EXPR" else all(parts)
    if where.kind == "SubLink":
        query = where.one("subselect")
        return query is not None and query.one("limit_count") is not None
    return _by_key(where, table, scene)


def _by_key(test: Node, table: str, scene: Scene) -> bool:
    """Say whether a test compares a key with constants."""
    if test.kind != "A_Expr" or test.names("name") != ("=",):
        return False
    if test.word("kind") not in {"AEXPR_OP", "AEXPR_IN"}:
        return False
    left, right = test.one("lexpr"), test.one("rexpr")
    if left is None or right is None or any(right.find("ColumnRef", "SubLink")):
        return False
    column = column_of(left)
    found = scene.schema.table(table)
    keys = found.keys() if found else []
    return (column,) in keys or (not keys and column == "id")


def _enabled_again(step: Step, scene: Scene) -> bool:
    return any(
        what in _ON
        for later in scene.after(step)
        if later.table == step.table and later.block == step.block
        for what, _ in later.alterations()
    )
