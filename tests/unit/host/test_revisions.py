"""Revisions are written out without a server, each statement with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgstead.host.revisions import AlembicRevisions, RevisionError
from pgstead.model.revision import RevisionScript
from tests.unit.lint.corpus.case import revision
from tests.unit.lint.corpus.written import folder

HEADER = 'from alembic import op\nrevision = "a"\ndown_revision = None\n'


def written(place: Path, **texts: str) -> tuple[RevisionScript, ...]:
    return AlembicRevisions(folder(place, texts)).written(".", {})


def test_a_statement_has_the_line_that_asked_for_it_and_those_that_called(tmp_path: Path) -> None:
    text = (
        f"{HEADER}\n"
        "def upgrade():\n"  # 5
        "    for n in (1, 2):\n"
        "        make(n)\n"  # 7
        "def make(n):\n"
        "    op.execute(\n"  # 9
        "        f'SELECT {n}'\n"
        "    )\n"
        "def downgrade():\n"
        "    pass\n"
    )
    (found,) = written(tmp_path, a=text)
    assert [(s.text, s.lines) for s in found.upgrade.statements] == [
        ("SELECT 1;", (9, 7)),
        ("SELECT 2;", (9, 7)),
    ]
    assert found.downgrade.statements == ()


def test_what_an_autocommit_block_holds_is_outside_of_the_transaction(tmp_path: Path) -> None:
    text = (
        f"{HEADER}\n"
        "def upgrade():\n"
        "    op.execute('SELECT 1')\n"
        "    with op.get_context().autocommit_block():\n"
        "        op.execute('SELECT 2')\n"
        "    op.execute('SELECT 3')\n"
        "    op.execute('COMMIT')\n"
    )
    (found,) = written(tmp_path, a=text)
    assert [(s.text, s.transactional) for s in found.upgrade.statements] == [
        ("SELECT 1;", True),
        ("SELECT 2;", False),
        ("SELECT 3;", True),
        ("COMMIT;", True),  # the revision's own, which the lint refuses
    ]


def test_a_revision_that_needs_a_server_says_so_and_the_others_are_written(tmp_path: Path) -> None:
    asks = revision("b", "a", ("SELECT 1", "op.get_bind().connection.cursor()"))
    first, second, third = written(
        tmp_path, a=revision("a", None, ("SELECT 1",)), b=asks, c=revision("c", "b", ("SELECT 3",))
    )
    assert first.upgrade.problem == third.upgrade.problem == ""
    assert "AttributeError" in second.upgrade.problem
    assert second.upgrade.line == asks[: asks.index("op.get_bind")].count("\n") + 1
    assert [s.text for s in second.upgrade.statements] == ["SELECT 1;"]


def test_revisions_come_in_the_order_in_which_they_run(tmp_path: Path) -> None:
    found = written(
        tmp_path,
        a=revision("z", "m", ("SELECT 1",)),
        b=revision("m", None, ("SELECT 1",)),
    )
    assert [(r.name, r.parents) for r in found] == [("m", ()), ("z", ("m",))]


def test_two_heads_are_written_both(tmp_path: Path) -> None:
    found = written(
        tmp_path,
        a=revision("a", None, ("SELECT 1",)),
        b=revision("b", "a", ("SELECT 1",)),
        c=revision("c", "a", ("SELECT 1",)),
    )
    assert {r.name for r in found} == {"a", "b", "c"}


def test_writing_leaves_the_process_where_it_was(tmp_path: Path) -> None:
    before = Path.cwd()
    written(tmp_path, a=revision("a", None, ("SELECT 1",)))
    assert Path.cwd() == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{HEADER}def upgrade(:\n", r"a\.py:4: SyntaxError"),
        (f"{HEADER}import no_such_module\n", "ModuleNotFoundError: No module named"),
        (revision("a", "gone", ("SELECT 1",)), "gone"),
        (f"{HEADER}raise ValueError\n", "ValueError"),
    ],
    ids=["syntax", "import", "missing parent", "raises"],
)
@pytest.mark.filterwarnings("ignore:Revision gone")
def test_a_file_that_cannot_be_read_is_an_error_with_its_place(
    text: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(RevisionError, match=said) as caught:
        written(tmp_path, a=text)
    assert caught.value.hint


def test_a_broken_env_is_an_error(tmp_path: Path) -> None:
    place = folder(tmp_path, {"a": revision("a", None, ("SELECT 1",))})
    (place / "migrations" / "env.py").write_text("import no_such_module\n")
    with pytest.raises(RevisionError, match="no_such_module"):
        AlembicRevisions(place).written(".", {})


def test_a_folder_without_alembic_ini_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RevisionError, match=r"no alembic\.ini"):
        AlembicRevisions(tmp_path).written("nowhere", {})
