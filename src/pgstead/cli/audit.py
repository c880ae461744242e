"""`pgstead audit tail|query|export|verify`."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pgstead.cli.command import CommandGroup
from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console, plain, shortened
from pgstead.cli.invocation import invocation_of
from pgstead.errors import ExitStatus, HostError, UsageError

if TYPE_CHECKING:
    from pgstead.cli.wiring import Wired
    from pgstead.model.audit import AuditPlan, Head
    from pgstead.model.design import Design
    from pgstead.ports.audit import AuditPorts
    from pgstead.workflows.audit_query import Question

Option = Callable[[Callable[..., Any]], Callable[..., Any]]
_PAUSE = 1.0  # seconds between two looks of `tail --follow`


def _wired(console: Console) -> tuple[Wired, AuditPlan, AuditPorts]:
    from pgstead.cli.wiring import wire

    wired = wire(invocation_of().manifest, console, tolerant=True)
    plan, ports = wired.design.audit, wired.ports.audit
    if plan is None or ports is None:
        raise UsageError(
            "this stead is not audited", hint="set audit.enabled = true, then `pgstead up`"
        )
    return wired, plan, ports


def _moment(_ctx: click.Context, parameter: click.Parameter, text: str | None) -> datetime | None:
    from pgstead.manifest.quantities import duration

    if text is None:
        return None
    with suppress(ValueError):
        span = duration(text)
        with suppress(OverflowError):
            return datetime.now(UTC) - timedelta(seconds=span)
    with suppress(ValueError, OverflowError):
        told = datetime.fromisoformat(text)
        # compared and looked up in UTC, where the first and the last year end earlier or later
        return told.astimezone(UTC) if told.tzinfo else told.replace(tzinfo=UTC)
    raise UsageError(
        f"{parameter.opts[0]} {text!r} is no moment",
        hint='a span back from now, "30min", "7d", or a time, "2026-11-22T08:00:00Z"; UTC, where'
        " no zone is said",
    )


def _filters(body: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say which events are meant."""
    kinds = ("read", "write", "ddl", "role", "function", "code", "login", "change", "gap", "erased")
    options: Iterable[Option] = (
        click.option("--kind", "kinds", multiple=True, type=click.Choice(kinds), help="Of a kind."),
        click.option(
            "--outcome", type=click.Choice(("done", "denied", "failed")), help="What became of it."
        ),
        click.option("--role", default="", help="By a role of the server."),
        click.option("--database", default="", help="In a database."),
        click.option("--tenant", default="", help="For a tenant."),
        click.option("--user", default="", help="For a user of the application."),
        click.option("--correlation-id", default="", help="Of one request."),
        click.option("--session", default="", help="Of one session of the server."),
        click.option("--client", default="", help="From an address; may hold `*`."),
        click.option("--class", "table_class", default="", help="On a table of a class."),
        click.option("--object", default="", help="On a table; may hold `*`."),
    )
    for option in reversed(list(options)):
        body = option(body)
    return body


def _span(default: str) -> Option:
    def given(body: Callable[..., Any]) -> Callable[..., Any]:
        until = click.option("--until", callback=_moment, help="Until when; now, if not said.")
        since = click.option(
            "--since", default=default, show_default=True, callback=_moment,
            help='From when: a span back ("30min", "7d") or a time.',
        )  # fmt: skip
        return since(until(body))

    return given


def _question(since: datetime, until: datetime | None, told: Mapping[str, Any]) -> Question:
    from pgstead.workflows.audit_query import Question

    given = {name: value for name, value in told.items() if value}
    end = until or datetime.now(UTC)
    if since >= end:
        raise UsageError(
            f"--since {since:%F %T}Z is not before --until {end:%F %T}Z",
            hint="say both; spans go back from now: --since 2d --until 1d",
        )
    return Question(since, end, **given)


