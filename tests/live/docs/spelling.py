"""Whether a command line that a page shows is one of `pgstead`: command, options, arguments."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click

from pgstead.cli.invocation import Invocation
from pgstead.cli.main import new_program

NAMED = re.compile(r"`((?:\S*/)?pgstead [^`]+)`")  # in the text, perhaps without its arguments


def told(text: str) -> Iterator[list[str]]:
    """Yield the words after each `pgstead` of a line of shell."""
    words = shlex.shlex(text, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    words.commenters = "#"
    part: list[str] = []
    for word in [*words, ";"]:
        if set(word) <= set("<>"):
            part.append("")  # what follows is a file: it ends what is ours
        elif set(word) <= set(";|&()"):
            yield from _ours(part)
            part = []
        else:
            part.append(word)


def _ours(part: list[str]) -> Iterator[list[str]]:
    own = part[: part.index("")] if "" in part else part
    while own and re.match(r"\w+=", own[0]):  # of the environment
        own = own[1:]
    if own and own[0].rpartition("/")[2] == "pgstead":
        yield own[1:]


def objection(words: list[str], *, whole: bool) -> str:
    """Return what the program has against a command line, without running it; empty for nothing.

    One that is not `whole` is named in passing: its arguments may be left out.
    """
    command: click.Command = new_program()
    name, above = "pgstead", None
    try:
        while isinstance(command, click.Group):
            context = command.make_context(name, words, above, obj=Invocation(quiet=True))
            rest = [*context._protected_args, *context.args]
            if not rest:
                return ""  # a group that lists what there is
            found, known, words = command.resolve_command(context, rest)
            assert known is not None
            name, command, above = found or "", known, context
        command.make_context(name, words, above)
    except (click.MissingParameter, click.exceptions.NoArgsIsHelpError) as missing:
        return missing.format_message() if whole else ""
    except click.UsageError as wrong:
        said = wrong.format_message()
        return "" if "does not exist" in said else said  # a file of the reader's
    except click.exceptions.Exit:  # --version, --help
        return ""
    return ""
