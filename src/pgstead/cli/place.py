"""Where the manifest and the state directory are, found without reading the manifest."""

from __future__ import annotations

from pathlib import Path

from pgstead.errors import UsageError

MANIFEST = "pgstead.toml"
STATE = ".pgstead"


def find_manifest(given: str | None) -> Path:
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
    """Return the state directory, following the pointer that `.pgstead/location` may be."""
    beside = manifest.parent / STATE
    try:
        return Path((beside / "location").read_text(encoding="utf-8").strip())
    except (FileNotFoundError, NotADirectoryError):
        return beside
