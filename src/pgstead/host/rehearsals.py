"""The last rehearsal of each database, kept beside the state of its stead."""

from __future__ import annotations

import json
from dataclasses import asdict

from pgstead.errors import SteadError
from pgstead.model.layout import Layout
from pgstead.model.rehearsal import Rehearsed
from pgstead.ports import Files


def keep(layout: Layout, files: Files, rehearsed: Rehearsed) -> None:
    """Write it down over the one before. Raises SteadError where there is no room for it."""
    files.make_directory(layout.rehearsals, mode=0o700)
    text = json.dumps(asdict(rehearsed), indent=2) + "\n"
    files.write(layout.rehearsal(rehearsed.database), text, mode=0o600)


def last(layout: Layout, files: Files, database: str) -> Rehearsed | None:
    """Return the last one of a database. Raises SteadError where it cannot be read."""
    path = layout.rehearsal(database)
    found = files.read(path)
    if found is None:
        return None
    try:
        told = json.loads(found.text)
        return Rehearsed(
            database=told["database"],
            start=tuple(told["start"]),
            revisions=dict(told["revisions"]),
            at=told["at"],
            problems=tuple(told["problems"]),
            report=told["report"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise SteadError(
            f"{path} is no rehearsal: {error}", hint=f"`pgstead migrate rehearse {database}` again"
        ) from error
