"""The copy of the backups in object storage: complete, young, and as it was put there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from pgstead.errors import SteadError
from pgstead.model.address import Capability
from pgstead.model.backup import SERVER, BackupPlan
from pgstead.model.mirror import INDEX, Index, MirrorPlan, index_of
from pgstead.ports.mirror import MirrorPorts
from pgstead.prove.backup_facts import backups_of, plan_of, ports_of
from pgstead.prove.finding import Answer, CannotTryError, Finding, answer, timed
from pgstead.prove.promise import promise
from pgstead.prove.witness import Witness

BACKUP = Capability.BACKUP
_NEEDS = ("backup", "mirror")
_SEGMENT = 24
_MEND = "`pgstead backup mirror --repair`"


@promise(
    "BAK-020",
    "the copy in object storage has every base backup and every segment of WAL, young enough",
    requirement="BAK-1 BAK-4",
    capability=BACKUP,
    needs=_NEEDS,
    limit=120.0,
)
def the_copy_is_complete(w: Witness) -> Iterator[Finding]:
    plan, mirror = plan_of(w), _plan_of(w)
    told = _index(w)
    index = told.value
    edge = time.time() - mirror.max_age
    bases = [b.name for b in backups_of(w).value if b.ended and b.ended.timestamp() < edge]
    wanted = [f"{SERVER}/wals/{name}" for name in _segments(plan, edge)]
    wanted += [f"{SERVER}/meta/{name}-backup.info" for name in bases]
    there = {*index.copies, *index.bases} if index is not None else set[str]()
    missing = [name for name in (*wanted, *bases) if name not in there]
    ours = index is not None and index.writer == w.design.stead_id
    limit = timedelta(seconds=mirror.max_age)
    yield told.shows(
        holds=ours and not missing,
        expected=f"an index by this stead that names all that is older than {limit}",
        hint="`pgstead backup mirror` copies it, and says what is in the way; `pgstead logs agent`",
        said=f"{told.text}; missing: {', '.join(missing[:3]) or 'nothing'}",
    )


@promise(
    "BAK-021",
    "what lies in the copy in object storage is, object by object, what was put there",
    requirement="BAK-2 BAK-4",
    capability=BACKUP,
    needs=_NEEDS,
    limit=120.0,
)
def the_copy_is_as_made(w: Witness) -> Iterator[Finding]:
    found = _index(w)
    index = found.value
    if index is None:
        yield found.broken("an index that is as it was written", hint=_MEND)
        return
    with timed() as watch:
        try:
            there = _ports(w).store.listing()
        except SteadError as error:
            raise CannotTryError(error.message) from error
        gone = [path for path, c in index.copies.items() if c.key not in there]
        odd = [
            path
            for path, c in index.copies.items()
            if c.key in there and (there[c.key].size, there[c.key].etag) != (c.size, c.etag)
        ]
    text = f"{len(index.copies)} objects, {len(gone)} gone, {len(odd)} altered"
    told = answer(f"a listing of {_plan_of(w)}, beside its index", text, (gone, odd), watch)
    yield told.shows(
        holds=not gone and not odd,
        expected="every object of the index, by its size and ETag",
        hint=f"{_MEND} copies them again; find out who was there",
        said=f"{text}: {', '.join([*gone, *odd][:3])}" if gone or odd else "",
    )


def _plan_of(w: Witness) -> MirrorPlan:
    found = plan_of(w).mirror
    assert found is not None
    return found


def _ports(w: Witness) -> MirrorPorts:
    found = ports_of(w).mirror
    if found is None:
        raise CannotTryError("what speaks S3 is not at hand here: `pgstead doctor --fix`")
    return found


def _index(w: Witness) -> Answer[Index | None]:
    """Return the index that the bucket holds; None where there is none, or an altered one."""

    def read() -> Answer[Index | None]:
        with timed() as watch:
            try:
                text = _ports(w).store.read(INDEX)
            except SteadError as error:
                raise CannotTryError(error.message) from error
            found, said = None, "there is none"
            try:
                if text is not None:
                    found = index_of(text)
                    said = f"of {found.at:%F %T} UTC, {len(found.copies)} objects"
            except ValueError as error:
                said = str(error)
        return answer(f"the index of {_plan_of(w)}", said, found, watch)

    return w.once("mirror index", read)


def _segments(plan: BackupPlan, edge: float) -> list[str]:
    found = [p for p in Path(plan.wals).glob("*/*") if len(p.name) == _SEGMENT]
    return sorted(f"{p.parent.name}/{p.name}" for p in found if p.stat().st_mtime < edge)


PROMISES = (the_copy_is_complete, the_copy_is_as_made)
