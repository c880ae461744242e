"""Logical dumps: made by the schedule, readable, sealed as backups are, closed to others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

from pgstead.errors import SteadError
from pgstead.model.address import Capability
from pgstead.model.backup import BackupPlan, Ending, Run, Task
from pgstead.prove.backup_facts import overdue, plan_of, ports_of, runs_of
from pgstead.prove.finding import CannotTryError, Finding, answer, timed
from pgstead.prove.promise import promise
from pgstead.prove.repository import sum_of
from pgstead.prove.sealed_backups import key_of
from pgstead.prove.witness import Witness

BACKUP = Capability.BACKUP
_NEEDS = ("backup",)
_OURS = re.compile(r"^.+_\d{8}_\d{6}\.(dump|sql)(\.gpg)?$|^backup-keys\.asc$")
_KEY = b"-----BEGIN PGP PRIVATE KEY BLOCK-----"


@promise(
    "BAK-014",
    "every database was dumped lately, as the schedule has it, and the dumps can be read",
    requirement="BAK-5",
    capability=BACKUP,
    needs=_NEEDS,
    limit=120.0,
)
def dumps_are_young(w: Witness) -> Iterator[Finding]:
    plan = plan_of(w)
    if not plan.export:
        raise CannotTryError("the manifest asks for no logical dumps", could_try=False)
    told, limit = runs_of(w, Task.EXPORT), timedelta(seconds=plan.export_age)
    wanted = {database.name for database in w.databases}
    done = [run for run in told.value if run.ending is Ending.DONE and _whole(run, plan, wanted)]
    if not done and not overdue(w, limit):
        yield told.unproven(
            "no dump was due yet: `pgstead backup export` makes one", could_try=False
        )
        return
    ended = [run.ended for run in done if run.ended is not None]
    yield told.shows(
        holds=bool(ended) and datetime.now(UTC) - max(ended) < limit,
        expected=f"one of {', '.join(sorted(wanted))} in {plan.exports} within {limit}",
        hint="`pgstead backup export`; `pgstead logs agent` shows why the schedule did not",
    )
    if done:
        yield from _readable(w, plan, done[0])


def _whole(run: Run, plan: BackupPlan, wanted: set[str]) -> bool:
    """Say whether a run went to where the schedule's do, and left no database out."""
    told = run.detail.get("databases")
    names = set(cast("list[str]", told)) if isinstance(told, list) else set[str]()
    return run.detail.get("directory") == plan.exports and wanted <= names


def _readable(w: Witness, plan: BackupPlan, run: Run) -> Iterator[Finding]:
    dumps, odd, entries = ports_of(w).dumps, list[str](), 0
    sums = _sums(run)
    with timed() as watch:
        for name, wanted in sums.items():
            file = Path(plan.exports, name)
            if sum_of(file) != wanted:
                odd.append(f"{name} is {'not what was made' if file.exists() else 'gone'}")
                continue
            try:
                found = len(dumps.contents(file))
            except SteadError as error:
                found = 0
                odd.append(error.message)
            entries += found
    text = f"{len(sums)} files with {entries} entries"
    told = answer(f"sha256sum, gpg --decrypt and pg_restore --list in {plan.exports}", text, odd,
                  watch)  # fmt: skip
    yield told.shows(
        holds=bool(sums) and entries > 0 and not odd,
        expected="the sums that the catalog has, and a table of contents in each",
        hint="`pgstead backup export` makes another; find out who altered that one",
        said="; ".join(odd[:3]) or text,
    )


def _sums(run: Run) -> Mapping[str, str]:
    told = run.detail.get("sums")
    return cast("dict[str, str]", told) if isinstance(told, dict) else {}


@promise(
    "BAK-015",
    "nobody else may look at the logical dumps, and they are sealed where backups are",
    requirement="BAK-4 BAK-5 ENC-3",
    capability=BACKUP,
    needs=_NEEDS,
)
def dumps_are_closed(w: Witness) -> Iterator[Finding]:
    plan = plan_of(w)
    place = Path(plan.exports)
    if not place.is_dir():
        raise CannotTryError("there is no directory of logical dumps", could_try=False)
    with timed() as watch:
        files = [path for path in sorted(place.iterdir()) if path.is_file()]
        odd = [f"{place} {place.stat().st_mode & 0o777:04o}"] if _is_open(place) else []
        odd += [f"{p.name} {p.stat().st_mode & 0o777:04o}" for p in files if _is_open(p)]
    told = answer(f"stat of {place} and what is in it", "", odd, watch)
    yield told.shows(
        holds=not odd,
        expected="mode 0700, and 0600 of every file",
        hint="`chmod`, and find out who was there",
        said=", ".join(odd[:5]) or f"{len(files)} files that only their owner reads",
    )
    if plan.encrypted:
        with timed() as watch:
            plain = [p.name for p in files if _OURS.match(p.name) and not _is_sealed(p)]
        told = answer(f"the first bytes of every dump in {place}", "", plain, watch)
        yield told.shows(
            holds=not plain,
            expected="messages to a public key alone",
            hint="remove it: `pgstead backup export` seals, and `backup open` opens elsewhere",
            said=f"plain: {', '.join(plain[:3])}" if plain else f"{len(files)} files",
        )


def _is_open(path: Path) -> bool:
    return bool(path.stat().st_mode & (0o077 if path.is_dir() else 0o177))


def _is_sealed(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return bool(key_of(path)) or file.read(len(_KEY)) == _KEY
    except OSError:
        return False


PROMISES = (dumps_are_young, dumps_are_closed)
