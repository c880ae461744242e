"""Command: what all commands have in common: shared options, examples, exit statuses.

The shared options may stand before or after the command's name: `pgstead -C x up` and
`pgstead up -C x` mean the same.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from pgstead.cli.invocation import invocation_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Example = tuple[str, str]
"""A command line, and what it does in a few words."""

EVERY_STATUS: Mapping[int, str] = {
    0: "done, or all promises kept",
    1: "something failed, or a promise is broken",
    2: "wrong command line or invalid manifest",
    3: "the plan is not empty, or something was not allowed: an impact, a migration",
    4: "nothing broken, but something unproven that could have been tried here",
    5: "the first initialization failed",
}
# What the statuses mean to a command that says nothing else.
STATUSES: Mapping[int, str] = {**EVERY_STATUS, 0: "done", 1: "something failed"}


def _keep(field: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(ctx: click.Context, _parameter: click.Parameter, value: Any) -> None:
        if value:
            ctx.find_root().obj = replace(invocation_of(ctx), **{field: value})

    return callback


def add_shared_options(command: click.Command) -> None:
    """Give a command -C, --json and -q; their values go to the invocation.

    --target is heeded before a command is chosen (elsewhere.py); here it is only told of.
    """
    command.params += [
        click.Option(
            ["-C", "--manifest"],
            metavar="PATH",
            expose_value=False,
            callback=_keep("manifest"),
            help="The manifest, or the directory it lies in. [default: pgstead.toml, upwards]",
        ),
        click.Option(
            ["--json"],
            is_flag=True,
            expose_value=False,
            callback=_keep("json"),
            help="Print the result for programs.",
        ),
        click.Option(
            ["-q", "--quiet"],
            is_flag=True,
            expose_value=False,
            callback=_keep("quiet"),
            help="Tell nothing but results and errors.",
        ),
        click.Option(
            ["--target"],
            metavar="compose[:DIR]",
            expose_value=False,
            help="Do it to the stead in containers. [default: this machine]",
        ),
    ]


def write_examples(formatter: click.HelpFormatter, examples: Iterable[Example]) -> None:
    """Write the section that shows how to."""
    if rows := list(examples):
        with formatter.section("Examples"):
            formatter.write_dl(rows, col_max=48)


def write_exit_statuses(
    formatter: click.HelpFormatter, statuses: Mapping[int, str] = EVERY_STATUS
) -> None:
    """Write what the exit statuses mean."""
    with formatter.section("Exit status"):
        formatter.write_dl([(str(status), text) for status, text in sorted(statuses.items())])


class Command(click.Command):
    """A command whose help ends with examples and exit statuses."""

    def __init__(
        self, *args: Any, examples: Iterable[Example], exits: Mapping[int, str], **attributes: Any
    ) -> None:
        """Take what click takes, and the two sections."""
        super().__init__(*args, **attributes)
        self.examples = tuple(examples)
        self.exits = exits
        add_shared_options(self)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write examples and exit statuses."""
        write_examples(formatter, self.examples)
        write_exit_statuses(formatter, self.exits)


def command(
    name: str, *examples: Example, exits: Iterable[int] = (0, 1, 2), **meaning: str
) -> Callable[[Callable[..., int | None]], Command]:
    """Make a command of a function; its docstring is the help.

    `exits` are the statuses that it can leave with; `exit_0="..."` says what one means here.
    """
    told = {status: meaning.get(f"exit_{status}", STATUSES[status]) for status in exits}
    return click.command(name, cls=Command, examples=examples, exits=told)


class CommandGroup(click.Group):
    """Commands below a command, with help of the same form."""

    def __init__(self, name: str, *, help: str, examples: Iterable[Example]) -> None:  # noqa: A002  click's word
        """Take the name, the help and examples."""
        super().__init__(name, help=help, no_args_is_help=True)
        self.examples = tuple(examples)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples; the commands below tell their own exit statuses."""
        write_examples(formatter, self.examples)
