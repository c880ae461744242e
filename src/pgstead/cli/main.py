"""The program `pgstead`: a table of commands, each imported only when it is called.

`--help` must answer within 150 ms, so this module imports click and the error tree and nothing
else. What a command does is in the module of its name.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

import click

from pgstead.cli.command import add_shared_options, write_examples, write_exit_statuses
from pgstead.cli.invocation import Invocation, invocation_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Section -> command -> short help. The command lives in `pgstead.cli.<command>`; a test keeps
# the short help equal to the first sentence of the command's own help.
SECTIONS: Mapping[str, Mapping[str, str]] = {
    "Describe": {
        "init": "Write a starter manifest.",
        "schema": "Print the JSON Schema of the manifest.",
        "explain": "Say where a value, a promise or an error comes from.",
    },
    "Bring about": {
        "doctor": "Look whether this machine has all that the manifest needs.",
        "plan": "Show what `up` would change, and what each change costs.",
        "up": "Make the running system what the manifest says.",
        "down": "Stop everything; data stays.",
        "restart": "Restart the server without an error for the pooler's clients.",
        "upgrade": "Take the cluster to another PostgreSQL, rehearsed first.",
        "destroy": "Stop everything and remove all that pgstead made, data included.",
        "migrate": "Change the schema of a database without hurting who uses it.",
        "backup": "Make, list, verify and let go of backups.",
        "restore": "Bring back what was, to any moment, beside the running server.",
        "drill": "Restore the newest backup apart, and question it.",
        "integrity": "Find what is damaged, and repair what can be without loss.",
        "partitions": "Make partitions before their time, and drop old ones.",
        "retention": "Remove what is too old, as the models declare it.",
        "rotate": "Change passwords, certificates, the CA and keys in use.",
        "upkeep": "Keep tables and indexes fit: vacuum, freezing, bloat.",
        "toolchain": "Fetch PostgreSQL binaries beside the system's.",
        "render": "Write the design as files for containers, systemd, and others.",
    },
    "Look": {
        "status": "Show what runs, where, and what needs attention.",
        "audit": "Who did what, when, from where, for whom.",
        "pii": "Show, export, erase and mask what tells something of a person.",
        "audit-report": "Try every security check live, and map it to CIS controls.",
        "alerts": "Show what fires, and have it told or silenced.",
        "top": "Show sessions, waits, rates, pool and statements, live.",
        "inspect": "Find what ails the running server, and the SQL that cures it.",
        "capacity": "Show when disk, connections and sequences run out.",
        "bench": "Put a load on the running stead, and find what got slower.",
        "logs": "Show the logs of the server, the pooler and the services.",
        "metrics": "Print what Prometheus, Grafana and a collector need.",
        "prove": "Try every promise on the running system, as a stranger would.",
    },
    "Connect": {
        "psql": "Open psql on a database.",
        "url": "Print the URL of a database, without its password.",
        "demo": "Load or remove the sample data of a database.",
        "keys": "Make, show and rotate the keys of encrypted columns.",
    },
}

EXAMPLES = (
    ("pgstead init", "write pgstead.toml"),
    ("pgstead up", "make it so"),
    ("pgstead prove", "see that it is so"),
)


def _short_helps() -> dict[str, str]:
    return {name: text for section in SECTIONS.values() for name, text in section.items()}


class Program(click.Group):
    """A group that knows its commands by name and imports the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all names, in the order of the help."""
        return list(_short_helps())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module, and nothing of the others."""
        if cmd_name not in _short_helps():
            return None
        module = importlib.import_module(f"pgstead.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or name the one that was probably meant."""
        name = args[0]
        if name not in _short_helps() and not name.startswith("-"):
            near = difflib.get_close_matches(name, _short_helps(), n=1)
            meant = f"; did you mean `{near[0]}`?" if near else ""
            raise click.UsageError(f"no such command: `{name}`{meant}", ctx)
        ctx.obj = replace(invocation_of(ctx), command=name)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of commands without importing one of them."""
        for section, commands in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([*commands.items()], col_max=14)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """End with how to start, and what the exit statuses mean."""
        write_examples(formatter, EXAMPLES)
        write_exit_statuses(formatter)


def _print_version(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from pgstead import __version__

    click.echo(f"pgstead {__version__}")
    ctx.exit()


def new_program() -> Program:
    """Make the program, with its shared options."""
    program = Program(
        name="pgstead",
        help="Turn one manifest into a production-shaped PostgreSQL, and prove it.",
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        no_args_is_help=True,
        subcommand_metavar="COMMAND [ARGS]...",
    )
    add_shared_options(program)
    program.params.append(
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_print_version,
            help="Print the version and leave.",
        )
    )
    return program


def main(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit status. Raises nothing but SystemExit."""
    invocation = Invocation(json="--json" in _options(arguments))
    ctx: click.Context | None = None
    try:
        if any(word.partition("=")[0] == "--target" for word in _options(arguments)):
            from pgstead.cli import elsewhere

            if (line := elsewhere.parse(arguments)) is not None:
                return elsewhere.run(line)
        ctx = new_program().make_context("pgstead", list(arguments), obj=invocation)
        with ctx:
            status = ctx.command.invoke(ctx)
            sys.stdout.flush()
            return int(status or 0)
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except BaseException as error:  # noqa: BLE001  the last resort: a bug is told as one
        from pgstead.cli.failure import report

        return report(error, invocation_of(ctx) if ctx else invocation)


def _options(arguments: Sequence[str]) -> Sequence[str]:
    """Return the arguments before `--`: what follows belongs to another program."""
    return arguments[: arguments.index("--")] if "--" in arguments else arguments


def run() -> NoReturn:
    """Be the program."""
    sys.exit(main(sys.argv[1:]))
