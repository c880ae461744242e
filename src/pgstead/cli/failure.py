"""What is said, and with which status pgstead leaves, when a command does not end well."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pgstead.errors import ExitStatus, SteadError

if TYPE_CHECKING:
    from pgstead.cli.invocation import Invocation

INTERRUPTED = 128 + 2  # what shells report for SIGINT
PIPE_CLOSED = 128 + 13  # and for SIGPIPE
REMOVED = frozenset({"backup", "restore", "drill"})  # nothing half done is left of them
RESUMED = frozenset({"up", "down", "destroy", "doctor", "toolchain", "restart", "upgrade"})
FINISHED = frozenset({"rotate"})  # of several commands, each of which finishes its own


def report(error: BaseException, invocation: Invocation) -> int:
    """Tell people (or, with --json, programs) about an error and return the exit status."""
    match error:
        case SystemExit():
            raise error
        case BrokenPipeError():
            return _pipe_closed()
        case KeyboardInterrupt() | click.Abort():
            return _interrupted(invocation)
        case SteadError():
            return _failed(error, invocation)
        case click.ClickException():
            return _misused(error, invocation)
        case _ if (lost := _lost(error)) is not None:
            return _failed(lost, invocation)
        case _:
            return _bug(error, invocation)


def _tell(invocation: Invocation, message: str, hint: str, as_dict: dict[str, object]) -> None:
    if invocation.json:
        click.echo(json.dumps(as_dict, indent=2))
        return
    click.echo(f"error: {message}", err=True)
    if hint:
        click.echo(f"hint: {hint}", err=True)


def _failed(error: SteadError, invocation: Invocation) -> int:
    _tell(invocation, error.message, error.hint, error.as_dict())
    return int(error.exit_status)


def _lost(error: BaseException) -> SteadError | None:
    """Tell of a connection that nobody expected to lose: a server may end at any time."""
    if "psycopg" not in sys.modules:  # it takes long to import, and none of its errors was raised
        return None
    import psycopg

    from pgstead.ports.lost import is_lost, lost

    return lost(error) if isinstance(error, psycopg.Error) and is_lost(error) else None


def _misused(error: click.ClickException, invocation: Invocation) -> int:
    words, _, meant = error.format_message().rstrip(".").partition(". Did you mean ")
    message = words[:1].lower() + words[1:] + (f"; did you mean {meant}" if meant else "")
    ctx = error.ctx if isinstance(error, click.UsageError) else None
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return int(ExitStatus.USAGE)
    hint = f"`{ctx.command_path} --help` shows what it takes" if ctx else ""
    answer: dict[str, object] = {
        "error": "usage",
        "message": message,
        "hint": hint,
        "exit_status": int(ExitStatus.USAGE),
    }
    _tell(invocation, message, hint, answer)
    return int(ExitStatus.USAGE)


def _interrupted(invocation: Invocation) -> int:
    message = "interrupted"
    if invocation.command in RESUMED:
        message += f"; run `pgstead {invocation.command}` again: it continues"
    elif invocation.command in FINISHED:
        message += "; old and new are valid, and the same command finishes what was begun"
    elif invocation.command in REMOVED:
        message += "; what it had begun is removed"
    hint = ""
    if invocation.command == "restore":
        hint = "`pgstead up` starts what a restore in place had stopped"
    if not invocation.json:
        click.echo(err=True)  # the terminal shows ^C on this line
    answer: dict[str, object] = {
        "error": "interrupted",
        "message": message,
        "hint": hint,
        "exit_status": INTERRUPTED,
    }
    _tell(invocation, message, hint, answer)
    return INTERRUPTED


def _pipe_closed() -> int:
    # Python flushes stdout once more at exit and would complain (docs.python.org/3/library/
    # signal.html, "Note on SIGPIPE").
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return PIPE_CLOSED


def _bug(error: BaseException, invocation: Invocation) -> int:
    log = _write_log(error, invocation)
    message = f"pgstead has a bug: {type(error).__name__}: {error}"
    hint = f"please report it with {log}"
    answer: dict[str, object] = {
        "error": "bug",
        "message": message,
        "hint": hint,
        "log": log,
        "exit_status": int(ExitStatus.FAILED),
    }
    _tell(invocation, message, hint, answer)
    return int(ExitStatus.FAILED)


def _write_log(error: BaseException, invocation: Invocation) -> str:
    """Keep the traceback where only this user reads it; return the path."""
    name = f"bug-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.getpid()}.log"
    text = "".join(traceback.format_exception(error))
    for directory in (_log_directory(invocation), Path(tempfile.gettempdir())):
        if directory is None:
            continue
        path = directory / name
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError:
            continue
        with os.fdopen(descriptor, "w", encoding="utf-8") as log:
            log.write(text)
        return str(path)
    return "the traceback (which could be written nowhere: no directory is writable)"


def _log_directory(invocation: Invocation) -> Path | None:
    from pgstead.cli.place import find_manifest, state_directory

    try:
        directory = state_directory(find_manifest(invocation.manifest)) / "log"
    except (SteadError, OSError):
        return None
    return directory if directory.is_dir() else None
