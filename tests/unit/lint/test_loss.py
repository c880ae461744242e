"""What statements take away with its rows."""

from __future__ import annotations

import pytest

from pgstead.lint.loss import Thing, losses
from pgstead.model.revision import Statement


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        ("DROP TABLE a, s.b CASCADE", (("public", "a", ""), ("s", "b", ""))),
        ('ALTER TABLE "A b" DROP COLUMN "C d"', (("public", "A b", "C d"),)),
        ("ALTER TABLE a DROP COLUMN x; DROP TABLE a", (("public", "a", ""),)),
        ("TRUNCATE a; DELETE FROM s.b", (("public", "a", ""), ("s", "b", ""))),
        ("DROP INDEX a; DROP FUNCTION f(); ALTER TABLE a DROP CONSTRAINT c", ()),
        ("DROP TABLE", ()),
    ],
)
def test_tables_and_columns_that_go_are_named(text: str, lost: tuple[Thing, ...]) -> None:
    assert losses([Statement(text, (), transactional=True)]) == lost
