"""`pgstead schema`."""

from __future__ import annotations

from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.invocation import invocation_of


@new_command(
    "schema",
    ("pgstead schema > pgstead.schema.json", "for an editor that completes and checks TOML"),
    exits=(0, 2),
)
def command() -> None:
    """Print the JSON Schema of the manifest.

    Name it in the manifest's first line, and editors that know TOML complete keys and mark
    mistakes: `#:schema ./pgstead.schema.json`.
    """
    from pgstead.manifest.schema import json_schema

    Console(invocation_of()).data(json_schema())
