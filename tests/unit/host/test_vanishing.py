"""What goes while it is looked at, as a `__pycache__` does, is no error."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from pgstead.errors import SteadError
from pgstead.host import leftovers, processes, program_logs
from pgstead.host.migrations import AlembicMigrations, scripts
from pgstead.model.layout import Layout
from pgstead.prove import history_files, traces
from tests.unit.host.looked_at import Listing


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


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """Give a history of one revision, and a script beside it."""
    (tmp_path / "versions").mkdir()
    (tmp_path / "alembic.ini").write_text("[alembic]\nscript_location = .\n")
    (tmp_path / "env.py").touch()
    (tmp_path / "versions/1.py").write_text('revision = "x"\ndown_revision = None\n')
    (tmp_path / "versions/2.py").write_text('revision = "y"\ndown_revision = "x"\n')
    return tmp_path


def test_a_script_may_go_while_the_scripts_are_read(
    history: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def seen_and_gone(path: Any = ".") -> Listing:
        with scandir(path) as entries:
            found = list(entries)
        if Path(path).name == "versions":
            (history / "versions/2.py").unlink(missing_ok=True)  # as `git switch` does
        return Listing(found)

    monkeypatch.setattr(os, "scandir", seen_and_gone)
    migrations = AlembicMigrations(history.parent, history / "none" / "heads.json")
    assert migrations.heads_of(history.name) == ("x",)


def test_a_script_that_cannot_be_read_is_told(history: Path) -> None:
    (history / "versions/3.py").symlink_to(history / "nowhere.py")
    migrations = AlembicMigrations(history.parent, history / "none" / "heads.json")
    with pytest.raises(SteadError, match="change while they are read"):
        migrations.heads_of(history.name)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(PurePosixPath(tmp_path), PurePosixPath(tmp_path))


def test_a_log_may_go_while_the_newest_is_looked_for(layout: Layout) -> None:
    logs = Path(layout.server_log)
    logs.mkdir(parents=True)
    (logs / "server-1.log").symlink_to(logs / "gone")
    (logs / "server-2.log").write_text("FATAL:  no space\n")
    assert "no space" in program_logs.server_words(layout)


def test_the_record_of_a_program_may_go_while_it_is_judged(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = Path(layout.run, "programs", "agent", "started")
    record.parent.mkdir(parents=True)
    own = processes.look(os.getpid())
    assert own is not None
    record.write_text(f"{own.pid} {own.start} digest\n")
    assert own in leftovers.others(layout)
    read = leftovers.record

    def read_and_gone(layout: Layout, name: str) -> leftovers.Record | None:
        found = read(layout, name)
        record.unlink()
        return found

    monkeypatch.setattr(leftovers, "record", read_and_gone)
    assert own not in leftovers.others(layout)
