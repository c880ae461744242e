"""Whether the copy in object storage is what was put there."""

from __future__ import annotations

from dataclasses import dataclass

from pgstead.errors import MirrorError
from pgstead.model.backup import Task
from pgstead.model.design import Design
from pgstead.ports import Ports
from pgstead.ports.mirror import Transfer
from pgstead.workflows.backup import recorded
from pgstead.workflows.mirror import mirror_of, stored_index


@dataclass(frozen=True, slots=True)
class Checked:
    """What was read through, and is whole."""

    place: str
    objects: int
    size: int


def check(design: Design, ports: Ports, cause: str) -> Checked:
    """Read every object of the copy through. Raises MirrorError that names those not whole."""
    plan, backup, mirror = mirror_of(design, ports)
    with recorded(backup, Task.VERIFY_REMOTE, cause) as record:
        index = stored_index(plan, mirror)
        if index is None:
            raise MirrorError(
                f"there is no copy of backups at {plan}", hint="`pgstead backup mirror` makes it"
            )
        paths = {c.key: path for path, c in index.copies.items()}
        wanted = [Transfer(c.key, "", c.size, c.sha256) for c in index.copies.values()]
        wrong = {paths[key]: why for key, why in mirror.store.altered(wanted).items()}
        record.detail |= {"objects": len(wanted), "bytes": index.size, "wrong": wrong}
        if wrong:
            told = "; ".join(f"{path}: {why}" for path, why in sorted(wrong.items())[:5])
            raise MirrorError(
                f"{len(wrong)} of {len(wanted)} objects of {plan} are not whole: {told}",
                hint="`pgstead backup mirror --repair` copies them again from this machine",
            )
    return Checked(str(plan), len(index.copies), index.size)
