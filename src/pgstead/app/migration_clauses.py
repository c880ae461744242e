"""What a statement of a migration demands of the rows that are there: constraints and types.

After a failure the server has rolled the constraint back, and no catalog holds its definition any
more; the statement still does. Only the few forms that ask something of existing rows are read,
and their expressions are kept as they were written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

# postgresql.org/docs/current/sql-syntax-lexical.html
_TOKEN = re.compile(
    r"""
    (?P<space>\s+|--[^\n]*|/\*.*?\*/)
  | (?P<value>[eE]'(?:[^'\\]|\\.|'')*'|(?:[bBxXnN]|[uU]&)?'(?:[^']|'')*'
             |\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$|\d[\w.]*)
  | (?P<word>(?:[uU]&)?"(?:[^"]|"")*"|[^\W\d][\w$]*)
  | (?P<open>[(\[])
  | (?P<close>[)\]])
  | (?P<sign>[-+*/<>=~!@\#%^&|`?]+|.)
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Token:
    """A word, a sign, a value, or all that parentheses enclose."""

    text: str
    start: int
    end: int
    group: bool = False

    @property
    def word(self) -> str:
        """The word as keywords are compared; a quoted name is none."""
        return self.text.upper()

    @property
    def inner(self) -> str:
        """What the parentheses enclose."""
        return self.text[1:-1]


@dataclass(frozen=True, slots=True)
class Check:
    """CHECK (condition)."""

    table: str  # as it was written; so are all names and expressions here
    name: str
    condition: str


@dataclass(frozen=True, slots=True)
class Unique:
    """UNIQUE, PRIMARY KEY, CREATE UNIQUE INDEX."""

    table: str
    name: str
    elements: tuple[str, ...]
    where: str = ""
    nulls_equal: bool = False


@dataclass(frozen=True, slots=True)
class Reference:
    """FOREIGN KEY; without `referred` it is the primary key of the other table."""

    table: str
    name: str
    columns: tuple[str, ...]
    other: str
    referred: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Exclusion:
    """EXCLUDE: no two rows for which all operators are true."""

    table: str
    name: str
    elements: tuple[tuple[str, str], ...]  # expression, operator
    where: str = ""


@dataclass(frozen=True, slots=True)
class Retyped:
    """ALTER COLUMN ... TYPE."""

    table: str
    column: str
    type: str
    using: str = ""
    name: str = ""


Clause: TypeAlias = Check | Unique | Reference | Exclusion | Retyped


def clauses(statement: str) -> Iterator[Clause]:
    """Yield what a text of one or several statements demands of rows that are there."""
    for tokens in _split(_tokens(statement), ";"):
        reader = _Reader(statement, tokens)
        if reader.take("ALTER", "TABLE"):
            yield from _altered(reader)
        elif reader.take("CREATE", "UNIQUE", "INDEX"):
            yield from _indexed(reader)


def columns(clause: Clause) -> tuple[str, ...]:
    """Return what a clause says of columns, where the table cannot be asked any more."""
    match clause:
        case Unique(elements=elements):
            return elements
        case Reference(columns=mine):
            return mine
        case Exclusion(elements=pairs):
            return tuple(expression for expression, _ in pairs)
        case Retyped(column=column):
            return (column,)
        case Check(condition=condition):
            return (condition,)


def words(expression: str) -> frozenset[str]:
    """Return the names that an expression is made of, as the catalog has them."""
    found: set[str] = set()
    for match in _TOKEN.finditer(expression):
        if match.lastgroup == "word":
            found.add(plain(match.group()))
    return frozenset(found)


def plain(name: str) -> str:
    """Return a name as the catalog has it: folded, or without its quotes."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()


def _tokens(text: str) -> list[Token]:
    found: list[Token] = []
    depth = start = 0
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind == "open":
            start = match.start() if depth == 0 else start
            depth += 1
        elif kind == "close":
            depth -= 1
            if depth == 0:
                group = text[start : match.end()]
                found.append(Token(group, start, match.end(), group=group.startswith("(")))
        elif kind != "space" and depth == 0:
            found.append(Token(match.group(), match.start(), match.end()))
    return found


def _split(tokens: Sequence[Token], sign: str) -> Iterator[list[Token]]:
    part: list[Token] = []
    for token in tokens:
        if token.text == sign:
            yield part
            part = []
        else:
            part.append(token)
    yield part


class _Reader:
    """Goes through tokens from the left."""

    def __init__(self, text: str, tokens: list[Token]) -> None:
        self.text = text
        self.tokens = tokens
        self.at = 0

    def take(self, *expected: str) -> bool:
        """Pass over these words, where all of them come next."""
        there = [token.word for token in self.tokens[self.at : self.at + len(expected)]]
        if there != [*expected]:
            return False
        self.at += len(expected)
        return True

    def skip_to(self, *expected: str) -> bool:
        """Pass over everything up to one of these words, and it too."""
        for at, token in enumerate(self.tokens[self.at :], self.at):
            if token.word in expected:
                self.at = at + 1
                return True
        return False

    def group(self) -> str | None:
        """Pass over parentheses, where they come next; return what they enclose."""
        if self.at >= len(self.tokens) or not self.tokens[self.at].group:
            return None
        self.at += 1
        return self.tokens[self.at - 1].inner

    def name(self) -> str:
        """Pass over a name, which may be qualified; return it as it was written."""
        start = self.at
        self.at += 1
        while self.take("."):
            self.at += 1
        return self.slice(start, self.at)

    def rest(self) -> str:
        """Return all that comes."""
        return self.slice(self.at, len(self.tokens))

    def slice(self, start: int, end: int) -> str:
        """Return the text from one token up to another."""
        taken = self.tokens[start:end]
        return self.text[taken[0].start : taken[-1].end] if taken else ""


def _altered(reader: _Reader) -> Iterator[Clause]:
    reader.take("IF", "EXISTS")
    reader.take("ONLY")
    table = reader.name()
    reader.take("*")
    for tokens in _split(reader.tokens[reader.at :], ","):
        action = _Reader(reader.text, tokens)
        if action.take("ADD"):
            name = action.name() if action.take("CONSTRAINT") else ""
            clause = _added(action, table, name)
        else:
            clause = _retyped(action, table) if action.take("ALTER") else None
        if clause is not None:
            yield clause


def _added(action: _Reader, table: str, name: str) -> Clause | None:
    if action.take("CHECK"):
        condition = action.group()
        return None if condition is None else Check(table, name, condition)
    if action.take("UNIQUE") or action.take("PRIMARY", "KEY"):
        return _unique(action, table, name)
    if action.take("FOREIGN", "KEY"):
        return _reference(action, table, name)
    return _exclusion(action, table, name) if action.take("EXCLUDE") else None


def _unique(action: _Reader, table: str, name: str) -> Unique | None:
    equal = action.take("NULLS", "NOT", "DISTINCT")
    action.take("NULLS", "DISTINCT")
    columns = action.group()
    if columns is None:  # USING INDEX: it is unique already
        return None
    return Unique(table, name, _elements(columns), nulls_equal=equal)


def _reference(action: _Reader, table: str, name: str) -> Reference | None:
    columns = action.group()
    if columns is None or not action.take("REFERENCES"):
        return None
    other = action.name()
    referred = action.group()
    return Reference(table, name, _elements(columns), other, _elements(referred or ""))


def _exclusion(action: _Reader, table: str, name: str) -> Exclusion | None:
    if action.take("USING"):
        action.name()
    elements = action.group()
    if elements is None:
        return None
    pairs: list[tuple[str, str]] = []
    for tokens in _split(_tokens(elements), ","):
        element = _Reader(elements, tokens)
        expression = _element(element)
        if not element.skip_to("WITH"):
            return None
        pairs.append((expression, element.rest()))
    return Exclusion(table, name, tuple(pairs), _where(action))


def _retyped(action: _Reader, table: str) -> Retyped | None:
    action.take("COLUMN")
    column = action.name()
    action.take("SET", "DATA")
    if not action.take("TYPE"):
        return None
    start = action.at
    using = action.skip_to("USING")
    kind = action.slice(start, action.at - 1 if using else len(action.tokens))
    return Retyped(table, column, kind, action.rest() if using else "")


def _indexed(reader: _Reader) -> Iterator[Clause]:
    reader.take("CONCURRENTLY")
    reader.take("IF", "NOT", "EXISTS")
    name = "" if reader.take("ON") else reader.name()
    if name and not reader.take("ON"):
        return
    reader.take("ONLY")
    table = reader.name()
    if reader.take("USING"):
        reader.name()
    elements = reader.group()
    if elements is None:
        return
    if reader.take("INCLUDE"):
        reader.group()
    equal = reader.take("NULLS", "NOT", "DISTINCT")
    where = reader.rest() if reader.skip_to("WHERE") else ""
    yield Unique(table, name, _elements(elements), where, equal)


def _where(action: _Reader) -> str:
    return (action.group() or "") if action.skip_to("WHERE") else ""


def _elements(text: str) -> tuple[str, ...]:
    """Return the columns or expressions of an index, without what they are sorted by."""
    parts = (_Reader(text, tokens) for tokens in _split(_tokens(text), ",") if tokens)
    return tuple(_element(part) for part in parts)


def _element(part: _Reader) -> str:
    if part.group() is None:
        part.name()
        part.group()  # of a function
    if part.take("COLLATE"):
        part.name()
    return part.slice(0, part.at)
