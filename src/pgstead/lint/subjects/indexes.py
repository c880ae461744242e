"""Indexes and partitions of tables in use."""

from __future__ import annotations

from collections.abc import Iterator

from pgstead.lint.finding import Level
from pgstead.lint.replay import index_columns
from pgstead.lint.rule import STAGED, Harm, Hit, Lock, Rule, Work
from pgstead.lint.scene import Ending, Scene, Step
from pgstead.lint.schema import Index, Table
from pgstead.lint.tree import Node, dotted, listed, options, relation, truth

CREATE = Rule(
    name="index-not-concurrent",
    level=Level.ERROR,
    harm=Harm.LOCK,
    message="CREATE INDEX {index} blocks every writer of {table}",
    safe="build it CONCURRENTLY, outside of a transaction, in a revision of its own that can be"
    " repeated: what a killed build left behind is dropped first",
    code=f'{STAGED}staged.create_index("{{index}}", "{{table}}", [{{columns}}])',
    lock=Lock.SHARE,
    work=Work.BUILD,
)
OF_PARTITIONS = Rule(
    name="index-on-partitioned-table",
    level=Level.ERROR,
    harm=Harm.LOCK,
    message="CREATE INDEX {index} blocks the writers of all partitions of {table}",
    safe="make it ON ONLY the parent, build one CONCURRENTLY for each partition, and attach these:"
    " then the parent's becomes valid",
    code=f"{STAGED}# does all of that, on a server\n"
    'staged.create_index("{index}", "{table}", [{columns}])',
    lock=Lock.SHARE,
    work=Work.BUILD,
)
NOT_OF_PARTITIONS = Rule(
    name="concurrent-index-on-partitioned-table",
    level=Level.ERROR,
    harm=Harm.FAILURE,
    message="{table} is partitioned: its index {index} cannot be built CONCURRENTLY",
    breaks="the server refuses it (0A000)",
    safe="ON ONLY the parent, CONCURRENTLY for each partition, then ATTACH PARTITION",
    code=f"{STAGED}# does all of that, on a server\n"
    'staged.create_index("{index}", "{table}", [{columns}])',
)
DROP = Rule(
    name="drop-index-not-concurrent",
    level=Level.WARNING,
    harm=Harm.LOCK,
    message="DROP INDEX {index} waits for all who use {table}, and holds back all others",
    safe="drop it CONCURRENTLY, outside of a transaction, in a revision of its own",
    code=f'{STAGED}staged.drop_index("{{index}}", "{{table}}")',
    lock=Lock.ACCESS_EXCLUSIVE,
)
REINDEX = Rule(
    name="reindex-not-concurrent",
    level=Level.ERROR,
    harm=Harm.LOCK,
    message="REINDEX of {table} blocks its writers, and readers that want the index",
    safe="REINDEX CONCURRENTLY, outside of a transaction, in a revision of its own; a failure"
    " leaves indexes called *_ccnew or *_ccold, to be dropped",
    code="with op.get_context().autocommit_block():\n"
    '    op.execute("REINDEX {what} CONCURRENTLY {table}")',
    lock=Lock.SHARE,
    work=Work.BUILD,
)
DETACH = Rule(
    name="detach-not-concurrent",
    level=Level.ERROR,
    harm=Harm.LOCK,
    message="DETACH PARTITION {partition} takes all of {table}",
    safe="DETACH PARTITION ... CONCURRENTLY, outside of a transaction, in a revision of its own",
    code="with op.get_context().autocommit_block():\n"
    '    op.execute("ALTER TABLE {table} DETACH PARTITION {partition} CONCURRENTLY")',
    lock=Lock.ACCESS_EXCLUSIVE,
)
ATTACH = Rule(
    name="attach-without-check",
    level=Level.ERROR,
    harm=Harm.LOCK,
    message="ATTACH PARTITION {partition} reads all of its rows",
    safe="give the partition a validated CHECK that says the same as its bounds: then nothing is"
    " read; drop the check afterwards",
    code='op.create_check_constraint("{partition}_bounds", "{partition}", "...",\n'
    "    postgresql_not_valid=True)\n"
    "# next revision: VALIDATE CONSTRAINT; the one after that: ATTACH PARTITION",
    breaks="ACCESS EXCLUSIVE on {partition}, and SHARE UPDATE EXCLUSIVE on {table}, while the rows"
    " are read",
    lock=Lock.ACCESS_EXCLUSIVE,
    work=Work.SCAN,
)
TRAP = Rule(
    name="concurrent-index-if-not-exists",
    level=Level.ERROR,
    harm=Harm.FAILURE,
    message="CREATE INDEX CONCURRENTLY IF NOT EXISTS {index} takes an INVALID index for done",
    breaks="what a killed or timed-out build left behind is passed over in silence: every write"
    " keeps it up to date, no query uses it, and a unique one does not guard",
    safe="drop it first if it exists: an index of a revision that has not ended is of no use",
    code=f'{STAGED}staged.create_index("{{index}}", "{{table}}", [{{columns}}])',
)
WIDE = Rule(
    name="wide-index",
    level=Level.WARNING,
    harm=Harm.UPKEEP,
    message="the index {index} of {table} has {count} key columns",
    breaks="each write keeps it up to date, and the fourth column hardly ever narrows a search",
    safe="lead with the column that narrows most; put what is only read into INCLUDE",
    code='op.create_index("{index}", "{table}", [{first}], postgresql_include=[{rest}])',
)
DUPLICATE = Rule(
    name="duplicate-index",
    level=Level.WARNING,
    harm=Harm.UPKEEP,
    message="the index {index} has the same columns as {other}",
    breaks="each write of {table} pays twice, no query gains",
    safe="leave it out",
    code='op.drop_index("{index}", "{table}")',
)
UNLED = Rule(
    name="foreign-key-without-index",
    level=Level.WARNING,
    harm=Harm.LOCK,
    message="no index of {table} leads with {columns}, which refers to {refers}",
    breaks="each DELETE in {refers} reads all of {table}, row locks held meanwhile",
    safe="an index that leads with the referencing columns",
    code=f'{STAGED}staged.create_index("ix_{{table}}_{{first}}", "{{table}}", [{{quoted}}])',
    work=Work.SCAN,
)
RULES = (
    *(CREATE, OF_PARTITIONS, NOT_OF_PARTITIONS, DROP, REINDEX, DETACH, ATTACH),
    *(TRAP, WIDE, DUPLICATE, UNLED),
)


