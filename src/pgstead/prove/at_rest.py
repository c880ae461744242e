"""Promises of what lies on the disk when nobody runs: kept where it is true, else not made."""

from __future__ import annotations

from collections.abc import Iterator

from pgstead.model.address import Capability
from pgstead.model.at_rest import Place, Shelter
from pgstead.observe import at_rest
from pgstead.prove.finding import Answer, Finding, Stopwatch, answer, timed
from pgstead.prove.promise import promise
from pgstead.prove.witness import Witness

_HINT = "move it to a device that dm-crypt (LUKS) or fscrypt encrypts: how-to/encrypt-the-disk.md"


@promise(
    "ENC-006",
    "data, WAL, temporary files, logs and swap lie on encrypted devices",
    requirement="ENC-4",
    capability=Capability.ENCRYPTION,
    needs=("mounts",),
)
def data_is_encrypted_at_rest(w: Witness) -> Iterator[Finding]:
    with timed() as watch:
        places = at_rest.of_data(w.design.layout, w.access.devices)
    for place in places:
        yield _judged(_told(place, watch), "at_rest.data", demanded=w.design.at_rest.data)


@promise(
    "ENC-007",
    "backups lie on encrypted devices, beside their own encryption",
    requirement="ENC-4",
    capability=Capability.ENCRYPTION,
    needs=("mounts", "backup"),
)
def backups_are_encrypted_at_rest(w: Witness) -> Iterator[Finding]:
    plan = w.design.backup
    assert plan is not None  # what it needs
    with timed() as watch:
        places = at_rest.of_backups((plan.repository, plan.exports), w.access.devices)
    for place in places:
        yield _judged(_told(place, watch), "at_rest.backups", demanded=w.design.at_rest.backups)


def _told(place: Place, watch: Stopwatch) -> Answer[Place]:
    """Return what was found, with what a reader sees the same by."""
    found = f"$(findmnt -nvo SOURCE -T '{place.path}')"
    tried = f"lsblk --inverse {place.path if place.name == 'swap' else found}"
    return answer(tried, f"{place.name}: {place.lying.text}", place, watch)


def _judged(told: Answer[Place], key: str, *, demanded: bool) -> Finding:
    """Judge one place. What is not demanded is reported, and promised to nobody."""
    lying = told.value.lying
    if lying.safe:
        return told.kept()
    if not demanded:
        where = f"{told.value.name}: {lying.shelter}"
        return told.unproven(f"not promised: {where}, and {key} = true is not set", could_try=False)
    if lying.shelter is Shelter.PLAIN:
        return told.broken(f"an encrypted device ({key} = true)", hint=_HINT)
    return told.unproven(f"{told.value.name}: {lying.why}")


PROMISES = (data_is_encrypted_at_rest, backups_are_encrypted_at_rest)
