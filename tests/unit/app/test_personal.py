"""Classes at the end of comments, and how far an erasure follows foreign keys."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, ForeignKey, Integer, MetaData, Table, Text

from pgstead.app.personal import Classified
from pgstead.errors import UsageError
from pgstead.model.erasure import Erasure, begun, called, erasures, finished
from pgstead.model.personal import (
    KINDS,
    Class,
    Inventory,
    Mark,
    Reach,
    Reference,
    Subject,
    Tie,
    mark_of,
    marked,
    subject_of,
    unmarked,
)
from pgstead.model.personal import Column as Held
from pgstead.model.personal import Table as HeldTable

MARKS = st.builds(
    Mark,
    st.sampled_from(Class),
    st.sampled_from(["", *sorted(KINDS)]),
    st.none() | st.sampled_from(Tie),
)


@given(MARKS, st.text())
def test_a_mark_is_read_again_and_replaced_by_another(mark: Mark, comment: str) -> None:
    written = marked(comment, mark)
    assert mark_of(written) == mark
    assert mark_of(marked(written, Mark(Class.PUBLIC))) == Mark(Class.PUBLIC)
    assert mark_of(unmarked(comment)) is None or mark_of(comment) is not None


def test_a_table_of_persons_says_by_what_they_are_named() -> None:
    subject = Subject(("id", "email"), kept=True)
    assert subject_of(marked("people", subject)) == subject
    assert unmarked(marked("people", subject)) == "people"
    assert subject_of("people [subject: ]") is None
    assert mark_of("a list [of personal things]") is None


def test_keys_are_internal_and_what_is_not_named_says_no_class() -> None:
    metadata = MetaData()
    Table("people", metadata, Column("id", Integer, primary_key=True))
    notes = Table(
        "notes",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("person", ForeignKey("people.id"), comment="whose"),
        Column("body", Text, comment="the note"),
        Column("colour", Text),
        Classified(personal="body", authored="person"),
    )
    assert notes.c.person.comment == "whose [internal; authored]"
    assert notes.c.body.comment == "the note [personal]"
    assert notes.c.id.comment == "[internal]"
    assert notes.c.colour.comment is None


@pytest.mark.parametrize("told", [{"personal": "nowhere"}, {"personal": "body:smell"}])
def test_a_wrong_word_is_refused_with_those_that_there_are(told: dict[str, str]) -> None:
    with pytest.raises(UsageError) as refused:
        Table("notes", MetaData(), Column("body", Text), Classified(kept=False, **told))
    assert refused.value.hint


def table(name: str, *references: str, subject: Subject | None = None) -> HeldTable:
    """Return a table with a key, and a column for each reference."""
    key = Held("id", "uuid", Mark(Class.INTERNAL), nullable=False, key=True)
    body = Held("body", "text", Mark(Class.PERSONAL))
    others = (Held(r, "uuid", Mark(Class.INTERNAL)) for r in references)
    return HeldTable("public", name, (key, body, *others), subject)


def reference(child: str, parent: str, action: str) -> Reference:
    """Return a foreign key."""
    return Reference(("public", child), (parent,), ("public", parent), ("id",), action)


def test_rows_go_children_first_also_in_a_circle() -> None:
    people = table("people", subject=Subject(("id",)))
    held = Inventory(
        "db",
        (people, table("a", "people", "c"), table("b", "a"), table("c", "b"), table("d", "people"),
         table("alone")),
        (reference("a", "people", "c"), reference("b", "a", "c"), reference("c", "b", "c"),
         reference("a", "c", "c"), reference("d", "people", "n")),
    )  # fmt: skip
    reach = Reach.of(held, people)
    assert [name for _, name in reach.going] == ["people", "a", "b", "c"]
    assert [r.child[1] for r in reach.cut] == ["d"]
    assert [t.name for t in held.unreached] == ["d", "alone"]


def test_the_list_of_erasures_survives_a_line_that_was_cut_off() -> None:
    first = Erasure("1", "t", "db", ("public", "people"), {"id": "7"}, "s", called("ada", "s"))
    second = replace(first, id="2", finished="u", rows={"people deleted": 1}, left=0)
    told = (begun(first), begun(second), finished(second), finished(replace(second, id="3")))
    lines = [json.dumps(line) for line in told]
    lines.insert(1, '{"event": "finis')
    assert erasures(lines) == (first, second)
    assert first.means("ada")
    assert first.means("7")
    assert not first.means("bob")