def each(step: Step, scene: Scene) -> Iterator[Hit]:
    """Yield what one statement does to indexes and partitions."""
    node = step.node
    match step.kind:
        case "IndexStmt":
            yield from _created(step, scene)
        case "DropStmt" if node.word("remove_type") == "OBJECT_INDEX":
            for names in map(listed, node.all("objects")):
                index = scene.schema.indexes.get(dotted(names))
                table = index.table if index else ""
                waiting = not table or (scene.old(table) and not scene.dropped(table, step))
                if not node.flag("concurrent") and waiting:
                    yield DROP.hit(table or "its table", index=dotted(names))
        case "ReindexStmt":
            if not _concurrent(node):
                yield from _reindexed(node, scene)
        case "AlterTableStmt":
            yield from _partitions(step, scene)
        case _:
            pass


def _concurrent(node: Node) -> bool:
    found = options(node, "params")
    return "concurrently" in found and truth(found["concurrently"])


def _reindexed(node: Node, scene: Scene) -> Iterator[Hit]:
    what = node.word("kind").removeprefix("REINDEX_OBJECT_")
    name = relation(node.one("relation")) or node.word("name")
    index = scene.schema.indexes.get(name)
    if scene.old(index.table if index else name):
        yield REINDEX.hit(name, what=what)


