"""Invocation: how pgstead was called, whatever the command."""

from __future__ import annotations

from dataclasses import dataclass

import click


@dataclass(frozen=True, slots=True)
class Invocation:
    """The options that every command shares."""

    manifest: str | None = None  # as given with -C; None: look upwards for pgstead.toml
    json: bool = False
    quiet: bool = False
    command: str = ""  # "up", "demo"


def invocation_of(ctx: click.Context | None = None) -> Invocation:
    """Return the invocation that the context belongs to (by default the context that runs)."""
    root = (ctx or click.get_current_context()).find_root()
    if not isinstance(root.obj, Invocation):
        raise AssertionError("a command runs outside of the program")
    return root.obj
