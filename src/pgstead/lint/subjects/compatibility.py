"""What the application that runs meanwhile still uses: version N-1 works on the schema of N."""

from __future__ import annotations

from collections.abc import Iterator

from pgstead.lint.finding import Level
from pgstead.lint.rule import STAGED, Harm, Hit, Lock, Rule
from pgstead.lint.scene import Scene, Step
from pgstead.lint.tree import Node, dotted, listed, relation

DROP_COLUMN = Rule(
    name="drop-column",
    level=Level.WARNING,
    harm=Harm.CODE,
    message="{table}.{column} is dropped",
    breaks="an application that still names it fails (42703) until it is replaced; its values are"
    " gone, and no downgrade brings them back",
    safe="three releases: the models stop mapping it, this revision drops it, a backup holds it",
    code="# first release: remove {column} from the models\n"
    '# next release\nop.drop_column("{table}", "{column}")',
    lock=Lock.ACCESS_EXCLUSIVE,
)
STILL_MAPPED = Rule(
    name="drop-column-still-mapped",
    level=Level.ERROR,
    harm=Harm.CODE,
    message="{table}.{column} is dropped while the models still map it",
    breaks="every SELECT and INSERT of that model names the column and fails (42703)",
    safe="remove it from the models first, release that, then drop it",
    code="# models: remove {column} from {table}, release\n"
    '# then\nop.drop_column("{table}", "{column}")',
)
DROP_TABLE = Rule(
    name="drop-table",
    level=Level.WARNING,
    harm=Harm.CODE,
    message="{table} is dropped",
    breaks="an application that still uses it fails (42P01); its rows are gone, and no downgrade"
    " brings them back",
    safe="stop using it, then rename it, then drop it one release later, after a verified backup",
    code='op.drop_table("{table}")  # one release after the models let go of it',
    lock=Lock.ACCESS_EXCLUSIVE,
)
TABLE_MAPPED = Rule(
    name="drop-table-still-mapped",
    level=Level.ERROR,
    harm=Harm.CODE,
    message="{table} is dropped while the models still map it",
    breaks="every statement of that model fails (42P01)",
    safe="remove the model first, release that, then drop the table",
    code='# models: remove {table}, release; then\nop.drop_table("{table}")',
)
DROP_SCHEMA = Rule(
    name="drop-schema",
    level=Level.ERROR,
    harm=Harm.ROWS,
    message="{table} is dropped with all that is in it",
    breaks="all tables in it lose their rows in one statement, and no downgrade brings them back",
    safe="drop its tables one by one, each after nothing uses it any more",
    code='op.drop_table("...", schema="{table}")',
)
RENAME_COLUMN = Rule(
    name="rename-column",
    level=Level.ERROR,
    harm=Harm.CODE,
    message="{table}.{column} is renamed to {new}",
    breaks="the application that runs now fails with the new name (42703), the next one with the"
    " old: there is no moment at which both work",
    safe="keep the name in the database and change it in the model; or expand and contract",
    code='# models: no migration at all\n{new}: Mapped[...] = mapped_column("{column}")\n'
    f"# or\n{STAGED}change = staged.Replacement(\n"
    '    "{table}", "{column}", "{new}", old_type="...", new_type="...")\n'
    "staged.expand(change)  # and in a later revision: staged.contract(change)",
    lock=Lock.ACCESS_EXCLUSIVE,
)
RENAME_TABLE = Rule(
    name="rename-table",
    level=Level.ERROR,
    harm=Harm.CODE,
    message="{table} is renamed to {new}",
    breaks="the application that runs now fails (42P01) until it is replaced",
    safe="keep the name in the database and change it in the model; or leave a view with the old"
    " name, in the same transaction",
    code='op.rename_table("{table}", "{new}")\n'
    'op.execute("CREATE VIEW {table} WITH (security_invoker = true) AS SELECT * FROM {new}")',
    lock=Lock.ACCESS_EXCLUSIVE,
)
RENAME_VALUE = Rule(
    name="rename-enum-value",
    level=Level.ERROR,
    harm=Harm.CODE,
    message="the value {old!r} of {table} is renamed to {new!r}",
    breaks="the application that runs now writes the old value and fails (22P02), and cannot read"
    " the new one",
    safe="add the new value, let the application write it, change the rows in batches",
    code="op.execute(\"ALTER TYPE {table} ADD VALUE '{new}' AFTER '{old}'\")",
)
DROP_NOT_NULL = Rule(
    name="drop-not-null",
    level=Level.WARNING,
    harm=Harm.CODE,
    message="{table}.{column} may be null from now on",
    breaks="an application that does not expect it fails when it reads the first null",
    safe="release an application that copes with null first",
    code='op.alter_column("{table}", "{column}", nullable=True)  # after that release',
)
DROP_CONSTRAINT = Rule(
    name="drop-constraint",
    level=Level.WARNING,
    harm=Harm.ROWS,
    message="the constraint {name} of {table} is dropped",
    breaks="what it kept out comes in from now on, and has to be found and mended before it can"
    " be put back",
    safe="add what takes its place first (NOT VALID, validated), in an earlier revision",
    code='op.drop_constraint("{name}", "{table}")  # after its successor was validated',
)
CASCADE = Rule(
    name="drop-cascade",
    level=Level.ERROR,
    harm=Harm.ROWS,
    message="DROP ... CASCADE of {table} takes along whatever depends on it",
    breaks="views, foreign keys, policies and functions vanish without being named here; the"
    " downgrade does not know what they were",
    safe="name each of them, in the order of their dependence",
    code='op.drop_constraint("...", "...")\nop.drop_table("{table}")',
)
RULES = (
    *(DROP_COLUMN, STILL_MAPPED, DROP_TABLE, TABLE_MAPPED, DROP_SCHEMA, CASCADE),
    *(RENAME_COLUMN, RENAME_TABLE, RENAME_VALUE, DROP_NOT_NULL, DROP_CONSTRAINT),
)


