"""Views, which look at tables with their owner's eyes unless told otherwise."""

from __future__ import annotations

from collections.abc import Iterator

from pgstead.lint.finding import Level
from pgstead.lint.rule import Harm, Hit, Rule
from pgstead.lint.scene import Scene, Step
from pgstead.lint.tree import Node, options, relation, truth

INVOKER = Rule(
    name="view-without-security-invoker",
    level=Level.ERROR,
    harm=Harm.SECURITY,
    message="the view {view} looks at {tables} with its owner's eyes",
    breaks="policies are asked for the owner, not for who selects: the view shows the rows of all"
    " tenants wherever the owner sees them",
    safe="security_invoker (PostgreSQL 15 and newer)",
    code='op.execute("ALTER VIEW {view} SET (security_invoker = true)")',
)
INVOKER_OFF = Rule(
    name="security-invoker-off",
    level=Level.ERROR,
    harm=Harm.SECURITY,
    message="security_invoker of the view {view} is switched off",
    breaks="from the commit on it shows what its owner sees",
    safe="leave it on",
    code='op.execute("ALTER VIEW {view} SET (security_invoker = true)")',
)
MATERIALIZED = Rule(
    name="materialized-view-over-secured-table",
    level=Level.ERROR,
    harm=Harm.SECURITY,
    message="the materialized view {view} keeps rows of {tables}, which are secured by row",
    breaks="a materialized view has no policies: whoever may read it reads the rows of all tenants",
    safe="a plain view with security_invoker; or a table that is kept by a job, with policies",
    code='op.execute("CREATE VIEW {view} WITH (security_invoker = true) AS ...")',
)
RULES = (INVOKER, INVOKER_OFF, MATERIALIZED)


def each(step: Step, scene: Scene) -> Iterator[Hit]:
    """Yield the views that show more than their reader may see."""
    node = step.node
    match step.kind:
        case "ViewStmt":
            tables = _read(node.one("query"))
            if tables and not _invoker(node) and not _set_later(step, scene):
                yield INVOKER.hit(view=relation(node.one("view")), tables=", ".join(tables))
        case "CreateTableAsStmt" if node.word("objtype") == "OBJECT_MATVIEW":
            into = node.one("into")
            secured = [t for t in _read(node.one("query")) if _secured(t, scene)]
            if secured:
                view = relation(into.one("rel")) if into else ""
                yield MATERIALIZED.hit(view=view, tables=", ".join(secured))
        case "AlterTableStmt" if node.word("objtype") == "OBJECT_VIEW":
            if _switched(node) is False:
                yield INVOKER_OFF.hit(view=relation(node.one("relation")))
        case _:
            pass


def _read(query: Node | None) -> list[str]:
    """Return the tables that a query reads; those of WITH are no tables."""
    if query is None:
        return []
    own = {c.word("ctename") for c in query.find("CommonTableExpr")}
    names = (relation(r) for r in query.find("RangeVar"))
    return [n for n in dict.fromkeys(names) if n not in own and not n.startswith("pg_catalog.")]


def _secured(table: str, scene: Scene) -> bool:
    found = scene.schema.table(table)
    return found is not None and found.secured


def _invoker(node: Node) -> bool:
    found = options(node, "options")
    return "security_invoker" in found and truth(found["security_invoker"])


def _switched(node: Node) -> bool | None:
    """Return what an ALTER VIEW makes of security_invoker; None if it says nothing of it."""
    for part in node.all("cmds"):
        what, definition = part.word("subtype"), part.one("def")
        settings = options(definition, "items") if definition and definition.kind == "List" else {}
        if "security_invoker" in settings:
            return what == "AT_SetRelOptions" and truth(settings["security_invoker"])
    return None


def _set_later(step: Step, scene: Scene) -> bool:
    view = relation(step.node.one("view"))
    return any(
        later.kind == "AlterTableStmt"
        and relation(later.node.one("relation")) == view
        and _switched(later.node) is True
        for later in scene.after(step)
    )
