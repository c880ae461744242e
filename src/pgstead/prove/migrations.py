"""Migrations: what was applied is what is written, and nobody is hurt while it is applied."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from pgstead.model.address import Capability
from pgstead.model.design import Environment
from pgstead.prove.finding import CannotTryError, Finding, answer, timed
from pgstead.prove.history_files import WrittenRevision, reached, written
from pgstead.prove.promise import promise
from pgstead.prove.trial_migrations import PATIENCE, trials
from pgstead.prove.witness import Witness

MIGRATIONS = Capability.MIGRATIONS
_NEEDS = ("schema",)
_RUN = "env.py has to call pgstead.app.migrations.run(), which is all that it needs"
_LATEST = """
    SELECT DISTINCT ON (revision) revision, direction, digest, source
    FROM pgstead_migrations.applied ORDER BY revision, id DESC
"""
_VERSIONS = "SELECT version_num::text FROM public.alembic_version ORDER BY 1"


@promise(
    "MGR-001",
    "every applied revision is in the ledger with the text that its file has now",
    requirement="MIG-5 MIG-13",
    capability=MIGRATIONS,
    needs=_NEEDS,
)
def what_was_applied_is_what_is_written(w: Witness) -> Iterator[Finding]:
    for plan in w.migrated:
        files = written(Path(w.design.layout.manifest_directory / plan.migrations))
        at = [str(row[0]) for row in w.look(_VERSIONS, database=plan.name).value]
        told = w.look(_LATEST, database=plan.name)
        ledger = {str(name): tuple(map(str, rest)) for name, *rest in told.value}
        odd = [*_odd(files, ledger, reached(files, at))]
        yield told.shows(
            holds=bool(at) and not odd,
            expected="each revision, as its file is",
            said="; ".join(odd) or f"{len(ledger)} revisions, each as in its file",
            hint=f"`pgstead migrate check {plan.name} --files` shows what differs and the way out",
        )


def _odd(
    files: Mapping[str, WrittenRevision],
    ledger: Mapping[str, tuple[str, ...]],
    applied: tuple[str, ...],
) -> Iterator[str]:
    for name in sorted({*applied, *ledger}):
        direction, digest, source = ledger.get(name, ("", "", ""))
        there = direction not in {"", "down"}
        if name not in applied:
            if there:
                yield f"{name} is in the ledger, and the database is not at it"
            continue
        if not there:
            yield f"{name} is applied, and not in the ledger"
        elif name not in files:
            yield f"{name} is applied, and no file has it"
        elif tuple(source.splitlines()) != files[name].lines:
            yield f"{name} was edited after it was applied"
        elif digest != hashlib.sha256("\n".join(files[name].lines).encode()).hexdigest():
            yield f"the ledger's digest of {name} is not that of its text"


@promise(
    "MGR-002",
    "nobody but the migrator changes what a database remembers of its migrations",
    requirement="MIG-5 ROL-1",
    capability=MIGRATIONS,
    needs=("direct", "schema"),
)
def the_memory_is_the_migrators(w: Witness) -> Iterator[Finding]:
    for plan in w.migrated:
        for role in (plan.app, plan.admin, plan.readonly):
            with w.session(role, plan.name) as session:
                # a default of the role that reads, which anybody may change for himself
                session.ask("SET default_transaction_read_only = off")
                for statement in (
                    "UPDATE public.alembic_version SET version_num = version_num",
                    "DELETE FROM pgstead_migrations.applied",
                    "DELETE FROM pgstead_migrations.unfinished",
                ):
                    yield session.must_refuse(statement, hint="REVOKE it, `pgstead up` does too")


@promise(
    "MGR-003",
    "no migration is half-done, and none left an index that it was building",
    requirement="MIG-2",
    capability=MIGRATIONS,
    needs=_NEEDS,
)
def nothing_is_half_done(w: Witness) -> Iterator[Finding]:
    for plan in w.migrated:
        told = w.look(
            "SELECT revision, statement FROM pgstead_migrations.unfinished"
            " UNION ALL SELECT 'left by REINDEX', i.indexrelid::regclass::text"
            " FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid"
            " WHERE c.relname ~ '_cc(new|old)[0-9]*$' ORDER BY 1, 2",
            database=plan.name,
        )
        yield told.shows(
            holds=not told.value,
            expected="no row",
            hint=f"`pgstead migrate up {plan.name}` goes on with it; DROP INDEX CONCURRENTLY",
        )


@promise(
    "MGR-004",
    "a migration that wants a busy table gives way to who writes to it, and then gets through",
    requirement="MIG-8",
    capability=MIGRATIONS,
    needs=_NEEDS,
    limit=120.0,
)
def migrations_give_way(w: Witness) -> Iterator[Finding]:
    for told in trials(w).values():
        seen = told.value
        if not seen.waited:
            yield told.unproven("no runner came to the table that was held")
            continue
        yield told.shows(
            holds=seen.written and seen.changed,
            expected=f"a writer behind it gets through within {PATIENCE:g} s, the revision later",
            hint=_RUN,
        )


@promise(
    "MGR-005",
    "of two runners at once one works, and the other waits for it",
    requirement="MIG-8",
    capability=MIGRATIONS,
    needs=_NEEDS,
    limit=120.0,
)
def one_works_at_a_time(w: Witness) -> Iterator[Finding]:
    for told in trials(w).values():
        seen = told.value
        if not (seen.entered and seen.met):
            yield told.unproven("the second runner was not seen while the first one worked")
            continue
        yield told.shows(
            holds=seen.entered == 1 and seen.changed, expected="one runner in it", hint=_RUN
        )


@promise(
    "MGR-006",
    "a revision that fails leaves nothing, and those before it stay",
    requirement="MIG-2",
    capability=MIGRATIONS,
    needs=_NEEDS,
    limit=120.0,
)
def failures_leave_nothing(w: Witness) -> Iterator[Finding]:
    for told in trials(w).values():
        seen = told.value
        if not seen.changed:
            yield told.unproven("the revision before the one that fails was not applied")
            continue
        yield told.shows(
            holds=seen.versions == ("first",) and not seen.half,
            expected="at the first revision, and no table of the second",
            hint=_RUN,
        )


@promise(
    "MGR-007",
    "in production no revision was applied past the gate, and what was skipped is written down",
    requirement="MIG-6 MIG-10",
    capability=MIGRATIONS,
    needs=_NEEDS,
)
def the_gate_was_gone_through(w: Witness) -> Iterator[Finding]:
    if w.design.environment is not Environment.PRODUCTION:
        raise CannotTryError("this stead is not production", could_try=False)
    for plan in w.migrated:
        told = w.look(
            "SELECT revision, direction, at::text, person FROM ("
            "  SELECT DISTINCT ON (revision) * FROM pgstead_migrations.applied"
            "  ORDER BY revision, id DESC) AS latest"
            " WHERE direction IN ('up', 'down', 'stamp')"
            " AND coalesce(reason, '') !~ '\\[gate: .*\\]$' ORDER BY at",
            database=plan.name,
        )
        yield told.shows(
            holds=not told.value,
            expected="no row: each says which conditions were met, or skipped and why",
            hint=f"migrate by `pgstead migrate up {plan.name}`, not by alembic; for what is in:"
            f" `pgstead migrate reconcile {plan.name} REV --reason ...`",
        )


@promise(
    "MGR-008",
    "the schema is what the migrations make, down to comments and grants, and what the models say",
    requirement="MIG-3 MIG-5 MIG-12",
    capability=MIGRATIONS,
    needs=("direct", "schema"),
    limit=600.0,
    long=True,
)
def nothing_was_changed_by_hand(w: Witness) -> Iterator[Finding]:
    manifest = str(w.design.layout.manifest_directory)
    for plan in w.migrated:
        command = ["migrate", "check", plan.name, "--json", "-C", manifest]
        with timed() as watch:
            done = subprocess.run(
                [sys.executable, "-m", "pgstead", *command],
                capture_output=True,
                stdin=subprocess.DEVNULL,
                text=True,
                check=False,
            )
        said = done.stdout or done.stderr
        told = answer(f"pgstead {' '.join(command)}", said, done.returncode, watch)
        if done.returncode not in {0, 3}:
            yield told.unproven("it could not be compared")
            continue
        yield told.shows(
            holds=not done.returncode,
            expected="no difference",
            said=_differences(done.stdout, plan.name),
            hint=f"`pgstead migrate check {plan.name}` says what each means, and the way out",
        )


def _differences(text: str, database: str) -> str:
    found = json.loads(text)[database]
    drifts = [f"{d['object']} is {d['how']}" for d in found["drifts"]]
    others = [f"{p['kind']}: {p['says']}" for p in found["problems"]]
    more = [found["not_compared"]] if found["not_compared"] else []
    return "; ".join([*drifts, *others, *found["unwritten"], *more]) or "all agrees"


PROMISES = (
    what_was_applied_is_what_is_written,
    the_memory_is_the_migrators,
    nothing_is_half_done,
    migrations_give_way,
    one_works_at_a_time,
    failures_leave_nothing,
    the_gate_was_gone_through,
    nothing_was_changed_by_hand,
)
