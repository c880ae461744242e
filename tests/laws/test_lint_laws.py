"""Laws of the lint, whatever a revision holds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pgstead.lint.finding import Level
from pgstead.lint.judge import judge
from pgstead.lint.registry import RULES
from pgstead.lint.rule import Harm
from pgstead.lint.scene import Surroundings
from pgstead.model.revision import TableSize
from tests.unit.lint.corpus.case import BEFORE, DOCUMENT
from tests.unit.lint.corpus.written import CASES
from tests.unit.lint.scripts import script

# Every statement of the corpus that is SQL, in any order and number, with or without its tables.
SQL = sorted(
    {
        item
        for case in CASES
        for item in (*case.before, *case.caught, *case.near)
        if not item.startswith(("op.", "with "))
    }
)
STATEMENTS = st.lists(st.sampled_from(SQL) | st.text(max_size=20), max_size=8)
ROWS = st.sampled_from([0, 12, 9_999, 10_000, 10**9])
SIZES = st.dictionaries(
    st.sampled_from(["account", "invoice", "document"]),
    st.builds(TableSize, ROWS, ROWS.map(lambda rows: rows * 100)),
)


def levels(
    statements: list[str], sizes: dict[str, TableSize] | None
) -> dict[tuple[str, str], Level]:
    revisions = (script("a", *BEFORE, *DOCUMENT), script("b", *statements))
    report = judge(revisions, frozenset({"b"}), Surroundings(sizes=sizes))
    return {(f.rule, f.message): f.level for f in report.findings}


@given(STATEMENTS, SIZES)
def test_size_only_ever_makes_a_note_of_the_length_of_a_lock(
    statements: list[str], sizes: dict[str, TableSize]
) -> None:
    unweighed, weighed = levels(statements, None), levels(statements, sizes)
    # a required column does no harm to a table that has no row
    gone = {rule for rule, _ in unweighed.keys() - weighed.keys()}
    assert gone <= {"required-column-without-default"}
    assert weighed.keys() <= unweighed.keys()
    for found, level in weighed.items():
        if level is not unweighed.get(found, level):
            assert level is Level.NOTE
            assert RULES[found[0]].harm is Harm.LOCK


@given(STATEMENTS)
def test_what_is_judged_twice_is_judged_the_same(statements: list[str]) -> None:
    assert levels(statements, None) == levels(statements, None)
