"""`pgstead migrate ...`: a table of commands, each in a module of its own, imported when called.

A further one is a line here and a module `pgstead.cli.migrate_<name>` with a `command`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping

import click

from pgstead.cli.command import CommandGroup

SUBCOMMANDS: Mapping[str, str] = {
    "status": "Say where the databases are, and what is pending.",
    "up": "Apply what is pending.",
    "down": "Take revisions back; say what is lost by it.",
    "new": "Write a revision of what the models have and the database has not.",
    "check": "Look for drift, and for what is wrong with the history.",
    "lint": "Say what migrations would break, before they run.",
    "rehearse": "Try it on a copy of the data: locks, waits, rewrites, and the way back.",
    "history": "Say when, by whom and how each revision was applied.",
    "sql": "Print the statements, and run none.",
    "reconcile": "Say where a database really is, after its schema was compared.",
}


class Migrate(CommandGroup):
    """A group that imports the command that is called, and none of the others."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all names, in the order of the help."""
        return [*SUBCOMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module."""
        if cmd_name not in SUBCOMMANDS:
            return None
        module = importlib.import_module(f"pgstead.cli.migrate_{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table without importing one of them."""
        with formatter.section("Commands"):
            formatter.write_dl([*SUBCOMMANDS.items()], col_max=12)


command = Migrate(
    "migrate",
    help="Change the schema of a database without hurting who uses it.\n\nThe revisions are"
    " Alembic's, in the folder that the manifest names ([[databases]] migrations); Alembic's own"
    " commands keep working there.",
    examples=(
        ("pgstead migrate up", "apply what is pending, in all databases"),
        ("pgstead migrate new shop -m 'prices'", "write what changed in the models"),
        ("pgstead migrate lint", "say what pending migrations would break"),
        ("pgstead migrate lint shop --all", "judge the whole history of one database"),
    ),
)
