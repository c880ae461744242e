"""Changes that write every row anew."""

from __future__ import annotations

from collections.abc import Iterator

from pgstead.lint.column_types import Type, free, type_of
from pgstead.lint.finding import Level
from pgstead.lint.rule import STAGED, Harm, Hit, Lock, Rule, Work
from pgstead.lint.scene import Scene, Step
from pgstead.lint.tree import Node

TYPE = Rule(
    name="type-change",
    level=Level.ERROR,
    harm=Harm.LOCK,
    message="the type of {table}.{column} becomes {new} (it was {old})",
    safe="expand and contract: a new column beside the old one, a trigger that keeps both equal,"
    " a backfill in batches, then the application moves, then the old column goes",
    code=f"{STAGED}change = staged.Replacement(\n"
    '    "{table}", "{column}", "{column}_new", old_type="{old}", new_type="{new}")\n'
    "# this revision, before the release that reads and writes {column}_new\n"
    "staged.expand(change)\n"
    "# a later one, when no release that runs knows {column}\n"
    "staged.contract(change)",
    lock=Lock.ACCESS_EXCLUSIVE,
    work=Work.REWRITE,
)
UNDER_ASYNCPG = Rule(
    name="type-change-under-asyncpg",
    level=Level.ERROR,
    harm=Harm.ROWS,
    message="{table}.{column} becomes {new} while asyncpg's pools hold plans with the old type",
    breaks="a connection that prepared a statement before decodes the new bytes with the old type:"
    " wrong values without an error, until it is closed",
    safe="expand and contract (see type-change): a new column has no old plan; or stop the"
    " application, RECONNECT the pooler, and start it again",
    code=f"{STAGED}staged.expand(staged.Replacement(\n"
    '    "{table}", "{column}", "{column}_new", old_type="{old}", new_type="{new}"))',
)
EXPRESSION = Rule(
    name="generated-expression-change",
    level=Level.ERROR,
    harm=Harm.LOCK,
    message="SET EXPRESSION computes {table}.{column} anew for every row, if it is stored",
    safe="add a second generated column and move to it; a virtual one (18) is computed when read",
    code='op.add_column("{table}", sa.Column("{column}_new", sa.Integer(),\n'
    '    sa.Computed("...", persisted=False)))',
    lock=Lock.ACCESS_EXCLUSIVE,
    work=Work.REWRITE,
)
TABLESPACE = Rule(
    name="move-to-tablespace",
    level=Level.ERROR,
    harm=Harm.LOCK,
    message="SET TABLESPACE copies all of {table}",
    safe="pg_repack --tablespace moves a table in use",
    lock=Lock.ACCESS_EXCLUSIVE,
    work=Work.REWRITE,
)
LOGGED = Rule(
    name="set-logged",
    level=Level.ERROR,
    harm=Harm.LOCK,
    message="SET LOGGED or UNLOGGED writes {table} anew, and into the WAL",
    safe="make a new table as it shall be, and move the rows in batches",
    lock=Lock.ACCESS_EXCLUSIVE,
    work=Work.REWRITE,
)
UNLOGGED = Rule(
    name="unlogged-table",
    level=Level.WARNING,
    harm=Harm.ROWS,
    message="{table} becomes UNLOGGED",
    breaks="a crash empties it, it is in no base backup and on no standby",
    safe="leave it logged, unless its rows can be made again at any time",
)
ACCESS_METHOD = Rule(
    name="access-method-change",
    level=Level.ERROR,
    harm=Harm.LOCK,
    message="SET ACCESS METHOD writes {table} anew",
    safe="make a new table as it shall be, and move the rows in batches",
    lock=Lock.ACCESS_EXCLUSIVE,
    work=Work.REWRITE,
)
RULES = (TYPE, UNDER_ASYNCPG, EXPRESSION, TABLESPACE, LOGGED, UNLOGGED, ACCESS_METHOD)


def each(step: Step, scene: Scene) -> Iterator[Hit]:
    """Yield what one statement would write anew."""
    table = step.table
    if step.kind == "CreateStmt":
        relation = step.node.one("relation")
        if relation is not None and relation.word("relpersistence") == "u":
            yield UNLOGGED.hit(relation.word("relname"))
        return
    if not scene.old(table):
        return
    for what, part in step.alterations():
        match what:
            case "AT_AlterColumnType":
                yield from _retyped(table, part, scene)
            case "AT_SetExpression":
                yield EXPRESSION.hit(table, column=part.word("name"))
            case "AT_SetTableSpace":
                yield TABLESPACE.hit(table)
            case "AT_SetLogged" | "AT_SetUnLogged":
                yield LOGGED.hit(table)
                if what == "AT_SetUnLogged":
                    yield UNLOGGED.hit(table)
            case "AT_SetAccessMethod":
                yield ACCESS_METHOD.hit(table)
            case _:
                pass


def _retyped(table: str, part: Node, scene: Scene) -> Iterator[Hit]:
    definition = part.one("def")
    column = part.word("name")
    known = scene.schema.column(table, column)
    old = known.type if known else None
    new = type_of(definition.one("type_name")) if definition else None
    by_expression = definition is not None and definition.one("raw_default") is not None
    if free(old, new) and not by_expression:
        return
    words = {
        "column": column,
        "old": str(old) if old else "something that no revision tells",
        "new": str(new),
        "new_type": _sqlalchemy(new),
    }
    yield TYPE.hit(table, **words)
    if "asyncpg" in scene.around.drivers:
        yield UNDER_ASYNCPG.hit(table, **words)


_TYPES = (
    ("int8", "BigInteger()"),
    ("int4", "Integer()"),
    ("int2", "SmallInteger()"),
    ("text", "Text()"),
    ("uuid", "Uuid()"),
    ("bool", "Boolean()"),
    ("timestamptz", "DateTime(timezone=True)"),
    ("timestamp", "DateTime()"),
    ("date", "Date()"),
    ("numeric", "Numeric({})"),
    ("varchar", "String({})"),
    ("jsonb", "JSON()"),
)


def _sqlalchemy(kind: Type | None) -> str:
    if kind is None:
        return "Text()"
    told = ", ".join(map(str, kind.modifiers))
    named = dict(_TYPES).get(kind.name)
    return named.format(told) if named else f"types.UserDefinedType()  # {kind}"
