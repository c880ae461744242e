"""Revisions written out: Alembic's offline mode, each statement with the line that it comes from.

All revisions are written in one run of `env.py`, in this process: a process for each would cost
half a second each. Nothing connects anywhere. What a revision needs a server for is told as its
problem, and the others are written all the same.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, TextIO, cast

from pgstead.host.standing import RevisionError, standing_in
from pgstead.model.revision import Direction, RevisionScript, Statement

if TYPE_CHECKING:
    from alembic.script import Script as AlembicScript
    from alembic.script import ScriptDirectory

NAMES = "pgstead_roles"  # `config.attributes`: what roles are called, where no file tells
_DEPTH = 60  # frames between a statement and the revision that asked for it
_CONTROL = frozenset({"emit_begin", "emit_commit"})
_STAGED = "pgstead.app.staged"  # the package whose statements come in stages


@dataclass(frozen=True, slots=True)
class _Asked:
    """Who asked for what is written."""

    lines: tuple[int, ...] = ()  # of the revision
    control: str = ""  # it is a BEGIN or COMMIT that Alembic emits
    staged: bool = False


@dataclass
class _Recorder:
    """Where Alembic writes its script; knows which line of which revision wrote."""

    path: str = ""
    inside: bool = True
    transaction: int = 0
    statements: list[Statement] = field(default_factory=list[Statement])

    def open(self, path: str) -> None:
        """Begin a script of the revision at a path."""
        self.path, self.inside, self.transaction, self.statements = path, True, 0, []

    def write(self, text: str) -> int:
        """Take one statement, or the beginning or end of a transaction that Alembic emits."""
        asked = self._asked()
        if asked.control:
            self.inside = asked.control == "emit_begin"
            self.transaction += self.inside
        elif self.path and (told := text.strip()):
            self.statements.append(
                Statement(told, asked.lines, self.inside, self.transaction, asked.staged)
            )
        return len(text)

    def flush(self) -> None:
        """Do nothing: there is no file."""

    def _asked(self) -> _Asked:
        """Return who writes: the stack tells."""
        lines: list[int] = []
        staged = False
        frame: FrameType | None = inspect.currentframe()
        for depth in range(_DEPTH):
            if frame is None:
                break
            if depth < 5 and frame.f_code.co_name in _CONTROL:
                return _Asked(control=frame.f_code.co_name)
            if frame.f_code.co_filename == self.path:
                lines.append(frame.f_lineno)
            staged = staged or str(frame.f_globals.get("__name__")).startswith(_STAGED)
            frame = frame.f_back
        return _Asked(tuple(lines), staged=staged)


class AlembicRevisions:
    """The revisions of the databases of a manifest; folders are relative to it."""

    def __init__(self, manifest_directory: Path) -> None:
        """Keep where the folders lie."""
        self._directory = manifest_directory

    def written(self, folder: str, roles: Mapping[str, str]) -> tuple[RevisionScript, ...]:
        """Return all revisions in the order in which they run, with both directions.

        `roles` are the names of a database's roles by purpose. Raises RevisionError.
        """
        place = self._directory / folder
        if not folder or not (place / "alembic.ini").is_file():
            raise RevisionError(
                f"there are no migrations in {place}: it has no alembic.ini",
                hint='[[databases]] migrations = "FOLDER" names the folder',
            )
        with standing_in(place, self._directory):
            return _write(place, self._directory, dict(roles))


def _write(place: Path, root: Path, roles: Mapping[str, str]) -> tuple[RevisionScript, ...]:
    from alembic.config import Config  # noqa: PLC0415  heavy, and only here
    from alembic.runtime.environment import EnvironmentContext  # noqa: PLC0415  as above
    from alembic.script import ScriptDirectory  # noqa: PLC0415  as above

    recorder = _Recorder()
    config = Config(str(place / "alembic.ini"), output_buffer=cast("TextIO", recorder))
    config.attributes[NAMES] = roles
    try:
        scripts = ScriptDirectory.from_config(config)
        ordered = [*reversed([*scripts.walk_revisions()])]
    except Exception as error:  # a file of the user's is executed here
        raise _unreadable(place, error) from error
    found: list[RevisionScript] = []

    def write(_revision: object, _context: object) -> Sequence[object]:
        """Do all of the work where Alembic asks what is to be done, and answer: nothing."""
        found.extend(_each(ordered, recorder, root))
        return ()

    with EnvironmentContext(config, scripts, fn=write, as_sql=True, starting_rev=None):
        _run(scripts, place)
    return tuple(found)


def _run(scripts: ScriptDirectory, place: Path) -> None:
    try:
        scripts.run_env()
    except Exception as error:  # env.py is the user's
        raise _unreadable(place, error) from error


def _unreadable(place: Path, error: Exception) -> RevisionError:
    where = f"{error.filename}:{error.lineno}: " if isinstance(error, SyntaxError) else ""
    return RevisionError(
        f"the migrations in {place} cannot be read: {where}{_told(error)}",
        hint="run `alembic heads` there",
    )


def _each(
    ordered: Sequence[AlembicScript], recorder: _Recorder, root: Path
) -> Iterator[RevisionScript]:
    for script in ordered:
        path = str(script.module.__file__)
        source = Path(path).read_text(encoding="utf-8")
        parents = script.down_revision or ()
        yield RevisionScript(
            name=script.revision,
            parents=(parents,) if isinstance(parents, str) else tuple(parents),
            file=_shown(Path(path), root),
            source=source,
            upgrade=_script(script, "upgrade", recorder),
            downgrade=_script(script, "downgrade", recorder),
        )


def _shown(path: Path, root: Path) -> str:
    """Return a path as people type it from where the manifest lies."""
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _script(script: AlembicScript, way: str, recorder: _Recorder) -> Direction:
    """Run one direction of a revision; whatever it raises is its problem, not ours."""
    function: Callable[[], Any] | None = getattr(script.module, way, None)
    if function is None:
        return Direction()
    recorder.open(str(script.module.__file__))
    problem, line = "", 0
    try:
        function()
    except Exception as error:  # noqa: BLE001  a revision is the user's code
        problem = _told(error)
        frames = traceback.extract_tb(error.__traceback__)
        line = next((f.lineno or 0 for f in reversed(frames) if f.filename == recorder.path), 0)
    return Direction(tuple(recorder.statements), problem, line)


def _told(error: Exception) -> str:
    said = str(error).splitlines()
    return f"{type(error).__name__}: {said[0] if said else ''}".rstrip(": ")
