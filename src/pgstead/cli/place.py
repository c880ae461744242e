"""Where the manifest and the state directory are, found without reading the manifest."""

from __future__ import annotations

import tomllib
from os import PathLike
from pathlib import Path

from pgstead.errors import UsageError

MANIFEST = "pgstead.toml"
STATE = ".pgstead"


def find_manifest(given: str | PathLike[str] | None) -> Path:
    """Return the manifest's absolute path: the given one, or the nearest one upwards."""
    if given is not None:
        path = Path(given)
        path = path / MANIFEST if path.is_dir() else path
        if not path.is_file():
            raise UsageError(f"there is no manifest at {path}", hint="`pgstead init` writes one")
        return path.resolve()
    here = Path.cwd()
    for directory in (here, *here.parents):
        if (directory / MANIFEST).is_file():
            return directory / MANIFEST
    raise UsageError(
        f"there is no {MANIFEST} in {here} or above",
        hint="`pgstead init` writes one; -C PATH names one that lies elsewhere",
    )


def state_directory(manifest: Path) -> Path:
    """Return the state directory: as the manifest names it, as the pointer does, or beside it.

    Commands that only look a path up need neither a valid manifest nor the facts of the host.
    """
    beside = manifest.parent / STATE
    if named := stated_state(manifest):
        return manifest.parent / Path(named).expanduser()
    try:
        return Path((beside / "location").read_text(encoding="utf-8").removesuffix("\n"))
    except (FileNotFoundError, NotADirectoryError):
        return beside


def stated_state(manifest: Path) -> str | None:
    """Return the state directory that a manifest names, as far as it can be read."""
    try:
        told = tomllib.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    state = told.get("state")
    return state if isinstance(state, str) else None
