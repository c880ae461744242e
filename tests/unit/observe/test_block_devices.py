"""What lies on an encrypted device is told from what does not, through whatever lies between."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgstead.model.at_rest import Lying, Shelter
from tests.fake_machine import LUKS, LVM, FakeMachine

HERE = Path("/srv/data")


@pytest.fixture
def machine(tmp_path: Path) -> FakeMachine:
    """A disk with two partitions, the second one under LUKS."""
    made = FakeMachine(tmp_path)
    made.disk("sda", "8:0")
    made.partition("sda", "sda1", "8:1")
    made.partition("sda", "sda2", "8:2")
    made.mapped("dm-0", "253:0", LUKS, "sda2")
    return made


def test_a_plain_disk_is_not_encrypted(machine: FakeMachine) -> None:
    machine.mount("/", "8:1", "ext4", "/dev/sda1")
    found = machine.devices.beneath(HERE)
    assert found == Lying(Shelter.PLAIN, ("ext4", "sda1", "sda"))
    assert not found.safe


@pytest.mark.parametrize("kind", ["LUKS1", "LUKS2", "PLAIN", "BITLK", "TCRYPT"])
def test_whatever_cryptsetup_opened_is_encrypted(machine: FakeMachine, kind: str) -> None:
    machine.name("dm-0", f"CRYPT-{kind}-data")
    machine.mount("/", "253:0", "xfs", "/dev/mapper/data")
    assert machine.devices.beneath(HERE) == Lying(Shelter.ENCRYPTED, ("xfs", f"dm-0 ({kind})"))


@pytest.mark.parametrize("kind", ["VERITY", "INTEGRITY", "SUBDEV"])
def test_what_cryptsetup_only_checks_is_not_encrypted(machine: FakeMachine, kind: str) -> None:
    machine.name("dm-0", f"CRYPT-{kind}-data")
    machine.mount("/", "253:0", "xfs", "/dev/mapper/data")
    assert machine.devices.beneath(HERE).shelter is Shelter.PLAIN


def test_a_logical_volume_is_as_encrypted_as_what_it_lies_on(machine: FakeMachine) -> None:
    machine.mapped("dm-1", "253:1", LVM, "dm-0")
    machine.mount("/", "8:1", "ext4", "/dev/sda1")
    machine.mount("/srv", "253:1", "ext4", "/dev/mapper/vg-srv")
    found = machine.devices.beneath(HERE)
    assert found == Lying(Shelter.ENCRYPTED, ("ext4", "dm-1", "dm-0 (LUKS2)"))
    machine.disk("sdb", "8:16")
    machine.mapped("dm-2", "253:2", LVM, "dm-0", "sdb")  # one volume on two disks
    machine.mount("/srv", "253:2", "ext4", "/dev/mapper/vg-more")
    assert machine.devices.beneath(HERE) == Lying(Shelter.PLAIN, ("ext4", "dm-2", "sdb"))


def test_a_raid_is_encrypted_when_each_of_its_disks_is(machine: FakeMachine) -> None:
    machine.disk("sdb", "8:16")
    machine.mapped("dm-1", "253:1", LUKS, "sdb")
    machine.raid("md0", "9:0", "dm-0", "dm-1")
    machine.mount("/", "9:0", "ext4", "/dev/md0")
    assert machine.devices.beneath(HERE).shelter is Shelter.ENCRYPTED
    machine.name("dm-1", LVM)
    assert machine.devices.beneath(HERE).shelter is Shelter.PLAIN


def test_a_loop_device_is_as_encrypted_as_its_file(machine: FakeMachine, tmp_path: Path) -> None:
    image = tmp_path / "an image"
    image.touch()
    machine.loop("loop0", "7:0", image)
    machine.mount("/", "253:0", "ext4", "/dev/mapper/root")
    machine.mount("/srv", "7:0", "ext4", "/dev/loop0")
    found = machine.devices.beneath(HERE)
    assert found == Lying(Shelter.ENCRYPTED, ("ext4", "loop0", "ext4", "dm-0 (LUKS2)"))
    machine.mount(str(tmp_path).replace(" ", r"\040"), "8:1", "ext4", "/dev/sda1")
    assert machine.devices.beneath(HERE).shelter is Shelter.PLAIN


def test_a_loop_device_whose_file_is_gone_is_unknown(machine: FakeMachine) -> None:
    machine.loop("loop0", "7:0", "/somewhere/else (deleted)")
    machine.mount("/", "7:0", "ext4", "/dev/loop0")
    found = machine.devices.beneath(HERE)
    assert found.shelter is Shelter.UNKNOWN
    assert "not to be seen" in found.why


def test_a_loop_device_that_lies_on_itself_ends(machine: FakeMachine, tmp_path: Path) -> None:
    machine.loop("loop0", "7:0", tmp_path)
    machine.mount("/", "7:0", "ext4", "/dev/loop0")
    assert machine.devices.beneath(HERE).shelter is Shelter.UNKNOWN


def test_a_mapping_that_nobody_named_is_unknown(machine: FakeMachine) -> None:
    """`dmsetup create` by hand makes a crypt target as well, and gives it no uuid."""
    machine.mapped("dm-1", "253:1", "", "sda1")
    machine.mount("/", "253:1", "ext4", "/dev/mapper/hand-made")
    found = machine.devices.beneath(HERE)
    assert found.shelter is Shelter.UNKNOWN
    assert "dmsetup table" in found.why


@pytest.mark.parametrize(
    ("kind", "shelter"),
    [
        ("tmpfs", Shelter.MEMORY),
        ("ecryptfs", Shelter.ENCRYPTED),
        ("fuse.gocryptfs", Shelter.ENCRYPTED),
        ("overlay", Shelter.UNKNOWN),
        ("zfs", Shelter.UNKNOWN),
        ("nfs4", Shelter.UNKNOWN),
    ],
)
def test_a_file_system_without_a_device(machine: FakeMachine, kind: str, shelter: Shelter) -> None:
    machine.mount("/", "8:1", "ext4", "/dev/sda1")
    machine.mount("/srv", "0:44", kind, "somewhere:/export")
    assert machine.devices.beneath(HERE).shelter is shelter


def test_btrfs_is_as_encrypted_as_the_worst_of_its_devices(machine: FakeMachine) -> None:
    pool = machine.root / "sys/fs/btrfs/0f4b/devices"
    pool.mkdir(parents=True)
    (pool / "dm-0").symlink_to(machine.root / "sys/class/block/dm-0")
    machine.mount("/", "0:31", "btrfs", "/dev/dm-0")
    assert machine.devices.beneath(HERE).shelter is Shelter.ENCRYPTED
    (pool / "sda1").symlink_to(machine.root / "sys/class/block/sda1")
    assert machine.devices.beneath(HERE).shelter is Shelter.PLAIN


def test_the_mount_that_is_seen_counts_not_the_one_beneath(machine: FakeMachine) -> None:
    machine.mount("/srv", "253:0", "ext4", "/dev/mapper/data")
    machine.mount("/srv", "8:1", "ext4", "/dev/sda1")
    assert machine.devices.beneath(HERE).shelter is Shelter.PLAIN
    assert machine.devices.beneath(Path("/srvdata")).shelter is Shelter.UNKNOWN


def test_a_path_is_followed_to_where_it_leads(machine: FakeMachine, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("/srv/data")
    machine.mount("/", "253:0", "ext4", "/dev/mapper/root")
    machine.mount("/srv", "8:1", "ext4", "/dev/sda1")
    assert machine.devices.beneath(link).shelter is Shelter.PLAIN


def test_swap_is_looked_at_too(machine: FakeMachine) -> None:
    machine.mount("/", "253:0", "ext4", "/dev/mapper/root")
    assert machine.devices.swaps() == ()
    zram = machine.disk("zram0", "252:0")
    machine.swap(
        "/dev/sda1    partition  1 0 -2",
        "/swap\\040file   file   1 0 -3",
        "/dev/zram0 partition 1 0 5",
    )
    found = dict(machine.devices.swaps())
    assert found["/dev/sda1"].shelter is Shelter.PLAIN
    assert found["/swap file"].shelter is Shelter.ENCRYPTED
    assert found["/dev/zram0"].shelter is Shelter.MEMORY
    (zram / "backing_dev").write_text("/dev/sda1\n")  # written back to a disk
    assert dict(machine.devices.swaps())["/dev/zram0"].shelter is Shelter.PLAIN


def test_a_system_that_shows_nothing_promises_nothing(tmp_path: Path) -> None:
    machine = FakeMachine(tmp_path)
    assert not machine.devices.visible()
    assert machine.devices.beneath(HERE).shelter is Shelter.UNKNOWN
    machine.mount("/", "8:1", "ext4", "/dev/sda1")  # a container without /sys
    assert machine.devices.visible()
    assert machine.devices.beneath(HERE).shelter is Shelter.UNKNOWN
