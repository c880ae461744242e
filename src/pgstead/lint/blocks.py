"""The statements inside of a DO block, as far as they are written out in it.

Every branch is taken for run. What a block puts together at run time (`format(...)`) stays closed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import postgast

from pgstead.lint.tree import Node, Parsed, SyntaxProblem, parse

_DYNAMIC = frozenset({"PLpgSQL_stmt_dynexecute", "PLpgSQL_stmt_dynfors"})
_QUIET = frozenset({"SelectStmt", "InsertStmt"})  # no rule is about these


def inside(block: Parsed) -> Iterator[Parsed]:
    """Yield what a DO block executes; nothing for every other statement."""
    if block.node.kind != "DoStmt":
        return
    try:
        tree: Any = postgast.parse_plpgsql(block.text)
    except postgast.PgQueryError:  # another language
        return
    for query, dynamic in _queries(tree):
        text = _constant(query) if dynamic else query
        try:
            parts = parse(text)
        except SyntaxProblem:  # an expression: `x := y + 1`
            continue
        yield from (part for part in parts if part.node.kind not in _QUIET)


def _queries(tree: Any, *, dynamic: bool = False) -> Iterator[tuple[str, bool]]:
    """Yield the texts of SQL in a tree of PL/pgSQL, and whether each is what EXECUTE is given."""
    if isinstance(tree, list):
        for each in cast("list[Any]", tree):
            yield from _queries(each, dynamic=dynamic)
    elif isinstance(tree, dict):
        for name, value in cast("dict[str, Any]", tree).items():
            if name == "PLpgSQL_expr":
                yield str(value.get("query", "")), dynamic
            else:
                yield from _queries(value, dynamic=dynamic or name in _DYNAMIC)


def _constant(expression: str) -> str:
    """Return the text that an expression is, if it is nothing but a text."""
    try:
        (selected,) = parse(f"SELECT {expression}")
    except (SyntaxProblem, ValueError):
        return ""
    targets = selected.node.all("target_list")
    value = targets[0].one("val") if len(targets) == 1 else None
    text: Node | None = value.one("sval") if value is not None and value.kind == "A_Const" else None
    return text.word("sval") if text is not None else ""
