"""The server: it runs as designed, durable, bounded, and by no one's leave but the design's."""

from __future__ import annotations

import pwd
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pgstead.catalog import gaps
from pgstead.model.address import Capability
from pgstead.model.design import Environment, Notice
from pgstead.model.resources import Cluster, ConfigFile, Setting
from pgstead.prove import budget, limits, logs, processes, recovery
from pgstead.prove.finding import Answer, CannotTryError, Finding, answer, timed
from pgstead.prove.promise import promise
from pgstead.prove.witness import Witness

SERVER = Capability.SERVER


@promise(
    "SRV-001",
    "the server that runs is the version that the design names",
    requirement="SRV-1",
    capability=SERVER,
)
def version_is_the_designed_one(w: Witness) -> Iterator[Finding]:
    told = w.setting("server_version")
    wanted = w.design.build.version
    yield told.shows(
        holds=told.value.split()[0] == wanted,
        expected=wanted,
        hint="the binaries were changed while the server ran, or another server answers",
    )


@promise(
    "SRV-002",
    "every setting of the running server is the designed one",
    requirement="SRV-3 SRV-10 SRV-11",
    capability=SERVER,
)
def settings_are_the_designed_ones(w: Witness) -> Iterator[Finding]:
    wanted = {s.name: s.value for s in w.design.stead.all(Setting)}
    told = w.look(
        "SELECT name, setting FROM pg_catalog.pg_settings WHERE name = ANY (%s) ORDER BY name",
        [list(wanted)],
    )
    found = dict(told.value)
    differing = [
        f"{name} is {found.get(name, 'unknown to the server')}, designed {value}"
        for name, value in sorted(wanted.items())
        if found.get(name) != value
    ]
    yield told.shows(
        holds=bool(wanted) and not differing,
        expected="no difference",
        said="; ".join(differing) or f"{len(found)} settings, all as designed",
        hint="`pgstead plan` shows each of them, `pgstead up` mends them",
    )


@promise(
    "SRV-003",
    "no setting waits for a restart",
    requirement="SRV-3",
    capability=SERVER,
)
def nothing_waits_for_a_restart(w: Witness) -> Iterator[Finding]:
    told = w.look("SELECT name FROM pg_catalog.pg_settings WHERE pending_restart ORDER BY name")
    yield told.shows(
        holds=not told.value,
        expected="no row",
        hint="`pgstead up --allow restart` brings them into force",
    )


@promise(
    "SRV-004",
    "nothing was set beside the design by ALTER SYSTEM",
    requirement="SRV-3",
    capability=SERVER,
)
def nothing_overrides_the_design(w: Witness) -> Iterator[Finding]:
    told = w.look(
        "SELECT name, setting FROM pg_catalog.pg_file_settings"
        " WHERE sourcefile LIKE '%/postgresql.auto.conf' AND name IS NOT NULL ORDER BY name"
    )
    yield told.shows(
        holds=not told.value,
        expected="no row",
        hint="`pgstead up` resets what was set by ALTER SYSTEM",
    )


@promise(
    "SRV-005",
    "data pages carry checksums, and none was ever found wrong",
    requirement="SRV-7 OPS-7",
    capability=SERVER,
)
def checksums_are_on(w: Witness) -> Iterator[Finding]:
    told = w.setting("data_checksums")
    cluster = w.design.stead.find(Cluster, "")
    if cluster is None or cluster.checksums:
        yield told.shows(holds=told.value == "on", expected="on", hint="`pg_checksums --enable`")
    failures = w.look(
        "SELECT coalesce(datname, 'shared objects'), checksum_failures, checksum_last_failure"
        " FROM pg_catalog.pg_stat_database WHERE checksum_failures > 0"
    )
    yield failures.shows(
        holds=not failures.value,
        expected="no row",
        hint="pages were read that differ from what was written: look at the disk, then restore",
    )


