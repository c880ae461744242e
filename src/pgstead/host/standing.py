"""Alembic in this process: standing where its own command would, and leaving nothing behind."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from pgstead.errors import SteadError

if TYPE_CHECKING:
    from alembic.config import Config

_ALEMBIC_INI = "alembic.ini"


class RevisionError(SteadError):
    """The revisions of a database cannot be read."""

    code = "revisions-unreadable"


@contextlib.contextmanager
def standing_in(place: Path, root: Path) -> Generator[None]:
    """Run with the paths that Alembic's own command would have there; leave none behind."""
    before, path = Path.cwd(), [*sys.path]
    os.chdir(place)
    sys.path.insert(0, str(root))
    try:
        with contextlib.redirect_stdout(sys.stderr):  # what env.py prints is no result of ours
            yield
    finally:
        os.chdir(before)
        sys.path[:] = path


@contextlib.contextmanager
def alembic_in(
    folder: Path, root: Path, output: TextIO | None = None, **attributes: Any
) -> Generator[Config]:
    """Give the configuration of a folder, standing in it. Raises RevisionError without one."""
    from alembic.config import Config  # noqa: PLC0415  heavy, and only here

    if not (folder / _ALEMBIC_INI).is_file():
        raise RevisionError(
            f"there are no migrations in {folder}: it has no {_ALEMBIC_INI}",
            hint='[[databases]] migrations = "FOLDER" names the folder',
        )
    with standing_in(folder, root):
        config = Config(
            str(folder / _ALEMBIC_INI), output_buffer=output, stdout=output or sys.stderr
        )
        config.attributes.update(attributes)
        yield config
