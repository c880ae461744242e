"""`pgstead bench baseline|compare`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pgstead.cli.command import CommandGroup
from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.invocation import invocation_of
from pgstead.errors import ExitStatus

if TYPE_CHECKING:
    from pgstead.cli.benching import Asked
    from pgstead.model.bench import Load

_DEFAULTS: Mapping[str, float] = {"users": 8, "rate": 100.0, "rounds": 5, "seconds": 10.0}
_ONLY = ("api", "database")


def _shared(function: Callable[..., int | None]) -> Callable[..., int | None]:
    """Add the options that both commands have."""
    options = (
        click.option("--users", type=click.IntRange(1, 200), help="At most so many at once."),
        click.option(
            "--rate", type=click.FloatRange(0.1, 5000), help="Arrivals a second, of all targets."
        ),
        click.option("--rounds", type=click.IntRange(3, 50), help="The spread is over these."),
        click.option("--seconds", type=click.FloatRange(0.2, 600), help="How long a round is."),
        click.option("--only", type=click.Choice(_ONLY), help="The services, or the databases."),
        click.option("--database", metavar="DB", help="This one, and its service. [default: all]"),
        click.option(
            "--statements",
            type=click.Path(path_type=Path, dir_okay=False),
            help="SQL of your own; changes are rolled back. Needs --database.",
        ),
    )

    @wraps(function)
    def whole(**given: object) -> int | None:
        return function(given)

    made: Callable[..., int | None] = whole
    for option in reversed(options):
        made = option(made)
    return made


def _asked(given: Mapping[str, object], before: Load | None = None) -> Asked:
    """Return what was asked for; the load is the baseline's unless told otherwise."""
    from dataclasses import asdict

    from pgstead.cli.benching import Asked
    from pgstead.errors import UsageError
    from pgstead.model.bench import Kind, Load

    known = {**_DEFAULTS, **(asdict(before) if before else {})}
    load = {key: given[key] if given[key] is not None else known[key] for key in _DEFAULTS}
    database, statements = given["database"], given["statements"]
    if statements is not None and database is None:
        raise UsageError("--statements does not say in which database", hint="add --database DB")
    only = given["only"]
    kinds = frozenset({Kind(str(only))} if only else {Kind.API, Kind.DATABASE})
    return Asked(
        Load(**load),  # pyright: ignore[reportArgumentType] - click has checked the types
        kinds,
        str(database) if database is not None else None,
        statements if isinstance(statements, Path) else None,
    )


@new_command(
    "baseline",
    ("pgstead bench baseline", "some 60 s; what it took is kept"),
    ("pgstead bench baseline --rounds 10 --seconds 30", "with less chance in it"),
    ("pgstead bench baseline --database shop --statements hot.sql", "and statements of your own"),
)
@_shared
def _baseline(given: Mapping[str, object]) -> None:
    """Put a load on the running stead, and keep what it took.

    Asked are each service (readiness, and the requests that the module of `[[databases]] load`
    makes), a new connection and an empty query through the pooler, and a row of each table by its
    key. Arrivals come at their time, whether the ones before are done or not. Nothing that is
    made for it is left. In production only what reads is asked.
    """
    from pgstead.cli.bench_report import run_as_json, run_lines
    from pgstead.cli.benching import measure
    from pgstead.cli.wiring import wire
    from pgstead.host import baselines

    invocation = invocation_of()
    console = Console(invocation)
    asked = _asked(given)
    wired = wire(invocation.manifest, console, tolerant=True)
    with console.working():
        run = measure(asked, wired, console)
    path = baselines.keep(wired.design.layout, wired.ports.files, run)
    if invocation.json:
        console.data({"baseline": str(path), **run_as_json(run)})
        return
    for line in run_lines(run):
        console.line(line)
    console.say(f"the baseline: {path}")


@new_command(
    "compare",
    ("pgstead bench compare", "the load of the baseline again"),
    ("pgstead bench compare --json", "for programs"),
    exit_0="nothing got slower beyond the spread",
    exit_1="something got slower or fails, or the load could not be put on",
)
@_shared
def _compare(given: Mapping[str, object]) -> int:
    """Put the baseline's load on the running stead again, and say what got slower.

    Slower is what lies above the baseline by more than the spread of both, and by more than the
    machine itself got slower; it is measured a second time before it is said. Beside it is what
    explains it: another plan, other settings, another version, errors.
    """
    from pgstead.cli.bench_report import compared_as_json, compared_lines
    from pgstead.cli.benching import measure
    from pgstead.cli.wiring import wire
    from pgstead.host import baselines
    from pgstead.plan.regressions import compare, confirmed, worse

    invocation = invocation_of()
    console = Console(invocation)
    wired = wire(invocation.manifest, console, tolerant=True)
    then = baselines.read(wired.design.layout, wired.ports.files)
    asked = _asked(given, then.load)
    with console.working():
        now = measure(asked, wired, console)
        found = compare(then, now)
        if worse(found):
            console.step("something is slower: measured once more")
            now = measure(asked, wired, console)
            found = confirmed(found, compare(then, now))
    if invocation.json:
        console.data(compared_as_json(then, now, found))
    else:
        for line in compared_lines(then, now, found):
            console.line(line)
    return ExitStatus.FAILED if worse(found) else ExitStatus.DONE


command = CommandGroup(
    "bench",
    help="Put a load on the running stead, and find what got slower.\n\nA baseline is kept with"
    " the spread over its rounds; what differs by less than that is no difference.",
    examples=(
        ("pgstead bench baseline", "before a change"),
        ("pgstead bench compare", "and after it"),
    ),
)
command.add_command(_baseline)
command.add_command(_compare)
