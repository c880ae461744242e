"""Files of the agent that the services may read, and nobody else."""

from __future__ import annotations

import os
from pathlib import Path

from pgstead.host import programs


def make(path: Path, readers: str) -> None:
    """Make directory and file; as root the group of `readers` may read them. Raises OSError."""
    shared = os.geteuid() == 0
    folder = path.parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        path.touch(mode=0o600)
    if shared:
        group = programs.account(readers).gid
        for place, mode in ((folder, 0o750), (path, 0o640)):
            os.chown(place, -1, group)
            place.chmod(mode)
