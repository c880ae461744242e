"""What goes while it is looked at, as a `__pycache__` does, is no error."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import pytest

from pgstead.host.migrations import scripts
from pgstead.prove import history_files, traces


class Listing:
    """What a directory held; when it is told, some of it is gone."""

    def __init__(self, found: list[Any]) -> None:
        self._found = iter(found)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Have nothing to close."""

    def __iter__(self) -> Iterator[Any]:
        return self._found

    def __next__(self) -> Any:
        return next(self._found)


@pytest.fixture(params=[1, 2], ids=["seen once", "seen twice"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a history whose `__pycache__` goes when somebody has seen it; rglob looks twice."""
    (tmp_path / "versions").mkdir()
    (tmp_path / "versions/1.py").write_text('revision = "x"\ndown_revision = None\n')
    for place in (tmp_path, tmp_path / "versions"):
        (place / "__pycache__").mkdir()
    scandir, looks = os.scandir, Counter[str]()

    def seen_and_gone(path: Any = ".") -> Listing:
        with scandir(path) as entries:
            found = list(entries)
        looks[str(path)] += 1
        if looks[str(path)] == request.param:
            with suppress(OSError):
                Path(path, "__pycache__").rmdir()
        return Listing(found)

    monkeypatch.setattr(os, "scandir", seen_and_gone)
    return tmp_path


@pytest.mark.parametrize(
    "look",
    [
        lambda folder: list(scripts(folder)),
        history_files.written,
        lambda folder: list(traces.files_in([folder])),
    ],
    ids=["command", "prover", "traces"],
)
def test_a_directory_may_go_while_it_is_looked_at(
    folder: Path, look: Callable[[Path], object]
) -> None:
    assert look(folder)
