"""The runbooks of backups are executed: on a stead, and on what is left when it is gone."""

from __future__ import annotations

import os
import pwd
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fix_stead import CHECKOUT, toolchain, workplace
from tests.free_ports import free_ports
from tests.live.docs.page import Reader, Step, steps, with_ports

PAGES = CHECKOUT / "docs/how-to"
STOCK = "## With nothing but stock tools\n"


def told(text: str) -> list[Step]:
    """Return what a page, or a part of it, tells its reader to do, on free ports."""
    server, pooler = free_ports(2)
    found = list(steps(with_ports(text, {5432: server, 6432: pooler})))
    assert len(found) == len(re.findall(r"^\$ |title=", text, re.MULTILINE))
    return found


def binaries() -> Path:
    """Return PostgreSQL's own programs."""
    (psql,) = toolchain(18).glob("postgresql/*/bin/psql")
    return psql.parent


@dataclass(frozen=True)
class Left:
    """What is left of a stead: the copy that somebody kept elsewhere."""

    repository: Path
    passphrase: Path

    def copy(self, place: Path) -> None:
        """Put it where somebody works."""
        shutil.copytree(self.repository, place / "repository", symlinks=True)
        shutil.copy(self.passphrase, place / "passphrase")


@pytest.fixture(scope="module")
def left() -> Iterator[Left]:
    """Follow the page about backups; give what somebody has copied when the stead is gone."""
    with workplace() as directory, workplace() as elsewhere:
        (directory / ".pgstead").mkdir(mode=0o755)
        (directory / ".pgstead" / "toolchain").symlink_to(toolchain(18))
        reader = Reader(directory, path=str(binaries()))
        try:
            for step in told((PAGES / "back-up-and-restore.md").read_text()):
                reader.follow(step)
            Left(directory / "repository", directory / "passphrase").copy(elsewhere)
        finally:
            reader.leave()
        yield Left(elsewhere / "repository", elsewhere / "passphrase")


def test_a_stranger_restores_with_pgstead_on_a_machine_that_knows_nothing(left: Left) -> None:
    text, _, _ = (PAGES / "restore-on-another-machine.md").read_text().partition(STOCK)
    with workplace() as place:
        left.copy(place)
        pairs = (place / "repository/key/secret.asc").read_bytes()
        # what `doctor --fix` would fetch
        (place / ".pgstead").mkdir(mode=0o755)
        (place / ".pgstead" / "toolchain").symlink_to(toolchain(18))
        reader = Reader(place)
        try:
            for step in told(text):
                reader.follow(step)
            assert (place / "repository/key/secret.asc").read_bytes() == pairs
            assert not (place / ".pgstead/secrets/backup-passphrase").exists()
        finally:
            reader.leave()


def test_a_stranger_restores_with_stock_tools(left: Left) -> None:
    _, _, text = (PAGES / "restore-on-another-machine.md").read_text().partition(STOCK)
    with workplace() as place:
        left.copy(place)
        user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        give(place, user)
        libraries = {"LD_LIBRARY_PATH": str(binaries().parent / "lib")}
        reader = Reader(place, path=str(binaries()), user=user, more=libraries)
        try:
            for step in told(text):
                reader.follow(step)
                if step.path:
                    give(place / step.path, user)
        finally:
            reader.type("pg_ctl stop -s -m immediate -D data; gpgconf --kill all")
            reader.end()


def give(place: Path, user: str) -> None:
    """Have a tree belong to a user."""
    found = pwd.getpwnam(user)
    for path in (place, *place.rglob("*")):
        os.chown(path, found.pw_uid, found.pw_gid)
