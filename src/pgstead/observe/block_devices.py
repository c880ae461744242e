"""Which devices a path lies on, down to the disk, and where on the way it is encrypted.

Read from /proc/self/mountinfo (proc(5)) and /sys (sysfs-block, sysfs-block-dm,
sysfs-block-loop in the kernel's Documentation/ABI): no program is run, no privilege needed.
"""

from __future__ import annotations

import array
import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pgstead.model.at_rest import Lying, Shelter, worst

# cryptsetup names what it makes "CRYPT-<kind>-..." (lib/libdevmapper.c). VERITY, INTEGRITY and
# SUBDEV are its too, and encrypt nothing.
_CIPHERS = frozenset({"LUKS1", "LUKS2", "PLAIN", "BITLK", "TCRYPT", "LOOPAES", "FVAULT2"})
# Device-mapper devices that are known to pass through what they are given.
_CLEAR = re.compile(r"(LVM|mpath|part\d+|DMRAID|CRYPT-(VERITY|INTEGRITY|SUBDEV))-")
_MEMORY = frozenset({"tmpfs", "ramfs"})
_ENCRYPTING = frozenset({"ecryptfs", "fuse.gocryptfs", "fuse.encfs", "fuse.cryfs"})
_HINTS = {
    "overlay": "the layers of a container lie where it cannot look",
    "zfs": "`zfs get encryption` tells",
}
_DEPTH = 16  # more layers than anybody stacks; a loop device may lie on itself
_GETFLAGS = 0x80086601  # FS_IOC_GETFLAGS (ioctl_iflags(2)) of x86-64 and arm64
_ENCRYPT = 0x00000800  # FS_ENCRYPT_FL: by fscrypt, which whatever is made below inherits


@dataclass(frozen=True, slots=True)
class _Mount:
    """A line of mountinfo."""

    device: str  # "254:0"; major 0 where no block device is behind
    point: str
    kind: str  # of file system
    source: str


