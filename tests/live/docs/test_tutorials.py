"""The tutorial of the application library does what it says, far from this checkout."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fix_stead import CHECKOUT, toolchain, workplace
from tests.free_ports import free_ports
from tests.live.docs.page import Reader, steps, with_ports

PAGE = CHECKOUT / "docs/tutorials/your-first-application.md"


@pytest.fixture
def place() -> Iterator[Path]:
    """Give a directory outside the checkout that shares its binaries; nothing is left there."""
    with workplace() as directory:
        (directory / ".pgstead").mkdir(mode=0o755)
        (directory / ".pgstead" / "toolchain").symlink_to(toolchain(18))
        yield directory


def test_the_first_application_does_what_its_page_says(place: Path) -> None:
    text = PAGE.read_text()
    server, pooler, api = free_ports(3)
    ports = {5432: server, 6432: pooler, 8000: api}
    told = list(steps(with_ports(text, ports)))
    assert len(told) == len(re.findall(r"^\$ |title=", text, re.MULTILINE))
    reader = Reader(place)
    try:
        for step in told:
            reader.follow(step)
    finally:
        reader.leave()