def _warn_of_none(design: Design, told: Mapping[str, Any]) -> None:
    """Say that nothing was found, and which filter names what the manifest does not know.

    Beside the events, for people and programs: an empty answer must not be taken for a quiet day.
    """
    from pgstead.model.resources import Role

    plan = design.audit
    known = {
        "role": {role.name for role in design.stead.all(Role)},
        "database": {database.name for database in design.databases},
        "table_class": {of.name for of in plan.classes} if plan is not None else set[str](),
    }
    click.echo("no event is like that", err=True)
    for name, names in known.items():
        asked = str(told.get(name) or "")
        if asked and asked not in names:
            word = "class" if name == "table_class" else name
            said = ", ".join(sorted(names)) or f"no {word} at all"
            click.echo(f"hint: the manifest has no {word} {asked!r}; it has {said}", err=True)


def _print(console: Console, told: Mapping[str, Any]) -> None:
    if console.json:
        click.echo(json.dumps(plain(told), ensure_ascii=False))
        return
    who = f"{told.get('role', '')}@{told.get('database', '')}".strip("@")
    told_of = [told.get("client", ""), told.get("tenant", ""), told.get("correlation_id", "")]
    where = " ".join(str(word) for word in told_of if word)
    objects = ",".join(str(o) for o in told.get("objects", ()))
    what = shortened(str(told.get("what", "")), 100)
    outcome = "" if told.get("outcome") == "done" else str(told.get("outcome", "")).upper()
    words = (str(told["at"])[:23], told["kind"], outcome, who, where, objects, what)
    console.line("  ".join(str(word) for word in words if word))


@new_command(
    "query",
    ("pgstead audit query --since 1d --outcome denied", "who was refused since yesterday"),
    ("pgstead audit query --correlation-id 7f3a --json", "one request, as JSON lines"),
    ("pgstead audit query --object users --kind change", "who changed which row of a table"),
)
@_span("1h")
@_filters
@click.option("--limit", default=10_000, show_default=True, type=click.IntRange(1))
def _query(since: datetime, until: datetime | None, limit: int, **told: Any) -> None:
    """Show events, oldest first: the trail, and the changes of rows that the databases keep.

    What was logged up to a second ago is taken over first. With --json, one object a line.
    """
    from pgstead.workflows import audit
    from pgstead.workflows.audit_query import ask

    console = Console(invocation_of())
    question = _question(since, until, told)
    wired, plan, ports = _wired(console)
    audit.collect(plan, ports)
    port = wired.ports.sql if wired.ports.sql.answers() else None
    if port is None:
        console.warn("the server is down: changes of rows are not shown")
    found = ask(question, plan, ports, port)
    shown = 0
    for event in islice(found, limit):
        _print(console, event)
        shown += 1
    if not shown:
        _warn_of_none(wired.design, told)
    elif next(found, None) is not None:
        # also beside JSON: who counts lines must not take them for all
        click.echo(f"warning: there is more: only {limit} are shown (--limit)", err=True)


@new_command(
    "tail",
    ("pgstead audit tail", "the last events"),
    ("pgstead audit tail --follow --outcome denied", "refusals, as they come, until Ctrl-C"),
)
@_filters
@click.option("-n", "--lines", default=20, show_default=True, type=click.IntRange(0))
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
def _tail(lines: int, follow: bool, **told: Any) -> None:
    """Show the last events of the trail; changes of rows are shown by `query`."""
    from collections import deque

    from pgstead.workflows import audit
    from pgstead.workflows.audit_query import Following

    console = Console(invocation_of())
    wired, plan, ports = _wired(console)
    begun = datetime.now(UTC) - timedelta(days=1)
    trail = Following(_question(begun, datetime.max.replace(tzinfo=UTC), told), ports)
    audit.collect(plan, ports)
    last = deque(trail.new(), maxlen=lines)
    for event in last:
        _print(console, event)
    if lines and not last and not follow:
        _warn_of_none(wired.design, told)
    try:
        while follow:
            time.sleep(_PAUSE)
            audit.collect(plan, ports)
            for event in trail.new():
                _print(console, event)
    except KeyboardInterrupt:
        return  # that is how one leaves


