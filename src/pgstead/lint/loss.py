"""What statements take away with its rows: tables and columns. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pgstead.lint.blocks import inside
from pgstead.lint.tree import Node, SyntaxProblem, listed, parse, relation
from pgstead.model.revision import Statement

Thing = tuple[str, str, str]
"""Schema, table, column; an empty column means the whole table."""


def losses(statements: Iterable[Statement]) -> tuple[Thing, ...]:
    """Return the tables and columns that statements drop or empty, each once.

    What cannot be parsed is passed over: the server will refuse it.
    """
    found: dict[Thing, None] = {}
    for statement in statements:
        try:
            parts = parse(statement.text)
        except SyntaxProblem:
            continue
        for part in parts:
            for node in (part.node, *(q.node for q in inside(part))):
                found |= dict.fromkeys(_lost(node))
    # a column of a table that goes as a whole need not be told again
    tables = {thing[:2] for thing in found if not thing[2]}
    return tuple(t for t in found if not t[2] or t[:2] not in tables)


def _lost(node: Node) -> Iterator[Thing]:
    match node.kind:
        case "DropStmt" if node.word("remove_type") == "OBJECT_TABLE":
            for each in node.all("objects"):
                names = ("public", *listed(each))[-2:]
                yield (names[0], names[1], "")
        case "TruncateStmt":
            for each in node.all("relations"):
                yield (*_place(each), "")
        case "DeleteStmt":
            yield (*_place(node.one("relation")), "")
        case "AlterTableStmt":
            for command in node.all("cmds"):
                if command.word("subtype") == "AT_DropColumn":
                    yield (*_place(node.one("relation")), command.word("name"))
        case _:
            return


def _place(node: Node | None) -> tuple[str, str]:
    schema, _, name = f"public.{relation(node)}".rpartition(".")
    return schema.removeprefix("public.") or "public", name
