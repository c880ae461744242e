"""Lint the revisions of a database: written out, judged, with squawk beside our own rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pgstead.lint import squawk
from pgstead.lint.judge import judge

if TYPE_CHECKING:
    from pgstead.lint.finding import Report
    from pgstead.lint.scene import Surroundings
    from pgstead.model.revision import Remark, RevisionScript
    from pgstead.ports import SquawkProgram


def lint(
    revisions: Sequence[RevisionScript],
    wanted: frozenset[str],
    around: Surroundings,
    program: SquawkProgram | None,
) -> Report:
    """Return what the wanted ones of all revisions would hurt, without squawk if it is None."""
    remarks = None if program is None else _remarks(revisions, wanted, around.major, program)
    return judge(revisions, wanted, around, remarks)


def _remarks(
    revisions: Sequence[RevisionScript], wanted: frozenset[str], major: int, program: SquawkProgram
) -> list[Remark]:
    sheets = [squawk.sheet(r) for r in revisions if r.name in wanted and r.upgrade.statements]
    remarks: list[Remark] = []
    for transactional in (True, False):
        texts = {s.name: s.text for s in sheets if s.transactional is transactional}
        remarks += program.remarks(texts, major=major, transactional=transactional)
    return remarks
