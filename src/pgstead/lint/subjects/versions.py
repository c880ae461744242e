"""What the target's version does not know yet. The grammar here is that of PostgreSQL 18."""

from __future__ import annotations

from collections.abc import Iterator

from pgstead.lint.finding import Level
from pgstead.lint.rule import Harm, Hit, Rule
from pgstead.lint.scene import Scene, Step
from pgstead.lint.tree import Node, dotted

NEWER = Rule(
    name="newer-than-the-server",
    level=Level.ERROR,
    harm=Harm.FAILURE,
    message="{what} needs PostgreSQL {since}; the manifest says {major}",
    breaks="the server refuses it, and the whole revision rolls back",
    safe="write it as the older version knows it, or upgrade the server first (server.major)",
)
RULES = (NEWER,)

_FUNCTIONS = {"uuidv7": 18, "uuidv4": 18, "array_sort": 18, "array_reverse": 18, "casefold": 18}


def each(step: Step, scene: Scene) -> Iterator[Hit]:
    """Yield what a statement says that the server would not understand."""
    major = scene.around.major
    if major >= 18:
        return
    for what, since in dict(_used(step)).items():
        if since > major:
            yield NEWER.hit(step.table, what=what, since=since, major=major)


def _used(step: Step) -> Iterator[tuple[str, int]]:
    """Yield the news that a statement uses, with the version that brought them."""
    for constraint in step.node.find("Constraint"):
        yield from _of_constraint(constraint)
    for call in step.node.find("FuncCall"):
        name = dotted(call.names("funcname"))
        if name in _FUNCTIONS:
            yield f"{name}()", _FUNCTIONS[name]
    if any(what == "AT_SetExpression" for what, _ in step.alterations()):
        yield "SET EXPRESSION", 17


def _of_constraint(constraint: Node) -> Iterator[tuple[str, int]]:
    kind = constraint.word("contype")
    if kind == "CONSTR_GENERATED" and constraint.word("generated_kind") == "v":
        yield "a virtual generated column", 18
    if kind == "CONSTR_NOTNULL" and constraint.word("conname") and constraint.names("keys"):
        yield "ADD CONSTRAINT ... NOT NULL", 18
    if kind == "CONSTR_ATTR_NOT_ENFORCED":
        yield "NOT ENFORCED", 18
    if constraint.flag("without_overlaps") or constraint.flag("fk_with_period"):
        yield "WITHOUT OVERLAPS and PERIOD", 18
