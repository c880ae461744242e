"""Plans that auto_explain wrote into the server's JSON log, newest first; read from the end."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from pgstead.errors import StateDirectoryError
from pgstead.model.statements import LoggedPlan, fingerprint

_MARK = b"  plan:\\n"  # as JSON writes it
_MOST = 64 * 1024 * 1024  # bytes of each file, from its end
_KEPT = 500
_DURATION = re.compile(r"^duration: ([0-9.]+) ms  plan:\n")
_FIGURES = re.compile(r"\((cost|actual|never)[^()]*\)|\d+(\.\d+)?")
_TEXT = re.compile(r"'(?:[^']|'')*'")


def read(directory: Path, since: datetime) -> tuple[LoggedPlan, ...]:
    """Return the plans since a moment. Raises StateDirectoryError where the log cannot be read.

    What stood in quotes is left out: a statement without parameters has its values in the plan.
    """
    found: list[LoggedPlan] = []
    try:
        for path in directory.glob("*.json"):
            if path.stat().st_mtime >= since.timestamp():
                found += _plans(path, since)
    except OSError as error:
        raise StateDirectoryError(
            f"the server's log in {directory} cannot be read: {error.strerror}",
            hint="run it as the user who ran `pgstead up`",
        ) from error
    return tuple(sorted(found, key=lambda p: p.at, reverse=True)[:_KEPT])


def _plans(path: Path, since: datetime) -> Iterator[LoggedPlan]:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _MOST))
        for line in file:
            if _MARK not in line:
                continue
            plan = _plan(line)
            if plan is not None and plan.at >= since:
                yield plan


def _plan(line: bytes) -> LoggedPlan | None:
    try:
        entry = cast("dict[str, Any]", json.loads(line))
        stamp = datetime.strptime(entry["timestamp"][:23], "%Y-%m-%d %H:%M:%S.%f")  # noqa: DTZ007 - log_timezone is UTC
        message = str(entry["message"])
    except (ValueError, KeyError, TypeError):
        return None  # a line cut by the rotation
    told = _DURATION.match(message)
    if told is None:
        return None
    body = message[told.end() :]
    tree = _tree(body)
    shape = hashlib.sha256(_FIGURES.sub("", "\n".join(tree)).encode()).hexdigest()[:12]
    return LoggedPlan(
        stamp.replace(tzinfo=UTC),
        str(entry.get("dbname", "")),
        fingerprint(_statement(body)),
        float(told[1]) / 1000,
        tree,
        shape,
    )


def _statement(body: str) -> str:
    """Return the text of the statement, which stands before the first node of the plan."""
    lines = body.splitlines()
    first = next((n for n, line in enumerate(lines) if "(cost=" in line), len(lines))
    return "\n".join(lines[:first]).removeprefix("Query Text: ")


def _tree(body: str) -> tuple[str, ...]:
    """Return the lines of the plan without those of the statement before it."""
    lines = _TEXT.sub("'...'", body).splitlines()
    first = next((n for n, line in enumerate(lines) if "(cost=" in line), 0)
    return tuple(lines[first:])
