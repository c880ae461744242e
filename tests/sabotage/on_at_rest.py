"""Sabotages of what lies on the disk, on a machine of one's own (test_at_rest.py)."""

from __future__ import annotations

from collections.abc import Iterator

from pgstead.model.design import Design
from tests.fake_machine import LUKS, LVM, FakeMachine
from tests.sabotage.damage import sabotage
from tests.sabotage.scene import Scene

WHERE = "encrypted disks"
DATA, BACKUPS, SWAP = "dm-0", "dm-1", "dm-2"  # each on a disk of its own


def machine(scene: Scene) -> FakeMachine:
    """Return the machine that the prover looks at."""
    return FakeMachine(scene.access.devices.root)


@sabotage("ENC-006", where=WHERE)
def the_data_moved_to_a_plain_volume(scene: Scene) -> Iterator[Design | None]:
    """Somebody put the data on a volume that nothing encrypts."""
    machine(scene).name(DATA, LVM)
    try:
        yield None
    finally:
        machine(scene).name(DATA, LUKS)


@sabotage("ENC-006", where=WHERE)
def the_swap_is_plain(scene: Scene) -> Iterator[Design | None]:
    """What the kernel swaps out is there to be read."""
    machine(scene).name(SWAP, LVM)
    try:
        yield None
    finally:
        machine(scene).name(SWAP, LUKS)


@sabotage("ENC-007", where=WHERE)
def the_backups_go_to_a_plain_disk(scene: Scene) -> Iterator[Design | None]:
    """The disk for backups was replaced, and the new one is plain."""
    machine(scene).name(BACKUPS, LVM)
    try:
        yield None
    finally:
        machine(scene).name(BACKUPS, LUKS)


SABOTAGES = (
    the_data_moved_to_a_plain_volume,
    the_swap_is_plain,
    the_backups_go_to_a_plain_disk,
)
