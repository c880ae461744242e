"""Text -> Manifest. Every problem is listed, each with its key path."""

from __future__ import annotations

import re
import tomllib
from datetime import UTC, date, datetime
from pathlib import Path

from pydantic import ValidationError

from pgstead.errors import ManifestError
from pgstead.manifest import checks, problems
from pgstead.manifest.document import Manifest

# How tomllib ends its messages; it gives the place in no other form before Python 3.14.
_PLACE = re.compile(
    r"^(?P<what>.*?) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$",
    re.DOTALL,
)


def load(path: Path | str, *, today: date | None = None) -> Manifest:
    """Read and check a manifest. Raises ManifestError."""
    place = Path(path)
    try:
        text = place.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise ManifestError(
            f"{place} does not exist", hint="`pgstead init` writes a starter manifest"
        ) from None
    except UnicodeDecodeError as error:
        raise ManifestError(
            f"{place} is not UTF-8 (byte {error.start})", hint="save it as UTF-8"
        ) from error
    except OSError as error:
        raise ManifestError(f"{place} cannot be read: {error.strerror}") from error
    return parse(text, str(place), today=today)


def parse(text: str, origin: str = "pgstead.toml", *, today: date | None = None) -> Manifest:
    """Check the text of a manifest. `origin` names it in messages. Raises ManifestError."""
    try:
        told = tomllib.loads(text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as error:
        raise _syntax(error, text, origin) from error
    try:
        manifest = Manifest.model_validate(told)
    except ValidationError as error:
        raise problems.refusal(problems.of(error), origin) from None
    found = checks.problems(manifest, today or datetime.now(UTC).date())
    if found:
        raise problems.refusal(found, origin)
    return manifest


def _syntax(error: tomllib.TOMLDecodeError, text: str, origin: str) -> ManifestError:
    found = _PLACE.match(str(error))
    if found is None:
        return ManifestError(f"{origin}: {error}", hint="the file is not valid TOML")
    what = found["what"][:1].lower() + found["what"][1:]
    if found["line"] is None:
        return ManifestError(f"{origin}: {what} at the end", hint="the file is not valid TOML")
    line = int(found["line"])
    lines = text.splitlines()
    shown = lines[line - 1].strip() if line <= len(lines) else ""
    return ManifestError(
        f"{origin}:{line}:{found['column']}: {what}",
        hint=f"the file is not valid TOML; the line reads: {shown}",
    )
