"""The baseline of a stead, in its state directory."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import PurePosixPath
from typing import Any

from pgstead.errors import NotRunningError, SteadError
from pgstead.model.bench import FORMAT, Bench, Kind, Load, Measured, Round
from pgstead.model.layout import Layout
from pgstead.ports import Files

_PLAIN = ("samples", "failed", "reasons", "p95", "p99", "mean", "plan")


def keep(layout: Layout, files: Files, run: Bench) -> PurePosixPath:
    """Write it whole over the one before. Raises StateDirectoryError."""
    files.make_directory(layout.baseline.parent, mode=0o700)
    text = json.dumps({"format": FORMAT, **asdict(run)}, indent=1) + "\n"
    files.write(layout.baseline, text, mode=0o600)
    return layout.baseline


def read(layout: Layout, files: Files) -> Bench:
    """Return it. Raises NotRunningError where there is none, SteadError where it is no baseline."""
    found = files.read(layout.baseline)
    if found is None:
        raise NotRunningError(
            "there is no baseline to compare with", hint="`pgstead bench baseline` records one"
        )
    try:
        return _run(json.loads(found.text))
    except (ValueError, KeyError, TypeError) as error:
        raise SteadError(
            f"{layout.baseline} is no baseline: {error}",
            hint="`pgstead bench baseline` records a new one",
        ) from error


def _run(told: dict[str, Any]) -> Bench:
    if told["format"] != FORMAT:
        raise ValueError("it is of another format")
    measured = tuple(
        Measured(
            what=each["what"],
            kind=Kind(each["kind"]),
            rounds=tuple(Round(**r) for r in each["rounds"]),
            **{key: each[key] for key in _PLAIN},
        )
        for each in told["measured"]
    )
    return Bench(
        at=told["at"],
        version=told["version"],
        machine=told["machine"],
        settings=told["settings"],
        load=Load(**told["load"]),
        measured=measured,
        late=told["late"],
    )
