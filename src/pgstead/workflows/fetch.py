"""A repository from its copy in object storage, on a machine that has none."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pgstead.errors import KeysLostError, MirrorError
from pgstead.model.design import Design
from pgstead.ports import Ports
from pgstead.workflows.mirror import mirror_of, stored_index


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came."""

    place: str
    source: str
    at: datetime  # up to when the copy goes
    files: int
    size: int
    backups: tuple[str, ...]


def fetch(design: Design, ports: Ports, key: Path | None) -> Fetched:
    """Fetch a copy into the repository's place, where none may be yet.

    What was fetched by a run before this one is not fetched again. Raises MirrorError,
    KeysLostError where the secret half of the key is neither there nor given.
    """
    plan, _, mirror = mirror_of(design, ports)
    assert design.backup is not None
    ports.progress.step(f"reading the index of {plan}")
    index = stored_index(plan, mirror)
    if index is None:
        raise MirrorError(
            f"there is no copy of backups at {plan}",
            hint="backup.s3.bucket and prefix say where; without a prefix it is the stead's name",
        )
    arrival = mirror.arrival
    arrival.open(index.size)
    mirror.store.get(arrival.missing(index.copies))
    if key is not None:
        arrival.put_key(key)
    if not arrival.has_key:
        raise KeysLostError(
            f"the copy at {plan} does not hold the key of the backups",
            hint="--key FILE, with what `pgstead backup key export` wrote; what was fetched stays",
        )
    arrival.close()
    ports.journal.record("backups fetched", source=str(plan), place=design.backup.repository)
    return Fetched(
        design.backup.repository, str(plan), index.at, len(index.copies), index.size, index.bases
    )