@dataclass(frozen=True, slots=True)
class Devices:
    """The mounts and devices of a machine."""

    root: Path = Path("/")  # whose /proc and /sys are read

    def visible(self) -> bool:
        """Say whether this system shows its mounts at all."""
        return (self.root / "proc/self/mountinfo").exists()

    def beneath(self, path: Path) -> Lying:
        """Return on what a path lies, or will once it is there."""
        return self._at(path, _DEPTH)

    def swaps(self) -> tuple[tuple[str, Lying], ...]:
        """Return what the kernel writes memory to, and on what each lies; often nothing."""
        lines = _read(self.root / "proc/swaps").splitlines()[1:]
        found: list[tuple[str, Lying]] = []
        for name, kind in (line.split()[:2] for line in lines if line.strip()):
            place = Path(_unescaped(name))
            # any block device is called a partition
            lying = self._named(place, _DEPTH) if kind == "partition" else self.beneath(place)
            found.append((str(place), lying))
        return tuple(found)

    # -- file systems ---------------------------------------------------------------------------

    def _at(self, path: Path, depth: int) -> Lying:
        real = Path(os.path.realpath(path))
        mount = self._mount(real)
        if mount is None:
            return Lying(Shelter.UNKNOWN, (str(real),), "no mount of it is known")
        if mount.kind in _MEMORY:
            return Lying(Shelter.MEMORY, (mount.kind,))
        if mount.kind in _ENCRYPTING:
            return Lying(Shelter.ENCRYPTED, (mount.kind,))
        if _by_fscrypt(real):
            return Lying(Shelter.ENCRYPTED, (f"{mount.kind} (fscrypt)",))
        return self._under(mount, depth).over(mount.kind)

    def _mount(self, real: Path) -> _Mount | None:
        """Return the mount that a path is seen through: the deepest, of those the last."""
        text = _read(self.root / "proc/self/mountinfo")
        above = [m for m in _mounts(text) if real.is_relative_to(m.point)]
        return max(reversed(above), key=lambda m: len(Path(m.point).parts), default=None)

    def _under(self, mount: _Mount, depth: int) -> Lying:
        if not mount.device.startswith("0:"):
            return self._device(self.root / "sys/dev/block" / mount.device, depth - 1)
        if mount.kind == "btrfs":  # its device numbers are its own
            name = self._node(Path(mount.source))
            for pool in (self.root / "sys/fs/btrfs").glob(f"*/devices/{name}"):
                parts = sorted(pool.parent.iterdir())
                return worst(self._device(self._block(part.name), depth - 1) for part in parts)
            return self._named(Path(mount.source), depth)
        why = _HINTS.get(mount.kind, "it does not lie on a device of this machine")
        return Lying(Shelter.UNKNOWN, (mount.source,), why)

    # -- devices --------------------------------------------------------------------------------

    def _node(self, device: Path) -> str:
        """Return the kernel's name of a device: /dev/mapper/home is a link to ../dm-3."""
        return Path(os.path.realpath(self.root / device.relative_to("/"))).name

    def _block(self, name: str) -> Path:
        return self.root / "sys/class/block" / name

    def _named(self, device: Path, depth: int) -> Lying:
        if not device.is_absolute():
            return Lying(Shelter.UNKNOWN, (str(device),), "it is no device of this machine")
        return self._device(self._block(self._node(device)), depth - 1)

    def _device(self, link: Path, depth: int) -> Lying:
        device = Path(os.path.realpath(link))
        if not device.is_dir() or depth < 0:
            return Lying(Shelter.UNKNOWN, (link.name,), "this system does not show the device")
        name, mapped = device.name, (device / "dm").is_dir()
        uuid = _read(device / "dm/uuid") if mapped else ""
        cipher = uuid.split("-")[1] if uuid.startswith("CRYPT-") else ""
        if cipher in _CIPHERS:
            return Lying(Shelter.ENCRYPTED, (f"{name} ({cipher})",))
        below = tuple(self._below(device, depth))
        if not below:
            return _bottom(device)
        found = worst(below).over(name)
        if mapped and found.shelter is Shelter.PLAIN and not _CLEAR.match(uuid):
            why = f"`dmsetup table` tells what {name} does"
            return Lying(Shelter.UNKNOWN, found.chain, why)
        return found

    def _below(self, device: Path, depth: int) -> Iterator[Lying]:
        """Yield what a device is made of."""
        if (device / "partition").exists():
            yield self._device(device.parent, depth - 1)
        if backing := _read(device / "loop/backing_file"):
            file = Path(backing)
            if file.exists():
                yield self._at(file, depth - 1)
            else:  # deleted, or of another mount namespace
                yield Lying(Shelter.UNKNOWN, (backing,), "the file is not to be seen from here")
        if (written_back := _read(device / "backing_dev")) not in ("", "none"):  # of zram
            yield self._named(Path(written_back), depth)
        with suppress(OSError):
            for slave in sorted((device / "slaves").iterdir()):
                yield self._device(slave, depth - 1)


def _bottom(device: Path) -> Lying:
    if device.name.startswith("zram"):
        return Lying(Shelter.MEMORY, (device.name,))
    if (device / "dm").is_dir():
        return Lying(Shelter.UNKNOWN, (device.name,), "this system does not show what it lies on")
    return Lying(Shelter.PLAIN, (device.name,))


def _mounts(text: str) -> Iterator[_Mount]:
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        left, right = before.split(), after.split()
        if len(left) >= 5 and len(right) >= 2:
            yield _Mount(left[2], _unescaped(left[4]), right[0], _unescaped(right[1]))


def _unescaped(text: str) -> str:
    """Return a path as it is: spaces and others are written in octal (proc(5))."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def _by_fscrypt(path: Path) -> bool:
    """Say whether the kernel encrypts the names and contents of a directory, or will."""
    while not os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises where one may not look
        path = path.parent
    try:
        opened = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False  # who may not look says what its device says
    flags = array.array("i", [0, 0])  # named a long, written as an int
    try:
        fcntl.ioctl(opened, _GETFLAGS, flags)
    except OSError:  # a file system without flags
        return False
    finally:
        os.close(opened)
    return bool(flags[0] & _ENCRYPT)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
