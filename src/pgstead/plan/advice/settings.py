"""Settings that take a protection away, wait for a restart, or came past the manifest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pgstead.model.advice import Answers, Diagnosis, Figure, Finding, Row, Severity, Subject
from pgstead.plan.advice.wording import identifier

# setting -> (what it must be, what happens else)
_MUST: Mapping[str, tuple[str, str]] = {
    "autovacuum": ("on", "dead rows stay, until transaction numbers run out"),
    "fsync": ("on", "a crash of the machine destroys the data"),
    "full_page_writes": ("on", "a crash can leave torn pages, and backups cannot be restored"),
    "ignore_checksum_failure": ("off", "damage is read as if it were data"),
    "ignore_system_indexes": ("off", "it is for repairs only"),
    "track_activities": ("on", "nobody sees who does what"),
    "track_counts": ("on", "autovacuum has nothing to go by"),
    "zero_damaged_pages": ("off", "damaged pages are emptied in silence"),
}
_LIMITS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
_RELOAD = "SELECT pg_reload_conf()"
_NOW = "now"


def diagnose(answers: Answers) -> Diagnosis:
    """Return what is dangerous, and what did not come from the manifest."""
    rows = answers.of("settings")
    findings = (*_dangerous(rows), *_pending(rows), *_past_pgstead(rows))
    overrides = tuple(_overrides(answers.of("role_overrides")))
    return Diagnosis(Subject.SETTINGS, answers.at, (*findings, *overrides), answers.unseen)


def _dangerous(rows: Sequence[Row]) -> Iterator[Finding]:
    for row in rows:
        name, value = str(row["name"]), str(row["setting"])
        wanted, else_ = _MUST.get(name, (value, ""))
        if value == wanted:
            continue
        yield Finding(
            "dangerous-setting",
            Severity.CRITICAL,
            "",
            f"{name} is {value}: {else_}",
            (Figure(name, value), Figure("from", str(row["source"]))),
            _NOW,
            "take it back; `pgstead up` writes what the manifest says",
            _taken_back(name, wanted, by_alter_system=bool(row["by_alter_system"])),
        )


def _taken_back(name: str, wanted: str, *, by_alter_system: bool) -> tuple[str, ...]:
    if by_alter_system:
        return (f"ALTER SYSTEM RESET {identifier(name)}", _RELOAD)
    return (f"ALTER SYSTEM SET {identifier(name)} = {wanted}", _RELOAD)


def _pending(rows: Sequence[Row]) -> Iterator[Finding]:
    for row in rows:
        if row["pending_restart"]:
            yield Finding(
                "pending-restart",
                Severity.WARNING,
                "",
                f"{row['name']} waits for a restart",
                (Figure("still", f"{row['setting']}{row['unit']}"),),
                _NOW,
                "`pgstead plan` shows what the restart brings, `pgstead up` does it",
            )


def _past_pgstead(rows: Sequence[Row]) -> Iterator[Finding]:
    for row in rows:
        name = str(row["name"])
        if not row["by_alter_system"] or name in _MUST:
            continue
        yield Finding(
            "set-by-alter-system",
            Severity.ADVICE,
            "",
            f"{name} was set by ALTER SYSTEM, past the manifest",
            (Figure(name, f"{row['setting']}{row['unit']}"),),
            _NOW,
            "write it into `[server.settings]` of the manifest, or take it back",
            (f"ALTER SYSTEM RESET {identifier(name)}", _RELOAD),
        )


def _overrides(rows: Sequence[Row]) -> Iterator[Finding]:
    for row in rows:
        name, value = str(row["name"]), str(row["setting"])
        endless = name in _LIMITS and value in {"0", "0ms", "0s"}
        unlogged = name == "synchronous_commit" and value == "off"
        # a migration may take as long as it takes
        if not (endless or unlogged) or "migrator" in str(row["rolname"]):
            continue
        yield Finding(
            "protection-taken-away",
            Severity.ADVICE,
            str(row["datname"]),
            f"{name} is {value} for {_whose(row)}",
            (Figure(name, value),),
            _NOW,
            "give the limit back" if endless else "a crash loses its last commits; take it back",
            (f"{_altered(row)} RESET {identifier(name)}",),
        )


def _whose(row: Row) -> str:
    role, database = row["rolname"], row["datname"]
    return " in ".join(
        p for p in (role and f"role {role}", database and f"database {database}") if p
    )


def _altered(row: Row) -> str:
    role, database = str(row["rolname"]), str(row["datname"])
    if not role:
        return f"ALTER DATABASE {identifier(database)}"
    inside = f" IN DATABASE {identifier(database)}" if database else ""
    return f"ALTER ROLE {identifier(role)}{inside}"
