"""What may stand in a transaction together, what must not, and what can be repeated."""

from __future__ import annotations

from collections.abc import Iterator

from pgstead.lint.finding import Level
from pgstead.lint.rule import Harm, Hit, Rule
from pgstead.lint.scene import Scene, Step
from pgstead.lint.tree import Node, dotted, listed, options, relation, truth

NOT_IN_TRANSACTION = Rule(
    name="not-in-a-transaction",
    level=Level.ERROR,
    harm=Harm.FAILURE,
    message="{what} stands in the revision's transaction",
    breaks="the server refuses it there (25001), and the whole revision rolls back",
    safe="a revision of its own, in an autocommit block",
    code="with op.get_context().autocommit_block():\n    op.execute(...)  # {what}",
)
NOT_ALONE = Rule(
    name="autocommit-not-alone",
    level=Level.ERROR,
    harm=Harm.FAILURE,
    message="the revision has an autocommit block and other statements",
    breaks="what comes before the block is committed by it: after a failure the schema is changed,"
    " alembic_version is not, and the next run fails on what is there already",
    safe="two revisions: one with the transactional statements, one with the block alone",
    code="# revision A: op.add_column(...)\n# revision B:\n"
    "with op.get_context().autocommit_block():\n    op.create_index(...)",
)
NOT_REPEATABLE = Rule(
    name="autocommit-not-repeatable",
    level=Level.ERROR,
    harm=Harm.FAILURE,
    message="{what} in an autocommit block cannot be run twice",
    breaks="no transaction takes it back: after a failure behind it the next run fails on what is"
    " there already",
    safe="IF EXISTS, IF NOT EXISTS; an index is dropped if it exists before it is built",
    code="with op.get_context().autocommit_block():\n"
    '    op.drop_index("...", if_exists=True, postgresql_concurrently=True)\n'
    '    op.create_index("...", "...", ["..."], postgresql_concurrently=True)',
)
ENUM_USED = Rule(
    name="enum-value-used-at-once",
    level=Level.ERROR,
    harm=Harm.FAILURE,
    message="the value {value!r} is added to {type} and used in the same transaction",
    breaks="the server refuses it (55P04, unsafe use of new value), and the revision rolls back",
    safe="use it in the next revision",
    code="# this revision\nop.execute(\"ALTER TYPE {type} ADD VALUE '{value}'\")\n"
    "# next revision: whatever uses it",
)
ENUM_POSITION = Rule(
    name="enum-value-without-position",
    level=Level.NOTE,
    harm=Harm.UPKEEP,
    message="the value {value!r} goes to the end of {type}",
    breaks="ORDER BY follows the order of the values, and it cannot be changed later",
    safe="say BEFORE or AFTER which, even where it is the last",
    code="op.execute(\"ALTER TYPE {type} ADD VALUE '{value}' AFTER '...'\")",
)
CONTROL = Rule(
    name="transaction-control",
    level=Level.ERROR,
    harm=Harm.FAILURE,
    message="the revision says {what} by itself",
    breaks="what came before is committed without its alembic_version: after a failure the next"
    " run does it again",
    safe="leave transactions to the runner: one per revision; autocommit_block() for what cannot"
    " be in one",
    code="with op.get_context().autocommit_block():\n    ...",
)
SETTING = Rule(
    name="session-setting",
    level=Level.WARNING,
    harm=Harm.FAILURE,
    message="SET {name} outlives the revision",
    breaks="the revisions after it run with it too; lock_timeout and statement_timeout are the"
    " runner's, which gives up and tries again",
    safe="SET LOCAL ends with the transaction; leave the time-outs out",
    code='op.execute("SET LOCAL {name} = ...")',
)
SYNTAX = Rule(
    name="syntax-error",
    level=Level.ERROR,
    harm=Harm.FAILURE,
    message="PostgreSQL does not understand it: {problem}",
    breaks="the revision fails (42601) and rolls back",
    safe="mend the statement",
)
UNWRITABLE = Rule(
    name="not-writable-offline",
    level=Level.WARNING,
    harm=Harm.FAILURE,
    message="what {direction}() does cannot be told without a server: {problem}",
    breaks="what comes after this line is not judged, and `--sql` cannot write it for review",
    safe="schema in a revision, rows in a backfill of their own",
    code='op.execute("UPDATE ...")  # SQL that needs no row from the server first',
)
RULES = (
    *(NOT_IN_TRANSACTION, NOT_ALONE, NOT_REPEATABLE, ENUM_USED, ENUM_POSITION),
    *(CONTROL, SETTING, SYNTAX, UNWRITABLE),
)

# Refused by PreventInTransactionBlock (their manual pages say so).
_ALONE = {
    "VacuumStmt": "VACUUM",
    "CreatedbStmt": "CREATE DATABASE",
    "DropdbStmt": "DROP DATABASE",
    "CreateTableSpaceStmt": "CREATE TABLESPACE",
    "DropTableSpaceStmt": "DROP TABLESPACE",
    "AlterSystemStmt": "ALTER SYSTEM",
    "CreateSubscriptionStmt": "CREATE SUBSCRIPTION",
}


