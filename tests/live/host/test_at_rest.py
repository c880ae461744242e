"""Real servers on real file systems: one that the kernel encrypts, and plain ones."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fix_stead import short_directory, stead_in

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts file systems"),
]
SIZE = 1 << 30
DEMANDED = "[at_rest]\ndata = true\n"
# <linux/fscrypt.h>, of x86-64 and arm64: FS_IOC_ADD_ENCRYPTION_KEY, FS_IOC_SET_ENCRYPTION_POLICY
ADD_KEY, SET_POLICY = 0xC0506617, 0x800C6613
XTS, CTS = 1, 4  # FSCRYPT_MODE_AES_256_...: of contents, and of names
BY_IDENTIFIER, VERSION_2 = 2, 2


def call(*command: str | Path, text: str | None = None) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, input=text)


@contextmanager
def mounted(device: Path, place: Path) -> Iterator[Path]:
    """Mount a device, or a file as one."""
    place.mkdir()
    call("mount", *(["-o", "loop"] if device.is_file() else []), device, place)
    try:
        yield place
    finally:
        call("umount", place)


@contextmanager
def image(*options: str) -> Iterator[tuple[Path, Path]]:
    """Give a file with an ext4, and the directory that it lies in."""
    directory = short_directory()
    try:
        file = directory / "image"
        with file.open("wb") as made:
            made.truncate(SIZE)
        call("mkfs.ext4", "-q", *options, file)
        yield file, directory
    finally:
        shutil.rmtree(directory)


def seal(directory: Path, mount: Path) -> None:
    """Have the kernel encrypt an empty directory by a key that nobody keeps."""
    raw = secrets.token_bytes(64)
    key = bytearray(struct.pack("<II32sII8I", BY_IDENTIFIER, 0, b"", len(raw), 0, *[0] * 8) + raw)
    for place, request in ((mount, ADD_KEY), (directory, SET_POLICY)):
        opened = os.open(place, os.O_RDONLY)
        try:
            policy = struct.pack("<BBBB4s16s", VERSION_2, XTS, CTS, 3, b"", bytes(key[8:24]))
            fcntl.ioctl(opened, request, key if request == ADD_KEY else policy)
        finally:
            os.close(opened)


def test_a_stead_in_a_directory_that_the_kernel_encrypts_keeps_it() -> None:
    with image("-O", "encrypt") as (file, beside), mounted(file, beside / "m") as mount:
        place = mount / "s"
        place.mkdir(mode=0o755)
        try:
            seal(place, mount)
        except OSError as error:
            pytest.skip(f"this kernel has no fscrypt: {error}")
        with stead_in(place, extra=DEMANDED) as stead:
            stead.run("up")
            assert "data directory, WAL" in stead.run("doctor").stdout
            done = stead.run("prove", "ENC-006", "--evidence")
            assert "kept" in done.stdout
            assert "WAL: encrypted: ext4 (fscrypt)" in done.stdout


def test_a_stead_on_a_plain_loop_device_breaks_it_where_it_is_demanded() -> None:
    with image() as (file, beside), mounted(file, beside / "m") as mount:
        place = mount / "s"
        place.mkdir(mode=0o755)
        with stead_in(place, extra=DEMANDED) as stead:
            stead.run("up")
            told = stead.run("doctor", status=1).stdout
            assert "not encrypted: ext4 on loop" in told
            assert "at_rest.data = true demands encrypted devices" in told
            done = stead.run("prove", "ENC-006", status=1)
            assert "BROKEN" in done.stdout
            manifest = stead.manifest.read_text()
            stead.manifest.write_text(manifest.replace(DEMANDED, ""))
            stead.run("doctor")
            assert "not promised" in stead.run("prove", "ENC-006").stdout


@pytest.mark.skipif(
    "device-mapper" not in Path("/proc/misc").read_text() or not shutil.which("cryptsetup"),
    reason="this kernel maps no devices, or cryptsetup is missing",
)
def test_a_directory_on_luks_keeps_it() -> None:
    from pgstead.model.at_rest import Shelter
    from pgstead.observe.block_devices import Devices

    with image() as (file, beside):
        phrase, name = secrets.token_hex(16), f"pgstead-{secrets.token_hex(4)}"
        call("cryptsetup", "luksFormat", "--batch-mode", "--pbkdf-force-iterations", "4",
             "--pbkdf-memory", "32", file, "-", text=phrase)  # fmt: skip
        call("cryptsetup", "open", file, name, "--key-file", "-", text=phrase)
        try:
            call("mkfs.ext4", "-q", f"/dev/mapper/{name}")
            with mounted(Path("/dev/mapper", name), beside / "m") as mount:
                found = Devices().beneath(mount)
        finally:
            call("cryptsetup", "close", name)
    assert found.shelter is Shelter.ENCRYPTED
    assert "(LUKS2)" in found.text