@promise(
    "SRV-006",
    "a commit that an application was told of is on the disk",
    requirement="REL-2 SRV-7",
    capability=SERVER,
)
def commits_are_durable(w: Witness) -> Iterator[Finding]:
    for name in ("fsync", "full_page_writes", "synchronous_commit"):
        told = w.setting(name)
        yield told.shows(holds=told.value == "on", expected="on")
    for plan in w.databases:
        for door in w.doors:
            with w.session(plan.app, plan.name, door.name) as session:
                seen = session.ask("SHOW synchronous_commit")
            yield seen.shows(holds=seen.value[0][0] == "on", expected="on")


@promise(
    "SRV-007",
    "the server's and the pooler's files are the designed ones, and the server can read them",
    requirement="SRV-3 ROL-6",
    capability=SERVER,
)
def files_are_the_designed_ones(w: Witness) -> Iterator[Finding]:
    for wanted in w.design.stead.all(ConfigFile):
        path = w.state / wanted.name
        with timed() as watch:
            found = w.access.ports.files.read(w.design.layout.state / wanted.name)
        text = "missing" if found is None else _difference(wanted.text, found.text)
        told = answer(f"read {path}", text or "as designed", found, watch)
        yield told.shows(
            holds=not text, expected="the designed text", hint="`pgstead up` writes it anew"
        )
    wrong = w.look(
        "SELECT sourcefile || ':' || sourceline, error FROM pg_catalog.pg_file_settings"
        # What waits for a restart is no fault of the file (SRV-003).
        " AS f WHERE error IS NOT NULL AND NOT EXISTS (SELECT FROM pg_catalog.pg_settings AS s"
        " WHERE s.name = f.name AND s.pending_restart)"
        " UNION ALL SELECT 'pg_hba.conf:' || line_number, error"
        " FROM pg_catalog.pg_hba_file_rules WHERE error IS NOT NULL"
    )
    yield wrong.shows(holds=not wrong.value, expected="no row")


def _difference(wanted: str, found: str) -> str:
    """Return the first line that differs, empty where none does."""
    if wanted == found:
        return ""
    pairs = zip([*wanted.splitlines(), ""], [*found.splitlines(), ""], strict=False)
    first = next((i for i, (a, b) in enumerate(pairs, 1) if a != b), 0)
    return f"line {first} differs from the design"


@promise(
    "SRV-008",
    "server and pooler take connections at the stated addresses and nowhere else",
    requirement="ROL-6 TLS-1",
    capability=SERVER,
    needs=("proc",),
)
def nothing_listens_elsewhere(w: Witness) -> Iterator[Finding]:
    programs = [("direct", "postgres", w.postmaster())]
    if w.door("pooler"):
        programs.append(("pooler", "pgbouncer", w.pooler_process()))
    for name, program, pid in programs:
        door = next((d for d in w.design.doors if d.name == name), None)
        wanted: set[tuple[str, int]] = set()
        if door is not None and door.tls:
            wanted = {(_plain(h), door.port) for h in door.hosts}
        with timed() as watch:
            found = processes.listening(pid)
        told = answer(
            f"listening TCP sockets of {program} in /proc/net/tcp and tcp6",
            ", ".join(map(str, found)) or "none",
            found,
            watch,
        )
        expected = ", ".join(sorted(f"{h}:{p}" for h, p in wanted)) or "none"
        yield told.shows(holds={(s.address, s.port) for s in found} == wanted, expected=expected)


def _plain(host: str) -> str:
    return {"localhost": "127.0.0.1", "*": "0.0.0.0"}.get(host, host)  # noqa: S104


@promise(
    "SRV-009",
    "no process of server or pooler runs as root",
    requirement="SRV-5 DEP-1",
    capability=SERVER,
    needs=("proc",),
)
def processes_are_unprivileged(w: Witness) -> Iterator[Finding]:
    wanted = w.design.host.server_user
    roots = [w.postmaster()] + ([w.pooler_process()] if w.door("pooler") else [])
    family = [pid for root in roots for pid in (root, *processes.children(root))]
    with timed() as watch:
        owners = {pid: _owner_name(pid) for pid in family}
    told = answer(
        f"effective users of {len(family)} processes in /proc",
        ", ".join(sorted({o for o in owners.values() if o})),
        owners,
        watch,
    )
    running = {owner for owner in owners.values() if owner}
    yield told.shows(holds=running == {wanted} and wanted != "root", expected=wanted)


