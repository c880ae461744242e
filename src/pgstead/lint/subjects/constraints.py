"""Constraints on tables that have rows: checked under a lock, or in stages."""

from __future__ import annotations

from collections.abc import Iterator

from pgstead.lint.finding import Level
from pgstead.lint.replay import not_null_of
from pgstead.lint.rule import STAGED, Harm, Hit, Lock, Rule, Work
from pgstead.lint.scene import Scene, Step
from pgstead.lint.tree import Node, relation

SET_NOT_NULL = Rule(
    name="set-not-null",
    level=Level.ERROR,
    harm=Harm.LOCK,
    message="SET NOT NULL reads all of {table} to see whether {column} is null somewhere",
    safe="in stages, in a revision of its own: a CHECK that is NOT VALID, VALIDATE (which blocks"
    " nobody), then SET NOT NULL takes a moment",
    code=f'{STAGED}staged.add_not_null("{{table}}", "{{column}}")',
    lock=Lock.ACCESS_EXCLUSIVE,
    work=Work.SCAN,
)
FOREIGN = Rule(
    name="foreign-key-not-in-stages",
    level=Level.ERROR,
    harm=Harm.LOCK,
    message="the foreign key of {table} to {refers} is checked for all rows at once",
    safe="in stages, in a revision of its own: the index that it wants, the key NOT VALID, then"
    " VALIDATE, which blocks no writer",
    code=f'{STAGED}staged.add_foreign_key("{{name}}", "{{table}}", [{{columns}}], "{{refers}}",\n'
    '    index="ix_{name}")  # None: there is one',
    lock=Lock.SHARE_ROW_EXCLUSIVE,
    work=Work.SCAN,
)
CHECK = Rule(
    name="check-not-in-stages",
    level=Level.ERROR,
    harm=Harm.LOCK,
    message="the check {name} reads all of {table}",
    safe="in stages, in a revision of its own: NOT VALID, then VALIDATE, which blocks no writer",
    code=f'{STAGED}staged.add_check("{{name}}", "{{table}}", "...")',
    lock=Lock.ACCESS_EXCLUSIVE,
    work=Work.SCAN,
)
VALIDATED_AT_ONCE = Rule(
    name="validated-in-the-same-transaction",
    level=Level.ERROR,
    harm=Harm.LOCK,
    message="{name} is added NOT VALID and validated in one transaction",
    safe="VALIDATE in a transaction of its own, as the helpers do (staged.add_check,"
    " staged.add_foreign_key, staged.add_not_null), or in the next revision: here the lock of ADD"
    " CONSTRAINT is still held while the rows are read",
    code='# next revision\nop.execute("ALTER TABLE {table} VALIDATE CONSTRAINT {name}")',
    lock=Lock.ACCESS_EXCLUSIVE,
    work=Work.SCAN,
)
UNIQUE = Rule(
    name="unique-not-by-index",
    level=Level.ERROR,
    harm=Harm.LOCK,
    message="the {kind} of {table} builds its index under a lock",
    safe="build the unique index concurrently in a revision of its own, then make the constraint"
    " of it, which takes a moment",
    code=f"{STAGED}# UNIQUE\n"
    'staged.add_unique("{name}", "{table}", [{columns}])\n'
    "# PRIMARY KEY: staged.add_not_null for each column, and\n"
    'staged.create_index("{name}", "{table}", [{columns}], unique=True)\n'
    "# next revision\n"
    'op.execute("ALTER TABLE {table} ADD CONSTRAINT {name} {word} USING INDEX {name}")',
    lock=Lock.ACCESS_EXCLUSIVE,
    work=Work.BUILD,
)
EXCLUDE = Rule(
    name="exclusion-constraint",
    level=Level.ERROR,
    harm=Harm.LOCK,
    message="the exclusion constraint {name} of {table} builds its index under a lock, and there"
    " is no other way: it cannot be NOT VALID nor be made of an index",
    safe="make it while the table is small, or make a new table with it and move the rows",
    lock=Lock.ACCESS_EXCLUSIVE,
    work=Work.BUILD,
)
RULES = (SET_NOT_NULL, FOREIGN, CHECK, VALIDATED_AT_ONCE, UNIQUE, EXCLUDE)


def each(step: Step, scene: Scene) -> Iterator[Hit]:
    """Yield the constraints that a statement has checked under a lock."""
    table = step.table
    if not scene.old(table):
        return
    for what, part in step.alterations():
        if what == "AT_SetNotNull" and not _proven(table, part.word("name"), scene):
            yield SET_NOT_NULL.hit(table, column=part.word("name"))
        if what == "AT_ValidateConstraint":
            yield from _validated(step, part.word("name"), scene)
        definition = part.one("def")
        if what == "AT_AddConstraint" and definition is not None:
            yield from _added(table, definition, definition.names("keys"))
        if what == "AT_AddColumn" and definition is not None:
            for constraint in definition.all("constraints"):
                yield from _of_new_column(table, definition, constraint)


def _proven(table: str, column: str, scene: Scene) -> bool:
    """Say whether a validated constraint tells the server already."""
    found = scene.schema.table(table)
    if found is None:
        return False
    if (known := found.columns.get(column)) and known.required:
        return True
    return any(c.valid and c.required == column for c in found.constraints.values())


def _validated(step: Step, name: str, scene: Scene) -> Iterator[Hit]:
    for earlier in scene.before(step):
        if earlier.block != step.block or earlier.table != step.table:
            continue
        if any(c.word("conname") == name for c in earlier.added_constraints()):
            yield VALIDATED_AT_ONCE.hit(step.table, name=name)


def _added(table: str, constraint: Node, columns: tuple[str, ...]) -> Iterator[Hit]:
    columns = columns or constraint.names("fk_attrs")
    told = {
        "name": constraint.word("conname") or "_".join((table, *columns)),
        "columns": ", ".join(f'"{c}"' for c in columns),
    }
    staged = constraint.flag("skip_validation")
    match constraint.word("contype"):
        case "CONSTR_FOREIGN" if not staged:
            yield FOREIGN.hit(table, refers=relation(constraint.one("pktable")), **told)
        case "CONSTR_CHECK" if not staged and _enforced(constraint):
            yield CHECK.hit(table, **told)
        case "CONSTR_NOTNULL" if not staged:
            yield SET_NOT_NULL.hit(table, column=columns[0] if columns else "")
        case "CONSTR_UNIQUE" | "CONSTR_PRIMARY" as kind if not constraint.word("indexname"):
            word = "UNIQUE" if kind == "CONSTR_UNIQUE" else "PRIMARY KEY"
            kind = "unique constraint" if word == "UNIQUE" else "primary key"
            yield UNIQUE.hit(table, kind=kind, word=word, **told)
        case "CONSTR_EXCLUSION":
            yield EXCLUDE.hit(table, **told)
        case _:
            pass


def _enforced(constraint: Node) -> bool:
    return constraint.flag("is_enforced")


def _of_new_column(table: str, column: Node, constraint: Node) -> Iterator[Hit]:
    """Yield what a constraint written beside a new column does.

    Without a default the column is null in every row, and a foreign key is not checked. NOT NULL
    is told by the rules for columns.
    """
    what = constraint.word("contype")
    given = any(c.word("contype") == "CONSTR_DEFAULT" for c in column.all("constraints"))
    harmless = what == "CONSTR_FOREIGN" and not given
    if what == "CONSTR_NOTNULL" or harmless or (what == "CONSTR_CHECK" and not_null_of(constraint)):
        return
    yield from _added(table, constraint, (column.word("colname"),))
