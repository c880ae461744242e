"""The files that git tracks: what a user gets."""

from __future__ import annotations

import ast
import subprocess
from functools import cache
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]


@cache
def tracked() -> tuple[Path, ...]:
    """Return all tracked files; in an export without git there is nothing to judge."""
    listed = subprocess.run(
        ["git", "-C", str(CHECKOUT), "-c", f"safe.directory={CHECKOUT}", "ls-files", "-z"],
        capture_output=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    names = listed.stdout.decode().split("\0")
    return tuple(path for name in names if name and (path := CHECKOUT / name).is_file())


def name_of(path: Path) -> str:
    """Return a path as people write it."""
    return str(path.relative_to(CHECKOUT))


@cache
def text_of(path: Path) -> str:
    """Return a file's text; what is not text has none."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


@cache
def modules(under: str = "") -> tuple[Path, ...]:
    """Return the tracked Python modules below a folder."""
    return tuple(p for p in tracked() if p.suffix == ".py" and name_of(p).startswith(under))


@cache
def tree_of(path: Path) -> ast.Module:
    """Return a module's syntax tree."""
    return ast.parse(text_of(path))