def _owner_name(pid: int) -> str:
    """Return whose process it is; empty for one that ended meanwhile."""
    try:
        return pwd.getpwuid(processes.owner(pid)).pw_name
    except (FileNotFoundError, ProcessLookupError):
        return ""
    except KeyError:
        return f"uid {processes.owner(pid)}"


@promise(
    "SRV-010",
    "data directory and administrative socket are closed to everyone but the server's user",
    requirement="ROL-4 SRV-7",
    capability=SERVER,
)
def directories_are_closed(w: Witness) -> Iterator[Finding]:
    layout = w.design.layout
    for path in (Path(layout.data), Path(layout.socket)):
        try:
            with timed() as watch:
                mode = processes.mode(path)
        except OSError as error:
            raise CannotTryError(f"{path}: {error.strerror}") from error
        told = answer(f"stat -c %a '{path}'", f"{mode:04o}", mode, watch)
        yield told.shows(holds=mode == 0o700, expected="0700", hint=f"chmod 0700 '{path}'")


@promise(
    "SRV-011",
    "autovacuum runs, and counts what it needs to know",
    requirement="SRV-10",
    capability=SERVER,
)
def autovacuum_runs(w: Witness) -> Iterator[Finding]:
    for name in ("autovacuum", "track_counts"):
        told = w.setting(name)
        yield told.shows(holds=told.value == "on", expected="on")
    launcher = w.look(
        "SELECT pid FROM pg_catalog.pg_stat_activity WHERE backend_type = 'autovacuum launcher'"
    )
    yield launcher.shows(holds=len(launcher.value) == 1, expected="one launcher")


@promise(
    "SRV-012",
    "server, log and every role's session run in UTC",
    requirement="SRV-14",
    capability=SERVER,
)
def everything_runs_in_utc(w: Witness) -> Iterator[Finding]:
    utc = ("UTC", "Etc/UTC")
    for name in ("log_timezone", "TimeZone"):
        told = w.look("SELECT reset_val FROM pg_catalog.pg_settings WHERE name = %s", [name])
        yield told.shows(holds=told.value[0][0] in utc, expected="UTC")
    for role, plan in w.people():
        for door in w.doors[:1]:
            with w.session(role, plan.name, door.name) as session:
                seen = session.ask("SHOW TimeZone")
            yield seen.shows(holds=seen.value[0][0] in utc, expected="UTC")


@promise(
    "SRV-013",
    "the server has the newest minor release; before production, what it lacks is stated",
    requirement="SRV-12 SRV-13",
    capability=SERVER,
)
def version_is_the_newest(w: Witness) -> Iterator[Finding]:
    told = w.look("SELECT split_part(current_setting('server_version'), ' ', 1)")
    yield stated(w, told, gaps.of_server(str(told.value[0][0])))


def stated(w: Witness, told: Answer[Any], lacking: tuple[Notice, ...]) -> Finding:
    """Judge what a running version lacks: nothing, or what the stead's notices say of it."""
    if not lacking:
        return told.kept()
    said = f"{told.text}: lacks {'; '.join(notice.text for notice in lacking)}"
    grave = [n for n in lacking if n.severity == "warning"]
    if grave and w.design.environment is Environment.PRODUCTION:
        return told.broken(
            "nothing grave to be lacking in production", said=said, hint=grave[0].hint
        )
    known = {notice.code for notice in w.design.notices}
    silent = [n.code for n in lacking if n.code not in known]
    return told.shows(holds=not silent, expected=f"{', '.join(silent)} to be stated", said=said)


PROMISES = (
    version_is_the_designed_one,
    settings_are_the_designed_ones,
    nothing_waits_for_a_restart,
    nothing_overrides_the_design,
    checksums_are_on,
    commits_are_durable,
    files_are_the_designed_ones,
    nothing_listens_elsewhere,
    processes_are_unprivileged,
    directories_are_closed,
    autovacuum_runs,
    everything_runs_in_utc,
    version_is_the_newest,
    *budget.PROMISES,
    *limits.PROMISES,
    *logs.PROMISES,
    *recovery.PROMISES,
)
