"""Console: results to stdout, talk to stderr; understandable without colour.

What a program would read (tables, URLs, JSON) goes to stdout. Progress, hints and notices go to
stderr, and not at all with --quiet. Colour repeats what the words say already.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Generator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, contextmanager
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import PurePath
from typing import TYPE_CHECKING, cast

import click

if TYPE_CHECKING:
    from rich.status import Status

    from pgstead.cli.invocation import Invocation

PALETTE: Mapping[str, str] = {
    "BROKEN": "red",
    "RESTART": "yellow",
    "REWRITE": "yellow",
    "DESTRUCTIVE": "red",
    "kept": "green",
    "unproven": "yellow",
    "running": "green",
    "down": "red",
    "warning": "yellow",
    "MISSING": "red",
}


def plain(value: object) -> object:
    """Return a value as JSON knows it: dataclasses as objects, enums by value, paths as text."""
    match value:
        case Enum():
            return value.value if isinstance(value.value, str) else value.name.lower()
        case None | bool() | int() | float() | str():
            return value
        case PurePath():
            return str(value)
        case Mapping():
            mapping = cast("Mapping[object, object]", value)
            return {str(k): plain(v) for k, v in mapping.items()}
        case AbstractSet():
            return sorted(str(v) for v in cast("AbstractSet[object]", value))
        case Sequence():
            return [plain(v) for v in cast("Sequence[object]", value)]
        case _ if is_dataclass(value):
            return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
        case _:
            return str(value)


def aligned(rows: Sequence[Sequence[str]], *, gap: int = 2) -> list[str]:
    """Return the rows as lines with aligned columns; the last column is never padded."""
    columns = max((len(row) for row in rows), default=0)
    widths = [max((len(r[i]) for r in rows if i < len(r) - 1), default=0) for i in range(columns)]
    lines: list[str] = []
    for row in rows:
        cells = [cell.ljust(widths[i]) for i, cell in enumerate(row[:-1])]
        lines.append((" " * gap).join([*cells, row[-1]] if row else []).rstrip())
    return lines


def shortened(text: str, limit: int = 60) -> str:
    """Return the text, cut where a table would become too wide."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 3]}..."


class Console:
    """Where a command prints. Implements ports.Progress."""

    def __init__(self, invocation: Invocation) -> None:
        """Talk as the invocation asks."""
        self.json = invocation.json
        self._quiet = invocation.quiet or invocation.json
        self._stack: ExitStack | None = None
        self._spinner: Status | None = None

    def line(self, text: str = "") -> None:
        """Print a line of the result."""
        click.echo(coloured(text))

    def data(self, value: object) -> None:
        """Print the result for programs."""
        click.echo(json.dumps(plain(value), indent=2))

    def table(
        self, rows: Sequence[Sequence[str]], header: Sequence[str] = (), *, indent: str = ""
    ) -> None:
        """Print rows with aligned columns."""
        for text in aligned([*([header] if header else []), *rows]):
            self.line(indent + text)

    def say(self, text: str = "") -> None:
        """Tell people something that is not the result."""
        if not self._quiet:
            click.echo(text, err=True)

    def hint(self, text: str) -> None:
        """Tell what to do next."""
        self.say(f"hint: {text}")

    def warn(self, text: str) -> None:
        """Tell what needs attention; --quiet does not hide it."""
        if not self.json:
            click.echo(f"{click.style('warning:', fg='yellow')} {text}", err=True)

    @property
    def watched(self) -> bool:
        """Steps are shown on one line of a terminal now (ports.Progress)."""
        return self._stack is not None

    def step(self, text: str) -> None:
        """Tell what is being done now (ports.Progress)."""
        if self._stack is None:
            self.say(f"  {text}")
            return
        if self._spinner is None:
            # Only now: a run that has nothing to do shall not wait for rich to be imported.
            from rich.console import Console as Terminal

            self._spinner = self._stack.enter_context(Terminal(stderr=True).status(text))
        self._spinner.update(text)

    @contextmanager
    def working(self) -> Generator[None]:
        """Show steps on one line while the block runs, where a terminal can; else one a line."""
        if self._quiet or not sys.stderr.isatty():
            yield
            return
        with ExitStack() as self._stack:
            try:
                yield
            finally:
                self._spinner = None
        self._stack = None


def coloured(text: str) -> str:
    """Colour the words that matter, where the output is a terminal that wants colour."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):  # noqa: TID251  https://no-color.org
        return text
    for word, colour in PALETTE.items():
        if f" {word}" in text or text.startswith(word):
            return text.replace(word, click.style(word, fg=colour), 1)
    return text
