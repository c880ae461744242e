"""Files that a manifest names outside of itself, on their way into the volume of the state.

They go by the standard input of a process in a container, so that no image, no argument and no
environment holds them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from pgstead.errors import HostError
from pgstead.host.files import LocalFiles, problem
from pgstead.model.containers import BROUGHT, HOME


def texts(named: Mapping[str, str], directory: Path) -> dict[str, str]:
    """Return what stands in the files that a manifest names, by their key. Raises HostError."""
    return {key: _text(key, directory / path) for key, path in named.items()}


def _text(key: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise HostError(f"{key}: {path} is no text", hint="certificates and keys: PEM") from error
    except OSError as error:
        raise HostError(
            f"{key}: {path} cannot be read: {error.strerror}",
            hint="it is carried into a volume, for containers cannot see it: make it readable",
        ) from error


def take(given: Mapping[str, str], *, only: bool = False, place: str = BROUGHT) -> None:
    """Write them where containers see them; with `only`, remove what is not among them."""
    files = LocalFiles(PurePosixPath(place).parent)
    files.make_directory(PurePosixPath(place), mode=0o700)
    for key, text in given.items():
        target = PurePosixPath(place, PurePosixPath(key).name)
        there = files.read(target)
        if there is None or there.text != text:
            files.write(target, text, mode=0o600)
    if not only:
        return
    for path in Path(place).iterdir():
        try:
            if path.name not in given:
                path.unlink()
        except OSError as error:
            raise problem(error, path, "removing") from error


def must_be_there(named: Mapping[str, str]) -> None:
    """Raise HostError where a file that the manifest names was not brought."""
    for key, path in named.items():
        if path.startswith(f"{BROUGHT}/") and not Path(path).is_file():
            raise HostError(
                f"{key} names a file, and it was not brought into {HOME}",
                hint="`pgstead up --target compose` brings it; without pgstead: `docker compose run"
                f" --rm -T --no-deps provision bring {key} <FILE`",
            )