def _created(step: Step, scene: Scene) -> Iterator[Hit]:
    node = step.node
    table, name = relation(node.one("relation")), node.word("idxname") or "<unnamed>"
    columns = index_columns(node)
    told = {"index": name, "columns": _quoted(columns), "bare": ", ".join(columns)}
    yield from (rule.hit(table, **told) for rule in _built(step, table, name, scene))
    if len(columns) > 3 and not node.flag("unique"):
        yield WIDE.hit(
            table,
            index=name,
            count=len(columns),
            first=_quoted(columns[:3]),
            rest=_quoted(columns[3:]),
        )
    yield from _doubled(node, table, name, scene)


def _built(step: Step, table: str, name: str, scene: Scene) -> Iterator[Rule]:
    """Yield what is wrong with how an index is built."""
    node, relation = step.node, step.node.one("relation")
    found = scene.schema.table(table)
    partitioned = found is not None and found.kind == "partitioned"
    alone = relation is not None and not relation.flag("inh")  # ON ONLY: nothing is built
    if node.flag("concurrent"):
        if partitioned and not alone:
            yield NOT_OF_PARTITIONS
        if node.flag("if_not_exists") and not _dropped_before(step, name, scene):
            yield TRAP
    elif scene.old(table) and not (partitioned and alone):
        yield OF_PARTITIONS if partitioned else CREATE


def _dropped_before(step: Step, name: str, scene: Scene) -> bool:
    return any(
        earlier.kind == "DropStmt"
        and name in {dotted(listed(o)) for o in earlier.node.all("objects")}
        for earlier in scene.before(step)
    )


def _doubled(node: Node, table: str, name: str, scene: Scene) -> Iterator[Hit]:
    columns = index_columns(node)
    plain = node.one("where_clause") is None and "" not in columns
    method = node.word("access_method") or "btree"
    if not plain or any(p.names("opclass") for p in node.all("index_params")):
        return
    for other in scene.schema.indexes_of(table):
        same = other.columns == columns and other.method == method and not other.partial
        if same and other.name != name and (other.unique or not node.flag("unique")):
            yield DUPLICATE.hit(table, index=name, other=other.name)
            return


def _partitions(step: Step, scene: Scene) -> Iterator[Hit]:
    for what, part in step.alterations():
        definition = part.one("def")
        if definition is None or definition.kind != "PartitionCmd":
            continue
        partition = relation(definition.one("name"))
        if what == "AT_DetachPartition" and not definition.flag("concurrent"):
            if scene.old(step.table):
                yield DETACH.hit(step.table, partition=partition)
        elif what == "AT_AttachPartition" and not _bounded(partition, scene):
            yield ATTACH.hit(step.table, partition=partition)


def _bounded(partition: str, scene: Scene) -> bool:
    """Say whether it is new, and so empty, or has a check that may say what its bounds say."""
    found = scene.schema.table(partition)
    checks = found.constraints.values() if found else ()
    return scene.new(partition) or any(c.kind == "check" and c.valid for c in checks)


def _quoted(columns: tuple[str, ...]) -> str:
    return ", ".join(f'"{c}"' if c else 'sa.text("...")' for c in columns)


def final(ending: Ending) -> Iterator[tuple[Table, Hit]]:
    """Yield the foreign keys that no index leads with when all revisions have run."""
    for table in ending.tables():
        indexes = [i for i in ending.schema.indexes_of(table.name) if not i.partial]
        for constraint in table.constraints.values():
            if constraint.kind == "foreign" and not _led(constraint.columns, indexes):
                first = constraint.columns[0] if constraint.columns else ""
                told = ", ".join(constraint.columns)
                yield (
                    table,
                    UNLED.hit(
                        table.name,
                        columns=told,
                        quoted=_quoted(constraint.columns),
                        first=first,
                        refers=constraint.refers,
                    ),
                )


def _led(columns: tuple[str, ...], indexes: list[Index]) -> bool:
    return any(set(i.columns[: len(columns)]) == set(columns) for i in indexes)