def each(step: Step, scene: Scene) -> Iterator[Hit]:
    """Yield what does not belong where it stands."""
    node = step.node
    what = _outside_only(node)
    if step.transactional and what:
        yield NOT_IN_TRANSACTION.hit(what=what)
    if not step.transactional and not _repeatable(step, scene):
        yield NOT_REPEATABLE.hit(what=what or _beginning(step.text))
    match step.kind:
        case "TransactionStmt":
            kind = node.word("kind").removeprefix("TRANS_STMT_").replace("_", " ")
            if not kind.startswith(("SAVEPOINT", "RELEASE", "ROLLBACK TO")):
                yield CONTROL.hit(what=kind)
        case "VariableSetStmt" if not node.flag("is_local"):
            if node.word("kind") in {"VAR_SET_VALUE", "VAR_SET_CURRENT"}:
                yield SETTING.hit(name=node.word("name"))
        case "AlterEnumStmt" if not node.word("old_val"):
            yield from _enum(step, scene)
        case _:
            pass


def _outside_only(node: Node) -> str:
    """Return the words of a statement that must not be in a transaction."""
    match node.kind:
        case "IndexStmt" if node.flag("concurrent"):
            return "CREATE INDEX CONCURRENTLY"
        case "DropStmt" if node.flag("concurrent"):
            return "DROP INDEX CONCURRENTLY"
        case "ReindexStmt":
            found = options(node, "params")
            concurrent = "concurrently" in found and truth(found["concurrently"])
            whole = node.word("kind") in {"REINDEX_OBJECT_SCHEMA", "REINDEX_OBJECT_DATABASE"}
            return "REINDEX CONCURRENTLY" if concurrent else "REINDEX of a whole" * whole
        case "AlterTableStmt":
            parts = (d for p in node.all("cmds") if (d := p.one("def")) is not None)
            detached = any(d.kind == "PartitionCmd" and d.flag("concurrent") for d in parts)
            return "DETACH PARTITION CONCURRENTLY" if detached else ""
        case "VacuumStmt" if not node.flag("is_vacuumcmd"):
            return ""
        case kind:
            return _ALONE.get(kind, "")


def _repeatable(step: Step, scene: Scene) -> bool:
    """Say whether a second run of a statement does no harm."""
    node = step.node
    match step.kind:
        case "IndexStmt":
            gone = (s for s in scene.before(step) if s.kind == "DropStmt")
            names = {dotted(listed(o)) for s in gone for o in s.node.all("objects")}
            return node.flag("if_not_exists") or node.word("idxname") in names
        case "DropStmt":
            return node.flag("missing_ok")
        case "CreateStmt" | "CreateSeqStmt" | "CreateSchemaStmt" | "CreateExtensionStmt":
            return node.flag("if_not_exists")
        case "AlterEnumStmt":
            return node.flag("skip_if_new_val_exists")
        case "AlterTableStmt":
            return _repeatable_alterations(step)
        case "ViewStmt" | "CreateFunctionStmt":
            return node.flag("replace")
        case "InsertStmt":
            return node.one("on_conflict_clause") is not None
        case "RenameStmt" | "CreatePolicyStmt" | "CreateTrigStmt" | "CreatedbStmt":
            return False
        case _:
            return True


_ONCE = frozenset({"AT_AddColumn", "AT_DropColumn", "AT_AddConstraint", "AT_DropConstraint"})


def _repeatable_alterations(step: Step) -> bool:
    """Say so of an ALTER TABLE. DETACH CONCURRENTLY has no other form; FINALIZE mends it."""
    return all(part.flag("missing_ok") for what, part in step.alterations() if what in _ONCE)


def _enum(step: Step, scene: Scene) -> Iterator[Hit]:
    name, value = dotted(step.node.names("type_name")), step.node.word("new_val")
    if not step.node.word("new_val_neighbor"):
        yield ENUM_POSITION.hit(type=name, value=value)
    for later in scene.after(step):
        if later.block == step.block and _mentions(later, value):
            yield ENUM_USED.hit(
                relation(later.node.one("relation")) if later.table else "", type=name, value=value
            )
            return


def _mentions(step: Step, value: str) -> bool:
    constants = (c.one("sval") for c in step.node.find("A_Const"))
    return any(c is not None and c.word("sval") == value for c in constants)


def whole(scene: Scene) -> Iterator[Hit]:
    """Yield that a block outside of the transaction is not the only content.

    What comes in stages commits too, and goes well with its like.
    """
    staged = any(s.staged for s in scene.steps)
    others = [s for s in scene.steps if not s.staged]
    outside = [s for s in others if not s.transactional]
    inside = [s for s in others if s.transactional and s.kind != "TransactionStmt"]
    if (outside or staged) and inside:
        line = inside[0].statement.lines
        yield NOT_ALONE.hit("", line[0] if line else None)


def _beginning(text: str) -> str:
    return " ".join(text.split()[:4])