def each(step: Step, scene: Scene) -> Iterator[Hit]:
    """Yield what the application that runs meanwhile would miss."""
    node = step.node
    match step.kind:
        case "DropStmt":
            yield from _dropped(node, scene)
        case "DropdbStmt":
            yield DROP_SCHEMA.hit(node.word("dbname"))
        case "RenameStmt":
            yield from _renamed(step, scene)
        case "AlterEnumStmt" if node.word("old_val"):
            old, new = node.word("old_val"), node.word("new_val")
            yield RENAME_VALUE.hit(dotted(node.names("type_name")), old=old, new=new)
        case "AlterTableStmt" if scene.old(step.table):
            yield from _altered(step, scene)
        case _:
            pass


def _dropped(node: Node, scene: Scene) -> Iterator[Hit]:
    what = node.word("remove_type")
    for name in map(dotted, map(listed, node.all("objects"))):
        if what == "OBJECT_SCHEMA":
            yield DROP_SCHEMA.hit(name)
        elif what == "OBJECT_TABLE" and scene.old(name):
            rule = TABLE_MAPPED if name in scene.around.mapped else DROP_TABLE
            yield rule.hit(name)
        if node.word("behavior") == "DROP_CASCADE" and not scene.new(name):
            yield CASCADE.hit(name)


def _renamed(step: Step, scene: Scene) -> Iterator[Hit]:
    node = step.node
    table, new = relation(node.one("relation")), node.word("newname")
    if not scene.old(table):
        return
    match node.word("rename_type"):
        case "OBJECT_COLUMN":
            yield RENAME_COLUMN.hit(table, column=node.word("subname"), new=new)
        case "OBJECT_TABLE" if not _replaced_by_view(step, table, scene):
            yield RENAME_TABLE.hit(table, new=new)
        case _:
            pass


def _replaced_by_view(step: Step, table: str, scene: Scene) -> bool:
    return any(
        later.kind == "ViewStmt"
        and relation(later.node.one("view")) == table
        and later.block == step.block
        for later in scene.after(step)
    )


def _altered(step: Step, scene: Scene) -> Iterator[Hit]:
    table = step.table
    for what, part in step.alterations():
        name = part.word("name")
        match what:
            case "AT_DropColumn":
                mapped = name in scene.around.mapped.get(table, frozenset())
                yield (STILL_MAPPED if mapped else DROP_COLUMN).hit(table, column=name)
                if part.word("behavior") == "DROP_CASCADE":
                    yield CASCADE.hit(table)
            case "AT_DropNotNull":
                yield DROP_NOT_NULL.hit(table, column=name)
            case "AT_DropConstraint" if not _replaced(step, name, scene):
                yield DROP_CONSTRAINT.hit(table, name=name)
            case _:
                pass


def _replaced(step: Step, name: str, scene: Scene) -> bool:
    """Say whether a constraint of the same kind was there or comes with the same transaction.

    A check that only helped SET NOT NULL has done its work.
    """
    known = scene.schema.constraint(step.table, name)
    column = known.required if known else ""
    found = scene.schema.column(step.table, column) if column else None
    if found is not None and found.required:
        return True
    again = (s for s in (step, *scene.after(step)) if s.block == step.block)
    return any(
        c.word("conname") == name
        for s in again
        if s.table == step.table
        for c in s.added_constraints()
    )
