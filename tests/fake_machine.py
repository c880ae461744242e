"""A /proc and /sys of one's own, to stack devices that this machine does not have."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pgstead.observe.block_devices import Devices

LUKS = "CRYPT-LUKS2-5f0c4c579a3e0a6f5a3f1c117d1f6e0a-data"
LVM = "LVM-Zk5NnQ0cV8dVbXq3yT1rWmLsPoIuHgFd"


@dataclass(frozen=True)
class FakeMachine:
    """Its devices have the names and numbers that the kernel would give them."""

    root: Path

    @property
    def devices(self) -> Devices:
        """What the prover is handed."""
        return Devices(self.root)

    def disk(self, name: str, number: str) -> Path:
        """Add a whole disk."""
        return self._add(self.root / "sys/devices/block" / name, number)

    def partition(self, of: str, name: str, number: str) -> Path:
        """Add a partition of a disk."""
        device = self._add(self.root / "sys/devices/block" / of / name, number)
        (device / "partition").write_text("1\n")
        return device

    def mapped(self, name: str, number: str, uuid: str, *slaves: str) -> Path:
        """Add a device of the device mapper on others."""
        device = self.disk(name, number)
        (device / "dm").mkdir()
        self.name(name, uuid)
        self._on(device, slaves)
        return device

    def raid(self, name: str, number: str, *slaves: str) -> Path:
        """Add a software RAID of others."""
        device = self.disk(name, number)
        self._on(device, slaves)
        return device

    def loop(self, name: str, number: str, file: Path | str) -> Path:
        """Add a loop device."""
        device = self.disk(name, number)
        (device / "loop").mkdir()
        (device / "loop/backing_file").write_text(f"{file}\n")
        return device

    def name(self, name: str, uuid: str) -> None:
        """Have the device mapper say that somebody else made a device."""
        (self.root / "sys/class/block" / name / "dm/uuid").write_text(f"{uuid}\n")

    def mount(self, point: str, number: str, kind: str, source: str = "none") -> None:
        """Mount something."""
        place = self.root / "proc/self/mountinfo"
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("a") as file:
            line = f"30 1 {number} / {point} rw,relatime shared:1 - {kind} {source} rw\n"
            file.write(line)

    def swap(self, *lines: str) -> None:
        """Swap to files and partitions."""
        head = "Filename\t\t\t\tType\t\tSize\tUsed\tPriority"
        place = self.root / "proc/swaps"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("\n".join([head, *lines, ""]))

    def _add(self, device: Path, number: str) -> Path:
        device.mkdir(parents=True)
        for folder, name in (("dev/block", number), ("class/block", device.name)):
            place = self.root / "sys" / folder
            place.mkdir(parents=True, exist_ok=True)
            (place / name).symlink_to(device)
        return device

    def _on(self, device: Path, slaves: tuple[str, ...]) -> None:
        (device / "slaves").mkdir()
        for slave in slaves:
            under = (self.root / "sys/class/block" / slave).resolve()
            (device / "slaves" / slave).symlink_to(under)
