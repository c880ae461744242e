"""Files that are rendered for a root directory other than the state: a path, and the text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

MARK = "made by `pgstead render"  # in the first lines: what bears it may be written over


@dataclass(frozen=True, slots=True)
class TreeFile:
    """A file of a tree."""

    path: PurePosixPath  # relative: "etc/systemd/system/pgstead-shop.target"
    text: str
    mode: int = 0o644
    owner: str = ""  # a line of it that says whose it is; another's is not written over


@dataclass(frozen=True, slots=True)
class Units:
    """A stead as systemd runs it: its units, and what the host needs beside them."""

    target: TreeFile
    services: Mapping[str, str]  # program -> unit
    timers: tuple[str, ...]
    files: tuple[TreeFile, ...]  # all of them, the target too
    # what other kinds of `render` may have put there: `up` leaves it alone, `destroy` does not
    others: tuple[TreeFile, ...] = ()
