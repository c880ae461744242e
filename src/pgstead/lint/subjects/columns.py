"""New columns."""

from __future__ import annotations

from collections.abc import Iterator

from pgstead.lint.column_types import SERIALS, type_of, volatile_call
from pgstead.lint.finding import Level
from pgstead.lint.rule import STAGED, Harm, Hit, Lock, Rule, Work
from pgstead.lint.scene import Scene, Step
from pgstead.lint.tree import Node

NOT_NULL = Rule(
    name="required-column-without-default",
    level=Level.ERROR,
    harm=Harm.FAILURE,
    message="{table}.{column} is NOT NULL and has no default",
    breaks="it fails as soon as {table} has a row (23502); and the application that runs now does"
    " not know the column, so each of its INSERTs fails too",
    safe="add it with a default that is the same for all rows (no row is written), or add it"
    " nullable, fill it in batches, and set NOT NULL in stages",
    code='op.add_column("{table}", sa.Column("{column}", sa.{new_type}, nullable=False,\n'
    '    server_default=sa.text("...")))',
)
VOLATILE = Rule(
    name="volatile-default",
    level=Level.ERROR,
    harm=Harm.LOCK,
    message="the default of {table}.{column} calls {function}, which each row needs a value of",
    safe="add the column without a default, set the default for rows to come, fill the old rows"
    " in batches",
    code='op.add_column("{table}", sa.Column("{column}", sa.{new_type}, nullable=True))\n'
    'op.alter_column("{table}", "{column}", server_default=sa.text("{function}"))\n'
    f"# next revision\n{STAGED}"
    'staged.backfill("{table}", {{"{column}": "{function}"}}, where="{column} IS NULL")',
    lock=Lock.ACCESS_EXCLUSIVE,
    work=Work.REWRITE,
)
NUMBERED = Rule(
    name="numbered-column",
    level=Level.ERROR,
    harm=Harm.LOCK,
    message="{table}.{column} numbers the rows that are there ({how})",
    safe="add it as a nullable bigint with a sequence as its default, fill it in batches, make it"
    " an identity afterwards",
    code='op.execute("CREATE SEQUENCE {table}_{column}_seq")\n'
    'op.add_column("{table}", sa.Column("{column}", sa.BigInteger(), nullable=True))\n'
    'op.alter_column("{table}", "{column}",\n'
    "    server_default=sa.text(\"nextval('{table}_{column}_seq')\"))\n"
    f"# next revision\n{STAGED}"
    'staged.backfill("{table}", {{"{column}": "nextval(\'{table}_{column}_seq\')"}},\n'
    '    where="{column} IS NULL")',
    lock=Lock.ACCESS_EXCLUSIVE,
    work=Work.REWRITE,
)
STORED = Rule(
    name="stored-generated-column",
    level=Level.ERROR,
    harm=Harm.LOCK,
    message="the stored generated column {table}.{column} is computed for every row",
    safe="a virtual one (PostgreSQL 18) is computed when it is read; else a plain column with a"
    " trigger and a backfill in batches",
    code='op.add_column("{table}", sa.Column("{column}", sa.{new_type},\n'
    '    sa.Computed("...", persisted=False)))',
    lock=Lock.ACCESS_EXCLUSIVE,
    work=Work.REWRITE,
)
JSON = Rule(
    name="json-column",
    level=Level.WARNING,
    harm=Harm.CODE,
    message="{table}.{column} is json, which knows no equality",
    breaks="SELECT DISTINCT, GROUP BY and UNION over the table fail (42883)",
    safe="take jsonb",
    code='sa.Column("{column}", postgresql.JSONB())',
)
RULES = (NOT_NULL, VOLATILE, NUMBERED, STORED, JSON)


def each(step: Step, scene: Scene) -> Iterator[Hit]:
    """Yield what is wrong with the columns that a statement adds."""
    if step.kind == "CreateStmt":
        relation = step.node.one("relation")
        name = relation.word("relname") if relation else ""
        columns = (e for e in step.node.all("table_elts") if e.kind == "ColumnDef")
        yield from (hit for column in columns for hit in _json(name, column))
    for column in step.added_columns():
        yield from _json(step.table, column)
        if scene.old(step.table):
            yield from _added(step.table, column, scene)


def _json(table: str, column: Node) -> Iterator[Hit]:
    kind = type_of(column.one("type_name"))
    if kind is not None and kind.name == "json":
        yield JSON.hit(table, column=column.word("colname"))


def _added(table: str, column: Node, scene: Scene) -> Iterator[Hit]:
    kind = type_of(column.one("type_name"))
    told = {"column": column.word("colname"), "new_type": _named(str(kind))}
    constraints = {c.word("contype"): c for c in column.all("constraints")}
    default = constraints.get("CONSTR_DEFAULT")
    generated = constraints.get("CONSTR_GENERATED")
    if (kind is not None and kind.name in SERIALS) or "CONSTR_IDENTITY" in constraints:
        how = "GENERATED AS IDENTITY" if "CONSTR_IDENTITY" in constraints else str(kind)
        yield NUMBERED.hit(table, how=how, **told)
        return
    if generated is not None:
        if generated.word("generated_kind") != "v":
            yield STORED.hit(table, **told)
        return
    if default is not None:
        function = volatile_call(default.one("raw_expr"))
        if function:
            yield VOLATILE.hit(table, function=function, **told)
        return
    required = {"CONSTR_NOTNULL", "CONSTR_PRIMARY"} & constraints.keys()
    if required and not _empty(table, scene):
        yield NOT_NULL.hit(table, **told)


def _empty(table: str, scene: Scene) -> bool:
    """Say whether the target has no such rows, as far as it was looked at."""
    sizes = scene.around.sizes
    return sizes is not None and (table not in sizes or sizes[table].rows == 0)


def _named(kind: str) -> str:
    """Return SQLAlchemy's name of the most frequent types."""
    names = {"int4": "Integer()", "int8": "BigInteger()", "text": "Text()", "uuid": "Uuid()"}
    return names.get(kind, "Text()" if kind.startswith("varchar") else f"...,  # {kind}")
