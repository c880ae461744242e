"""`pgstead status`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.invocation import invocation_of
from pgstead.errors import ExitStatus

if TYPE_CHECKING:
    from pgstead.cli.wiring import Wired
    from pgstead.model.availability import Availability
    from pgstead.model.resources import Certificate
    from pgstead.ports import ProgramState
    from pgstead.workflows.backup_status import BackupStatus
    from pgstead.workflows.status import Alarm, Status


@new_command(
    "status",
    ("pgstead status", "everything at a glance"),
    ("pgstead status --json", "the same for programs"),
    ("pgstead -q status || pgstead up", "start what is down"),
    exit_0="everything runs and answers",
    exit_1="something is down",
)
def command() -> int:
    """Show what runs, where, and what needs attention.

    Exits with 0 when all that the manifest wants is running and answers.
    """
    from pgstead.cli.wiring import wire
    from pgstead.workflows.status import status

    invocation = invocation_of()
    console = Console(invocation)
    wired = wire(invocation.manifest, console, tolerant=True)
    found = status(wired.design, wired.ports)
    if invocation.json:
        console.data(_told(wired, found))
    else:
        _print(console, wired, found)
    return ExitStatus.DONE if found.healthy else ExitStatus.FAILED


def _print(console: Console, wired: Wired, found: Status) -> None:
    design = wired.design
    console.line(f'stead "{found.name}" ({found.environment}), state in {design.layout.state}')
    console.line()
    console.table(_programs(wired, found), ("program", "is", "where", "which"), indent="  ")
    console.line()
    console.table(_databases(wired, found), ("database", "revision", ""), indent="  ")
    if found.certificates:
        console.line()
        console.table(
            [(c.name, _until(c.not_after), _certificate_state(c)) for c in found.certificates],
            ("certificate", "valid until", ""),
            indent="  ",
        )
    if found.backups is not None:
        console.line()
        console.table(_backups(found.backups), ("backups", "", ""), indent="  ")
    if found.available is not None:
        console.line()
        console.line(f"  availability over {found.available.days} days: {_share(found.available)}")
    console.line()
    _print_alarm(console, found.alarm)
    _print_fitness(console, found)
    _print_attention(console, found)


def _print_fitness(console: Console, found: Status) -> None:
    """Say what upkeep could not do, and which capacity ends first."""
    for chore in found.upkeep.failing if found.upkeep is not None else ():
        console.line(f"upkeep: {chore.work} {chore.schema}.{chore.name} failed: {chore.error}")
    for end in found.ends[:3]:
        console.line(f"capacity: {end} if it grows on like this")


def _print_alarm(console: Console, alarm: Alarm) -> None:
    """Say which alerts fire, or why nobody knows: that nothing fires has to be known too."""
    if alarm.found is None:
        console.line(f"alerts: unknown: {alarm.reason}")
        return
    for state in alarm.found.firing:
        value = "" if state.value is None else f" [{state.value:.4g}]"
        where = f", {state.reason}" if state.reason else ""
        since = state.since.isoformat(sep=" ", timespec="seconds").removesuffix("+00:00")
        severity = alarm.found.severity(state.name)
        console.line(f"alert: {severity} {state.name}{value}{where}, since {since}Z")
    if alarm.found.firing:
        console.hint("`pgstead alerts` shows more, docs/reference/alerts.md what to do")
    else:
        pending = len(alarm.found.pending)
        console.line(f"alerts: nothing fires{f', {pending} pending' if pending else ''}")


def _programs(wired: Wired, found: Status) -> list[tuple[str, str, str, str]]:
    from pgstead.cli.overview import rows

    design = wired.design
    places = {(what, place): which for what, place, which in rows(design)}
    listed: list[tuple[str, str, str, str]] = []
    # what makes the backups is at no door
    by_kind = {"postgres": "server", "pgbouncer": "pooler", "service": "service"}
    kinds = {program.name: by_kind.get(program.kind) for program in design.programs}
    left = list(places.items())
    for program in found.programs:
        match = next((item for item in left if item[0][0] == kinds[program.name]), None)
        if match is not None:
            left.remove(match)
        (_, place), which = match or (("", "-"), "-")
        listed.append((program.name, _program_state(program, found), place, which))
    return listed


def _program_state(program: ProgramState, found: Status) -> str:
    answers = {"postgres": found.answers, "pgbouncer": found.pooler_answers}
    if not program.running:
        return f"down ({program.state.lower()})"
    return "running" if answers.get(program.name, True) else "running, does not answer"


def _databases(wired: Wired, found: Status) -> list[tuple[str, str, str]]:
    listed: list[tuple[str, str, str]] = []
    for name, there, wanted in found.databases:
        if not found.answers:
            listed.append((name, "unknown", "the server does not answer"))
        elif there == wanted:
            listed.append((name, ", ".join(there) or "none", ""))
        else:
            listed.append((name, ", ".join(there) or "none", f"wanted: {', '.join(wanted)}"))
    return listed


def _backups(found: BackupStatus) -> list[tuple[str, str, str]]:
    """Return the last backup, the last proven restore and the WAL, in a line each."""
    from pgstead.cli.backing import age

    last, restored = found.last, found.restore
    wal = {True: "streamed", False: "not streamed", None: "unknown"}[found.streamed]
    took = "" if restored is None else f"{restored.backup}, in {restored.detail.get('rto')} s"
    rows = [
        ("last base backup", age(last and last.ended), last.backup if last else ""),
        ("last proven restore", age(restored and restored.ended), took),
        ("WAL", wal, f"slot {found.slot}" if found.slot else ""),
    ]
    if (mirror := found.mirror) is not None:
        lag = "all copied" if mirror.lag == 0 else f"{mirror.lag:.0f} s behind"
        rows.append(("copy", age(mirror.at), f"{mirror.place}, {lag}"))
    return rows


def _share(found: Availability) -> str:
    """Return the availability with what it was reckoned from; unproven is said."""
    measured = "" if found.measured is None else f", {found.measured:.3%} of that"
    if found.ratio is None:
        return f"unproven: {found.reason}{measured}"
    return f"{found.ratio:.3%} ({found.coverage:.1%} sampled, down {found.down or 0:.0f} s)"


def _until(not_after: str) -> str:
    """Return the day, and how many days are left."""
    moment = datetime.fromisoformat(not_after)
    return f"{moment.date().isoformat()} ({(moment - datetime.now(UTC)).days} days)"


def _certificate_state(certificate: Certificate) -> str:
    problems = [
        text
        for good, text in (
            (certificate.issued_by_ca, "not signed by the CA"),
            (certificate.key_matches, "its key does not match"),
            (certificate.in_date, "expired or due for renewal"),
        )
        if not good
    ]
    return ", ".join(problems)


def _print_attention(console: Console, found: Status) -> None:
    for notice in found.notices:
        console.line(f"{notice.severity}: {notice.text}")
    for note in found.backups.notes if found.backups else ():
        console.line(f"backups: {note}")
    for waiver in found.waivers:
        console.line(f"waived: {waiver.what} until {waiver.expires or 'for ever'}: {waiver.reason}")
    if not found.healthy:
        console.hint("`pgstead up` starts what is down, `pgstead logs` shows why it stopped")
    elif found.plan.operations:
        count = len(found.plan.operations)
        console.line(f"drift: {count} operation{'s' if count > 1 else ''} would change something")
        console.hint("`pgstead plan` shows them")


def _backups_told(found: BackupStatus) -> dict[str, object]:
    from pgstead.cli.backing import run_json

    return {
        "repository": found.repository,
        "last_backup": run_json(found.last),
        "last_proven_restore": run_json(found.restore),
        "wal_streamed": found.streamed,
        "slot": found.slot or None,
        "mirror": found.mirror,
        "notes": found.notes,
    }


def _alarm_told(alarm: Alarm) -> dict[str, object]:
    """Return what fires; null where nobody knows, which is not the same as nothing."""
    found = alarm.found
    if found is None:
        return {"firing": None, "pending": None, "evaluated_at": None, "reason": alarm.reason}
    firing, pending = (
        [{"severity": found.severity(s.name), **asdict(s)} for s in states]
        for states in (found.firing, found.pending)
    )
    return {"firing": firing, "pending": pending, "evaluated_at": found.at, "reason": None}


def _told(wired: Wired, found: Status) -> dict[str, object]:
    from pgstead.plan import wording

    return {
        "stead": found.name,
        "environment": found.environment,
        "state": wired.design.layout.state,
        "healthy": found.healthy,
        "server": {"version": wired.design.build.version, "answers": found.answers},
        "pooler": wired.design.pooler
        and {"version": wired.design.pooler.text, "answers": found.pooler_answers},
        "programs": found.programs,
        "doors": found.doors,
        "services": wired.design.services,
        "databases": [
            {"name": name, "found": there, "wanted": wanted}
            for name, there, wanted in found.databases
        ],
        "certificates": found.certificates,
        "backups": found.backups and _backups_told(found.backups),
        "availability": found.available
        and {"state": found.available.state, **asdict(found.available)},
        "alerts": _alarm_told(found.alarm),
        "upkeep": found.upkeep
        and {
            "last": found.upkeep.last,
            "failing": [f"{c.work} {c.schema}.{c.name}: {c.error}" for c in found.upkeep.failing],
            "waiting": len(found.upkeep.waiting),
        },
        "capacity": found.ends,
        "notices": found.notices,
        "waivers": found.waivers,
        "plan": wording.as_json(found.plan),
    }
