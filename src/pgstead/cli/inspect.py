"""`pgstead inspect queries|indexes|bloat|locks|connections|vacuum|settings|io`, and more."""

from __future__ import annotations

import click

from pgstead.cli.command import Command, CommandGroup
from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.invocation import invocation_of

LOOKED = "looked, whatever was found; what could not be seen is listed"
_DAY = 86_400.0
UNLOOKED = "the server does not answer, or refuses to"


def _inspected(name: str, *, check: bool = False, since: float = _DAY) -> None:
    from pgstead.cli.diagnosis import show
    from pgstead.cli.examining import examine
    from pgstead.cli.wiring import wire
    from pgstead.model.advice import Subject

    invocation = invocation_of()
    console = Console(invocation)
    wired = wire(invocation.manifest, console, tolerant=True)
    with console.working():
        found = examine(wired, Subject(name), console, check=check, since=since)
    show(console, wired.design.name, found)


def _simple(name: str, help_text: str, *examples: tuple[str, str]) -> Command:
    """Make a command that needs nothing but its subject."""

    def looked() -> None:
        _inspected(name)

    looked.__doc__ = help_text
    return new_command(name, *examples, exit_0=LOOKED, exit_1=UNLOOKED)(looked)


@new_command(
    "indexes",
    ("pgstead inspect indexes", "broken, superfluous and unused ones"),
    ("pgstead inspect indexes --check", "and which are missing: tried on a copy"),
    exit_0=LOOKED,
    exit_1=UNLOOKED,
)
@click.option("--check", is_flag=True, help="Try missing ones on a copy of the cluster.")
def _indexes(check: bool) -> None:
    """Show indexes that are broken, superfluous, unused or missing.

    An index is called missing only after it was tried: --check copies the cluster as `migrate
    rehearse` does, makes the index there, and compares the planner's estimates before and after.
    """
    _inspected("indexes", check=check)


def _span(_ctx: click.Context, _parameter: click.Parameter, value: str) -> float:
    from pgstead.manifest.quantities import duration

    try:
        return duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@new_command(
    "queries",
    ("pgstead inspect queries", "the worst, and what to do"),
    ("pgstead inspect queries --since 2h", "the last two hours, side by side"),
    exit_0=LOOKED,
    exit_1=UNLOOKED,
)
@click.option(
    "--since",
    default="1d",
    show_default=True,
    metavar="SPAN",
    callback=_span,
    help="How far back to look: 30min, 2h, 7d.",
)
def _queries(since: float) -> None:
    """Show the statements that take the most time, spill to disk, or got slower.

    The agent keeps what the thirty busiest statements took from one look to the next; a statement
    is compared with the median of its own past. Plans are those that the server logged, because
    a call was slow: the newest, and the newest of another shape.
    """
    _inspected("queries", since=since)


_locks = _simple(
    "locks",
    """Show who blocks whom, and transactions that are open for long.

    Each finding begins at the session that waits for nobody and has the others below it. The SQL
    ends just that session: its start is compared, as numbers are given out again.""",
    ("pgstead inspect locks", "the trees of who waits for whom"),
    ("pgstead inspect locks --json", "the same for programs"),
)

_bloat = _simple(
    "bloat",
    """Show tables and indexes that hold much space for nothing.

    Everything here is an estimate and says so. Widths of texts are closed to the monitoring role;
    the extension pgstattuple lets it measure tables.""",
    ("pgstead inspect bloat", "what VACUUM and REINDEX would give back"),
)
_connections = _simple(
    "connections",
    """Show sessions, limits that are near, and pools of the wrong size.

    The size of a pool is judged by the samples of the last days: a pool that clients wait for is
    too small, one that was never used by a quarter is too large.""",
    ("pgstead inspect connections", "who is connected, and what is near its limit"),
)
_vacuum = _simple(
    "vacuum",
    "Show who holds back vacuum, and which numbers come near their end.",
    ("pgstead inspect vacuum", "the oldest transaction, frozen rows, sequences, slots"),
)
_settings = _simple(
    "settings",
    "Show settings that are dangerous, wait for a restart, or came past the manifest.",
    ("pgstead inspect settings", "what ALTER SYSTEM and ALTER ROLE have changed"),
)
_io = _simple(
    "io",
    "Show what is read and written, by whom, and whether it had to be.",
    ("pgstead inspect io", "the cache, temporary files, checkpoints"),
)
_forecast = _simple(
    "forecast",
    """Show when disk, memory, connections, transaction numbers and sequences are used up.

    A line through the samples that are kept, which outliers do not move; the dates are those of
    its slope and of the ends of its 95 % interval. Of too few samples nothing is said. The server
    is not asked. `[telemetry] retention` says how far back samples go.""",
    ("pgstead inspect forecast", "the dates, and from how many samples"),
    ("pgstead inspect forecast --json", "for programs"),
)
_performance = _simple(
    "performance",
    """Show p95 and p99 of statements, the wait for connections and failures, against limits.

    The limits are those of PERF-001 and PERF-002: 100 and 500 ms, 10 ms, 5 %. Each service tells
    what it measured itself since it started; the number of samples stands beside every figure, and
    of too few nothing is claimed. `pgstead bench` puts a load on.""",
    ("pgstead inspect performance", "whether the limits are met, and by how many samples"),
)

command = CommandGroup(
    "inspect",
    help="Find what ails the running server, and the SQL that cures it.\n\nIt"
    " asks as the monitoring role, which reads statistics and no table, and changes nothing."
    " Figures say over which time they were counted; an estimate says that it is one.",
    examples=(
        ("pgstead inspect locks", "who blocks whom now"),
        ("pgstead inspect queries", "which statements take the time"),
        ("pgstead inspect vacuum --json", "for programs"),
    ),
)
for _part in (
    _queries,
    _indexes,
    _bloat,
    _locks,
    _connections,
    _vacuum,
    _settings,
    _io,
    _forecast,
    _performance,
):
    command.add_command(_part)
