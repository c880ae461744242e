"""The Python text of a revision: its functions, and what its comments answer for."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass

_COMMENT = re.compile(r"#\s*pgstead:\s*ignore\s*(?:\[(?P<rules>[^\]]*)\])?\s*(?P<reason>.*)$")


@dataclass(frozen=True, slots=True)
class Ignore:
    """A comment that answers for findings of one rule in some lines."""

    rule: str
    reason: str
    line: int  # of the comment
    first: int
    last: int

    def covers(self, rule: str, lines: tuple[int, ...]) -> bool:
        """Say whether it answers for a finding."""
        return rule == self.rule and any(self.first <= line <= self.last for line in lines)


@dataclass(frozen=True, slots=True)
class Way:
    """`upgrade()` or `downgrade()` as it is written."""

    line: int
    empty: bool  # nothing but a docstring, `pass` or `...`
    raises: bool  # ends in a `raise` at its own level


@dataclass(frozen=True, slots=True)
class Source:
    """What is read from the text of a revision."""

    upgrade: Way | None
    downgrade: Way | None
    ignores: tuple[Ignore, ...]


def read(text: str) -> Source:
    """Read the text of a revision, which is valid Python: Alembic has loaded it."""
    tree = ast.parse(text)
    ways = {f.name: _way(f) for f in tree.body if isinstance(f, ast.FunctionDef)}
    # a revision may import its functions, or make them of others
    assigned = {
        target.id: Way(node.lineno, empty=False, raises=False)
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    ignores = tuple(_ignores(text, tree)) if "pgstead:" in text else ()
    found = {**assigned, **ways}
    return Source(found.get("upgrade"), found.get("downgrade"), ignores)


def _way(function: ast.FunctionDef) -> Way:
    body = function.body
    empty = all(
        isinstance(s, ast.Pass) or (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))
        for s in body
    )
    raises = any(isinstance(s, ast.Raise) for s in body)
    return Way(function.lineno, empty, raises)


def _ignores(text: str, tree: ast.Module) -> Iterator[Ignore]:
    spans = sorted(_spans(tree))
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        found = _COMMENT.match(token.string) if token.type == tokenize.COMMENT else None
        if found is None:
            continue
        line = token.start[0]
        alone = token.line.strip().startswith("#")
        first, last = _scope(line, spans, alone=alone)
        reason = found["reason"].strip(" -:\u2013\u2014")
        for rule in (found["rules"] or "").split(","):
            yield Ignore(rule.strip(), reason, line, first, last)


def _spans(tree: ast.Module) -> Iterator[tuple[int, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt):
            decorators = getattr(node, "decorator_list", [])
            first = min([node.lineno, *(d.lineno for d in decorators)])
            yield first, node.end_lineno or node.lineno


def _scope(line: int, spans: list[tuple[int, int]], *, alone: bool) -> tuple[int, int]:
    """Return the lines of the statement that a comment stands in, or stands above.

    A comment on a line of its own inside of a function or a loop belongs to what follows it;
    inside of one long call it belongs to that call.
    """
    inside = [s for s in spans if s[0] <= line <= s[1]]
    smallest = min(inside, key=lambda s: s[1] - s[0], default=None)
    if not alone:
        return smallest or (line, line)
    following = [s for s in spans if s[0] > line]
    start = min((s[0] for s in following), default=None)
    if smallest is not None and (start is None or start > smallest[1]):
        return smallest
    if start is None:
        return line, line
    return max((s for s in following if s[0] == start), key=lambda s: s[1])
