"""What is wrong with a revision or its surroundings is told, and nothing is half-done."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from pgstead.cli.invocation import Invocation
from pgstead.cli.migrate_run import Way, run
from pgstead.cli.migrating import History, chosen
from pgstead.cli.wiring import SILENT
from pgstead.errors import SteadError
from tests.live.migrate.project import Project

TABLE = "CREATE TABLE item (id bigint PRIMARY KEY, name text)"


def raises(project: Project) -> None:
    project.revision("aa02", "op.execute('CREATE TABLE other ()')\nraise ValueError('odd')")


def misspelt(project: Project) -> None:
    project.revision("aa02", "op.execute('CREATE TABLE other ()')\nop.add_colum('item')")


def imports(project: Project) -> None:
    path = project.sql("aa02", "CREATE TABLE other ()")
    path.write_text("import nothing_there\n" + path.read_text())


def fails(project: Project) -> None:
    project.sql("aa02", "CREATE TABLE other ()", "SELECT 1/0")


def without_environment(project: Project) -> None:
    project.sql("aa02", "CREATE TABLE other ()")
    environment = project.folder / "migrations" / "env.py"
    environment.unlink()
    # Alembic takes what Python has compiled of it, where it may write that down
    shutil.rmtree(environment.parent / "__pycache__", ignore_errors=True)


def deleted(project: Project) -> None:
    path = project.sql("aa02", "SELECT 1")
    project.pgstead("up")
    path.unlink()
    project.sql("aa03", "CREATE TABLE other ()").write_text(
        (project.versions / "aa03.py")
        .read_text()
        .replace('"aa02"', '"aa01"')
        .replace("'aa02'", "'aa01'")
    )


def another_password(project: Project) -> None:
    project.sql("aa02", "CREATE TABLE other ()")
    passfile = project.scratch.folder / ".pgstead" / "passfiles" / f"{project.database}_migrator"
    passfile.write_text(f"*:*:*:{project.database}_migrator:of somebody else\n")


def another_role(project: Project) -> None:
    project.sql("aa02", "CREATE TABLE other ()")
    _change(project, "_migrator", "_readonly")


def unreachable(project: Project) -> None:
    project.sql("aa02", "CREATE TABLE other ()")
    _change(project, f'"port": {project.scratch.port}', '"port": 1')


def _change(project: Project, old: str, new: str) -> None:
    text = project.connection.read_text()
    assert old in text
    project.connection.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("breaks", "says", "hints"),
    [
        (raises, "migrations/versions/aa02.py:13: ValueError: odd", "mend that file"),
        (misspelt, "migrations/versions/aa02.py:13: AttributeError: ", "mend that file"),
        (imports, "ModuleNotFoundError: No module named 'nothing_there'", "alembic heads"),
        (fails, "division by zero; statement: SELECT 1/0", "nothing of this revision was kept"),
        (without_environment, "env.py", "mend that file"),
        (deleted, "is at aa02, applied ", "history {database} --show aa02"),
        (another_password, "password authentication failed", "mends roles"),
        (another_role, "permission denied for schema ", "`pgstead up` mends"),
        (unreachable, "does not let us in: connection failed: ", "pgstead status"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_it_is_an_error_with_a_way_out_and_nothing_of_it_is_done(
    project: Project, breaks: Callable[[Project], None], says: str, hints: str
) -> None:
    project.sql("aa01", TABLE)
    project.pgstead("up")
    breaks(project)
    said = project.pgstead("up", status=1).err
    error, hint = said.splitlines()[-2:]
    assert error.startswith("error: ")
    assert says in error
    assert hint.startswith("hint: ")
    assert hints.format(database=project.database) in hint
    assert "Traceback" not in said
    assert "has a bug" not in said
    assert project.rows("SELECT to_regclass('other')") == [(None,)]
    at = "aa02" if breaks is deleted else "aa01"
    assert project.rows("SELECT version_num FROM alembic_version") == [(at,)]


def test_a_downgrade_that_fails_half_way_is_told_and_can_be_done_again(project: Project) -> None:
    down = "op.execute('DROP TABLE other')\nop.execute('DROP TABLE nothing')"
    path = project.revision(
        "aa01", f"op.execute({TABLE!r})\nop.execute('CREATE TABLE other ()')", down
    )
    project.pgstead("up")
    invocation = Invocation(manifest=str(project.folder / "pgstead.toml"), quiet=True)
    history = History(chosen([project.database], invocation)[0], invocation)
    with pytest.raises(SteadError, match='table "nothing" does not exist') as refused:
        run(history, Way.DOWN, "base", SILENT)
    assert "nothing of this revision was kept" in refused.value.hint
    assert project.rows("SELECT to_regclass('other') IS NOT NULL") == [(True,)]
    assert project.applied() == [("aa01", "up")]
    path.write_text(path.read_text().replace("DROP TABLE nothing", "DROP TABLE item"))
    run(history, Way.DOWN, "base", SILENT)
    assert project.rows("SELECT to_regclass('item')") == [(None,)]
