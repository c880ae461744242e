"""`pgstead top`."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.invocation import invocation_of
from pgstead.errors import SteadError

if TYPE_CHECKING:
    from pgstead.workflows.top import Watching

_ONCE = 1.0  # seconds between the two looks that rates need
_INTERVAL = click.FloatRange(0.5, 3600)


@new_command(
    "top",
    ("pgstead top", "live; Ctrl-C ends it"),
    ("pgstead top --once", "once, for a script or a report"),
    ("pgstead top --json", "once, for programs"),
    exit_1="the server does not answer, or refuses to",
)
@click.option("--once", is_flag=True, help="Look twice, a second apart, print it and leave.")
@click.option(
    "--interval", type=_INTERVAL, default=2.0, show_default=True, help="Seconds between two looks."
)
def command(once: bool, interval: float) -> None:
    """Show sessions, waits, rates, pool and statements, live.

    Where the output is no terminal it is printed once. Rates are those since the look before;
    what is not known is `-`.
    """
    from pgstead.cli.wiring import monitor_of, wire
    from pgstead.workflows.top import Watching

    invocation = invocation_of()
    console = Console(invocation)
    wired = wire(invocation.manifest, console, tolerant=True)
    watching = Watching(wired.design, monitor_of(wired))
    try:
        if once or console.json or not sys.stdout.isatty():
            _print(console, wired.design.name, watching)
        else:
            _live(wired.design.name, watching, interval)
    finally:
        watching.close()


def _print(console: Console, stead: str, watching: Watching) -> None:
    from pgstead.cli.diagnosis import width
    from pgstead.cli.picture import lines, told

    watching.look()
    time.sleep(_ONCE)
    picture = watching.look()
    if console.json:
        console.data({"stead": stead, **told(picture)})
        return
    for text in lines(stead, picture, width()):
        console.line(text)


@contextmanager
def _interrupted() -> Generator[None]:
    """Take Ctrl-C and SIGTERM for the wish to end; both leave the terminal as it was."""

    def ends(_sign: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, ends)
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _unechoed() -> Generator[None]:
    """Keep what is typed off the picture, and the echo of Ctrl-C off the screen that comes after.

    The kernel echoes it after it has sent the signal, which on a busy machine may be when all is
    over; a change of the terminal waits for it (Linux, n_tty.c): off until the end, none comes.
    """
    import termios

    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    silent = [*before]
    silent[3] &= ~termios.ECHO  # local modes, termios(3)
    termios.tcsetattr(sys.stdin, termios.TCSADRAIN, silent)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSAFLUSH, before)


def _live(stead: str, watching: Watching, interval: float) -> None:
    """Show it on the terminal's other screen, which leaves this one as it was."""
    import shutil

    from rich.console import Console as Terminal
    from rich.live import Live
    from rich.text import Text

    from pgstead.cli.picture import lines

    def look() -> Text:
        size = shutil.get_terminal_size()
        try:
            texts = lines(stead, watching.look(), size.columns)
        except SteadError as error:
            texts = [f'stead "{stead}": {error.message}', f"hint: {error.hint}"]
        return Text("\n".join(texts[: size.lines]), no_wrap=True, overflow="ellipsis")

    with (
        _interrupted(),
        _unechoed(),
        Live(look(), console=Terminal(), screen=True, auto_refresh=False) as live,
    ):
        while True:
            time.sleep(interval)
            live.update(look(), refresh=True)
