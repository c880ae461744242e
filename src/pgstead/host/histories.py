"""The files of a migration history, read without executing one of them."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

from pgstead.host.standing import alembic_in
from pgstead.model.history import RevisionFile

_FILE = re.compile(r"(?!\.#|__init__).*\.py")  # as Alembic has it


def read(folder: Path, root: Path) -> tuple[RevisionFile, ...]:
    """Return the revisions of a folder with an alembic.ini; paths are shown from `root`.

    What cannot be read is there with its problem. Raises RevisionError without an alembic.ini.
    """
    paths = sorted({path for place in _places(folder, root) for path in place})
    return tuple(_read(path, root) for path in paths)


def _places(folder: Path, root: Path) -> Iterator[list[Path]]:
    from alembic.util import coerce_resource_to_filename  # noqa: PLC0415  heavy, and only here

    with alembic_in(folder, root) as config:
        # where alembic.ini says that packages are found
        sys.path[:0] = config.get_prepend_sys_paths_list() or []
        location = config.get_alembic_option("script_location") or ""
        given = config.get_version_locations_list() or [f"{location}/versions"]
        pattern = "*.py"
        if config.get_alembic_boolean_option("recursive_version_locations"):
            pattern = "**/*.py"
        for name in given:
            if name.endswith("/versions") and ":" in name:
                place = coerce_resource_to_filename(name.removesuffix("/versions")) / "versions"
            else:
                place = coerce_resource_to_filename(name)
            yield [p.resolve() for p in place.glob(pattern) if _FILE.fullmatch(p.name)]


def _read(path: Path, root: Path) -> RevisionFile:
    shown = str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
    try:
        source = path.read_text(encoding="utf-8")
        tree = ast.parse(source)
    except SyntaxError as error:
        return RevisionFile(shown, "", (), "", "", f"line {error.lineno}: {error.msg}")
    except (OSError, ValueError) as error:
        return RevisionFile(shown, "", (), "", "", str(error))
    values = dict(_assigned(tree))
    message = (ast.get_docstring(tree) or "").partition("\n")[0]
    name = values.get("revision")
    if not isinstance(name, str):
        return RevisionFile(shown, "", (), message, source, "it has no `revision = '...'`")
    parents = (*_names(values.get("down_revision")), *_names(values.get("depends_on")))
    return RevisionFile(shown, name, parents, message, source)


def _assigned(tree: ast.Module) -> Iterator[tuple[str, object]]:
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            targets = [node.target]
        for target in targets:
            if isinstance(target, ast.Name) and isinstance(node, ast.Assign | ast.AnnAssign):
                try:
                    yield target.id, ast.literal_eval(node.value) if node.value else None
                except ValueError:  # computed
                    continue


def _names(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list | tuple):
        return tuple(str(name) for name in cast("Sequence[object]", value))
    return ()
