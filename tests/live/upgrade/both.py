"""Steads of an older version with the binaries of a newer one beside."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.fix_stead import LiveStead, short_directory, stead_in, toolchain


def link_both(stead: LiveStead, *majors: int) -> None:
    """Give a stead a toolchain of its own, with links to what was fetched for some versions."""
    made = stead.state / "toolchain"
    stead.state.mkdir(mode=0o755, exist_ok=True)
    made.mkdir(mode=0o755)
    for major in majors:
        for part in toolchain(major).iterdir():
            (made / part.name).mkdir(mode=0o755, exist_ok=True)
            for entry in part.iterdir():
                link = made / part.name / entry.name
                if not link.is_symlink():
                    link.symlink_to(entry)


@contextmanager
def stead_of_two(old: int, new: int, **given: Any) -> Iterator[LiveStead]:
    """Give a stead on the old version that is up, with both at hand."""
    with stead_in(short_directory(), link=False, major=old, **given) as stead:
        link_both(stead, old, new)
        stead.run("up", timeout=600)
        yield stead


def ask_for(stead: LiveStead, major: int) -> None:
    """Name a version in the manifest."""
    text = stead.manifest.read_text()
    stead.manifest.write_text(re.sub(r"(?m)^major = \d+$", f"major = {major}", text))
    stead.__dict__.pop("wired", None)


def copied_toolchain(stead: LiveStead) -> None:
    """Make the links of a toolchain real, for who changes something in it."""
    made = stead.state / "toolchain" / "postgresql"
    for link in [*made.iterdir()]:
        target = link.resolve()
        link.unlink()
        shutil.copytree(target, link, symlinks=True)


def servers_on(place: Path) -> dict[int, Path]:
    """Return the postmasters that work in data directories below a place, and in which."""
    found: dict[int, Path] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            here = (entry / "cwd").resolve()
        except OSError:
            continue
        if Path(words[0]).name == "postgres" and here.is_relative_to(place):
            found[int(entry.name)] = here
    return found
