"""`pgstead alerts`, and `history|silence|unsilence|test` below it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from pgstead.cli.command import CommandGroup, add_shared_options
from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.invocation import invocation_of
from pgstead.errors import ExitStatus, UsageError

if TYPE_CHECKING:
    from pgstead.cli.wiring import Wired
    from pgstead.model.alerts import AlertPlan, Transition
    from pgstead.ports.alerts import AlertPorts
    from pgstead.workflows.alerting import AlertStatus


def _wired(console: Console) -> tuple[Wired, AlertPlan, AlertPorts]:
    from pgstead.cli.wiring import wire

    wired = wire(invocation_of().manifest, console, tolerant=True)
    plan, ports = wired.design.alerts, wired.ports.alerts
    if plan is None or ports is None:
        raise UsageError(
            "this stead evaluates no alerts",
            hint="set alerts.enabled and telemetry.enabled to true, then `pgstead up`",
        )
    return wired, plan, ports


class _Listing(CommandGroup):
    """The group that shows what fires where no command below it is named."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__("alerts", **attributes)
        self.no_args_is_help = False
        self.invoke_without_command = True
        self.callback = _list
        add_shared_options(self)


def _list() -> int | None:
    if click.get_current_context().invoked_subcommand is not None:
        return None
    from pgstead.workflows.alerting import look

    invocation = invocation_of()
    console = Console(invocation)
    _, plan, ports = _wired(console)
    found = look(plan, ports)
    if invocation.json:
        console.data(_told(found))
    else:
        _print(console, found)
    return ExitStatus.FAILED if found.firing else ExitStatus.DONE


def _print(console: Console, found: AlertStatus) -> None:
    rows = [
        (s.phase.value, found.severity(s.name), s.name, _time(s.since), _value(s.value), s.reason)
        for s in (*found.firing, *found.pending)
    ]
    if rows:
        console.table(rows, ("is", "severity", "alert", "since", "value", ""))
    else:
        console.line("nothing fires")
    for silence in found.silences:
        until = _time(silence.until)
        console.line(
            f"silenced: {silence.name} until {until} by {silence.by}: {silence.reason}"
            f" (number {silence.number})"
        )
    for target in found.targets:
        if target.error:
            console.line(f"target {target.name}: {target.error}, {target.failures} in a row")
    count = f"{found.evaluated} of {found.rules} rules evaluated"
    console.line(f"{count}, last {_time(found.at) if found.at else 'never'}")
    for name in found.off:
        console.line(f"switched off: {name}")
    if found.history:
        console.line()
        console.table([_changed(c) for c in found.history[:10]], ("when", "alert", "", "value", ""))


def _time(moment: datetime) -> str:
    return moment.isoformat(sep=" ", timespec="seconds").removesuffix("+00:00") + "Z"


def _value(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _changed(c: Transition) -> tuple[str, ...]:
    return _time(c.at), c.name, f"{c.was.value} -> {c.became.value}", _value(c.value), c.reason


def _told(found: AlertStatus) -> dict[str, object]:
    return {
        "firing": found.firing,
        "pending": found.pending,
        "silences": found.silences,
        "targets": found.targets,
        "rules": found.rules,
        "evaluated": found.evaluated,
        "at": found.at,
        "off": found.off,
        "history": found.history,
    }


@new_command("history", ("pgstead alerts history", "what fired and resolved, newest first"))
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 10_000))
def _history(limit: int) -> None:
    """Show the changes of all alerts, newest first; they are kept for 90 days."""
    invocation = invocation_of()
    console = Console(invocation)
    _, _, ports = _wired(console)
    found = ports.store.history(limit)
    if invocation.json:
        console.data({"history": found})
        return
    rows = [_changed(c) for c in found]
    console.table(rows or [("nothing yet",)], ("when", "alert", "", "value", ""))


@new_command(
    "silence",
    ("pgstead alerts silence BackupOld --for 2h --reason 'the disk is being replaced'", ""),
    ("pgstead alerts silence 'Replication*' --for 30min --reason rebuild", "several"),
)
@click.argument("name")
@click.option("--for", "span", required=True, metavar="SPAN", help='How long: "30min", "2h", "1d".')
@click.option("--reason", required=True, help="Why; it is shown as long as it lasts.")
def _silence(name: str, span: str, reason: str) -> None:
    """Have an alert not told for a while; it is evaluated, and shown here, all the same.

    NAME may hold `*`. What was told to fire is told to be over, silenced or not.
    """
    from pgstead.host.programs import my_name
    from pgstead.manifest.quantities import duration
    from pgstead.workflows.alerting import silence

    invocation = invocation_of()
    console = Console(invocation)
    try:
        seconds = duration(span)
    except ValueError as error:
        raise UsageError(f"--for {span!r} is no span", hint=str(error)) from error
    _, plan, ports = _wired(console)
    until = datetime.now(UTC) + timedelta(seconds=min(seconds, 365 * 86_400))
    made = silence(plan, ports, name, until, reason, my_name())
    if invocation.json:
        console.data(made)
        return
    console.line(f"{made.name} is silenced until {_time(made.until)}, number {made.number}")


@new_command("unsilence", ("pgstead alerts unsilence 3", "end the silence of that number"))
@click.argument("number", type=int)
def _unsilence(number: int) -> None:
    """End a silence; `pgstead alerts` shows their numbers."""
    console = Console(invocation_of())
    _, _, ports = _wired(console)
    if not ports.store.end_silence(number):
        raise UsageError(
            f"there is no silence {number} that lasts", hint="`pgstead alerts` lists them"
        )
    console.line(f"silence {number} has ended")


@new_command("test", ("pgstead alerts test", "send a word to every target"))
def _test() -> int:
    """Send a test message to every target, and say which of them took it."""
    from pgstead.workflows.alerting import try_targets

    invocation = invocation_of()
    console = Console(invocation)
    wired, plan, ports = _wired(console)
    if not plan.targets and plan.heartbeat is None:
        raise UsageError(
            "the manifest names no target", hint='alerts.targets_file = "alert-targets"'
        )
    with console.working():
        sent = try_targets(wired.design.name, plan, ports)
    if invocation.json:
        console.data({"targets": sent})
    else:
        rows = [(s.target, s.error or "taken") for s in sent]
        console.table(rows or [("none",)], ("target", ""))
    return ExitStatus.FAILED if any(s.error for s in sent) else ExitStatus.DONE


command = _Listing(
    help="Show what fires, and have it told or silenced.\n\n"
    "Lists what fires and what is pending, silences, targets that fail, and the last changes."
    " Exits with 1 while something fires.",
    examples=(
        ("pgstead alerts", "what fires now"),
        ("pgstead alerts --json", "the same for programs"),
    ),
)
for _below in (_history, _silence, _unsilence, _test):
    command.add_command(_below)