@new_command(
    "export",
    ("pgstead audit export audit.jsonl --since 30d", "a month, for an auditor"),
)
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
@_span("30d")
@_filters
def _export(path: Path, since: datetime, until: datetime | None, **told: Any) -> None:
    """Write events to a new file of mode 0600, one JSON object a line.

    The last line names the head of the chain as it was, so that the trail can be held against it.
    """
    from pgstead.workflows import audit
    from pgstead.workflows.audit_query import ask

    console = Console(invocation_of())
    question = _question(since, until, told)
    wired, plan, ports = _wired(console)
    with console.working():
        audit.collect(plan, ports)
        head = audit.verify(ports).head
        port = wired.ports.sql if wired.ports.sql.answers() else None
        if port is None:
            console.warn("the server is down: changes of rows are not exported")
        count = _written(path, ask(question, plan, ports, port), head)
    if console.json:
        console.data({"path": path, "events": count, "head": head})
        return
    console.line(f"{count} events in {path}; the trail ends with {head.seq} {head.hash[:16]}")


def _written(path: Path, events: Iterable[Mapping[str, Any]], head: Head) -> int:
    """Write an export and return how many events it has; leave none that is not whole."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        hint = "name a file that is not there yet, in a directory that you may write to"
        raise UsageError(
            f"{path} cannot be made: {(error.strerror or '').lower()}", hint=hint
        ) from error
    count = 0
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            for event in events:
                file.write(f"{json.dumps(plain(event), ensure_ascii=False)}\n")
                count += 1
            end = {"kind": "head", "seq": head.seq, "hash": head.hash}
            file.write(f"{json.dumps(end)}\n")
            file.flush()
            os.fsync(file.fileno())
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise HostError(
                f"{path} could not be written: {(error.strerror or '').lower()}; it was removed",
                hint="make room, or export a shorter span: --since, --until",
            ) from error
        raise
    return count


@new_command(
    "verify",
    ("pgstead audit verify", "is every line what was written?"),
    ("pgstead audit verify --head 812:9f2c...", "and is this record still the one it was?"),
    exit_1="a line was changed, removed or added, or changes of rows were",
)
@click.option("--head", default="", metavar="SEQ:HASH", help="A head that was noted elsewhere.")
def _verify(head: str) -> int:
    """Follow the chain of the trail, and compare the change histories with their seals."""
    from pgstead.workflows import audit, change_history

    console = Console(invocation_of())
    wired, _, ports = _wired(console)
    with console.working():
        found = audit.verify(ports, _noted(head))
        flaws, compared = list(found.flaws), 0
        if wired.ports.sql.answers():
            compared, more = change_history.compare(wired.ports.sql, ports)
            flaws += more
    if console.json:
        told = {"records": found.records, "head": found.head, "seals": compared, "flaws": flaws}
        console.data(told)
    else:
        console.table([(flaw.where, flaw.what) for flaw in flaws])
        ends = f"ends with {found.head.seq}:{found.head.hash}"
        console.line(f"{found.records} records, {compared} seals, {len(flaws)} flaws; {ends}")
    return ExitStatus.FAILED if flaws else ExitStatus.DONE


def _noted(text: str) -> tuple[int, str] | None:
    if not text:
        return None
    number, _, digest = text.partition(":")
    if not number.isdigit() or not digest:
        raise UsageError(f"--head {text!r} is no head", hint="NUMBER:HASH, as `verify` prints it")
    return int(number), digest


command = CommandGroup(
    "audit",
    help="Who did what, when, from where, for whom.",
    examples=(
        ("pgstead audit query --since 1d --outcome denied", "who was refused since yesterday"),
        ("pgstead audit tail --follow", "what happens now"),
        ("pgstead audit verify", "is every line what was written?"),
    ),
)
for _below in (_tail, _query, _export, _verify):
    command.add_command(_below)
