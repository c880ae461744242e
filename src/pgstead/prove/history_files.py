"""The files of a migration history, read by a stranger: as text, none is executed."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast


@dataclass(frozen=True, slots=True)
class WrittenRevision:
    """A revision's file."""

    path: Path
    name: str
    parents: tuple[str, ...]
    lines: tuple[str, ...]  # its text; how lines end does not matter


def written(folder: Path) -> Mapping[str, WrittenRevision]:
    """Return the revisions below a folder by their names; what cannot be parsed is none."""
    found: dict[str, WrittenRevision] = {}
    for path in sorted(_scripts(folder)):
        text = path.read_text(encoding="utf-8", errors="replace")
        try:
            values = dict(_assigned(ast.parse(text)))
        except (SyntaxError, ValueError):
            continue
        name = values.get("revision")
        if isinstance(name, str):
            parents = (*_names(values.get("down_revision")), *_names(values.get("depends_on")))
            found[name] = WrittenRevision(path, name, parents, tuple(text.splitlines()))
    return found


def _scripts(folder: Path) -> Iterator[Path]:
    """Yield the scripts below a folder; what goes meanwhile, as a `__pycache__` may, is none."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        yield from (Path(place, name) for name in names if name.endswith(".py"))


def reached(files: Mapping[str, WrittenRevision], heads: Sequence[str]) -> tuple[str, ...]:
    """Return the revisions that lead to these, themselves included, with a file or without."""
    waiting, found = [*heads], dict[str, None]()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = None
            waiting += files[name].parents if name in files else ()
    return tuple(found)


def _assigned(tree: ast.Module) -> Iterator[tuple[str, object]]:
    for node in tree.body:
        if isinstance(node, ast.Assign):
            targets: list[ast.expr] = node.targets
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            targets = [node.target]
        else:
            continue
        for target in targets:
            if isinstance(target, ast.Name) and isinstance(node.value, ast.Constant | ast.Tuple):
                yield target.id, ast.literal_eval(node.value)


def _names(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(map(str, cast("tuple[object, ...]", value))) if isinstance(value, tuple) else ()
