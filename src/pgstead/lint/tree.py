"""Syntax trees of PostgreSQL's own grammar, as one small type.

protobuf has no types of its own, so all that is not typed stays behind `Node`. The names of kinds
and fields are libpg_query's (https://github.com/pganalyze/libpg_query, pg_query.proto), which are
those of PostgreSQL's parsenodes.h.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import postgast

_MESSAGE = 11  # google.protobuf.descriptor.FieldDescriptor.TYPE_MESSAGE


class SyntaxProblem(ValueError):  # noqa: N818 - not an error of ours: a finding is made of it
    """A text that PostgreSQL would not take; carries the byte where it stopped."""

    def __init__(self, message: str, position: int) -> None:
        """Keep where the parser stopped, from 0."""
        super().__init__(message)
        self.position = position


class Node:
    """One node of a tree."""

    __slots__ = ("_message",)

    def __init__(self, message: Any) -> None:
        """Wrap a message; the wrapper that is called Node in protobuf is taken off."""
        if message.DESCRIPTOR.name == "Node":
            message = getattr(message, message.WhichOneof("node"))
        self._message = message

    @property
    def kind(self) -> str:
        """The name of the node: `AlterTableStmt`."""
        return cast("str", self._message.DESCRIPTOR.name)

    def word(self, name: str) -> str:
        """Return a text, or the name of an enumeration's value."""
        value = getattr(self._message, name)
        enumeration = self._message.DESCRIPTOR.fields_by_name[name].enum_type
        if enumeration is not None:
            return cast("str", enumeration.values_by_number[value].name)
        return cast("str", value)

    def flag(self, name: str) -> bool:
        """Return a boolean."""
        return cast("bool", getattr(self._message, name))

    def number(self, name: str) -> int:
        """Return an integer."""
        return cast("int", getattr(self._message, name))

    def one(self, name: str) -> Node | None:
        """Return the child of that name, if there is one."""
        if not self._message.HasField(name):
            return None
        found = getattr(self._message, name)
        if found.DESCRIPTOR.name == "Node" and found.WhichOneof("node") is None:
            return None
        return Node(found)

    def all(self, name: str) -> tuple[Node, ...]:
        """Return the children of that name."""
        return tuple(
            Node(each)
            for each in getattr(self._message, name)
            if each.DESCRIPTOR.name != "Node" or each.WhichOneof("node")
        )

    def names(self, name: str) -> tuple[str, ...]:
        """Return the words of a list of strings: `{pg_catalog,int4}`."""
        return tuple(each.word("sval") for each in self.all(name) if each.kind == "String")

    def walk(self) -> Iterator[Node]:
        """Yield the node and all below it."""
        yield self
        for field, value in self._message.ListFields():
            if field.type != _MESSAGE:
                continue
            children: Any = value if field.is_repeated else (value,)
            for child in children:
                if child.DESCRIPTOR.name != "Node" or child.WhichOneof("node"):
                    yield from Node(child).walk()

    def find(self, *kinds: str) -> Iterator[Node]:
        """Yield the nodes of some kinds, this one included."""
        return (node for node in self.walk() if node.kind in kinds)


@dataclass(frozen=True, slots=True)
class Parsed:
    """One statement of a text."""

    node: Node
    text: str


def parse(text: str) -> tuple[Parsed, ...]:
    """Return the statements of a text. Raises SyntaxProblem."""
    try:
        tree: Any = postgast.parse(text)
    except postgast.PgQueryError as error:
        raise SyntaxProblem(error.message, max(error.cursorpos - 1, 0)) from error
    data = text.encode()
    return tuple(
        Parsed(Node(raw.stmt), _part(data, raw.stmt_location, raw.stmt_len)) for raw in tree.stmts
    )


def _part(data: bytes, start: int, length: int) -> str:
    end = start + length if length else len(data)
    return data[start:end].decode().strip().removesuffix(";").rstrip()


def relation(node: Node | None) -> str:
    """Return the name of a RangeVar, without the schema `public`."""
    if node is None:
        return ""
    schema, name = node.word("schemaname"), node.word("relname")
    return name if schema in {"", "public"} else f"{schema}.{name}"


def dotted(names: tuple[str, ...]) -> str:
    """Return a qualified name as one word, without the schemas that everybody has."""
    kept = names[1:] if len(names) > 1 and names[0] in {"public", "pg_catalog"} else names
    return ".".join(kept)


def listed(node: Node) -> tuple[str, ...]:
    """Return the names of a List or the one of a String or TypeName (DROP's objects)."""
    match node.kind:
        case "List":
            return node.names("items")
        case "String":
            return (node.word("sval"),)
        case "TypeName":
            return node.names("names")
        case "ObjectWithArgs":
            return node.names("objname")
        case _:
            return ()


def options(node: Node, field: str) -> dict[str, Node | None]:
    """Return the DefElems of a list by their names; the value is the argument."""
    return {e.word("defname"): e.one("arg") for e in node.all(field) if e.kind == "DefElem"}


def truth(argument: Node | None) -> bool:
    """Return what an option's argument means; without one the option is on."""
    if argument is None:
        return True
    match argument.kind:
        case "Boolean":
            return argument.flag("boolval")
        case "Integer":
            return argument.number("ival") != 0
        case "String":
            return argument.word("sval").lower() in {"true", "on", "1", "yes"}
        case _:
            return True
