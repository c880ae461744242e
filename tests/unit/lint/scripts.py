"""Revisions by hand: SQL, and the Python around it where a test is about that."""

from __future__ import annotations

from pgstead.lint.finding import Finding, Report
from pgstead.lint.judge import judge
from pgstead.lint.scene import Surroundings
from pgstead.model.revision import Direction, RevisionScript, Statement

SOURCE = "def upgrade():\n    run()\n\n\ndef downgrade():\n    undo()\n"
TABLE = "CREATE TABLE account (id bigint PRIMARY KEY, bar int, note text)"


def script(
    name: str, *texts: str, source: str = SOURCE, line: int = 2, down: tuple[str, ...] = ()
) -> RevisionScript:
    """Return a revision that executes some SQL, all of it from one line."""
    up = tuple(Statement(text, (line,), transactional=True) for text in texts)
    back = tuple(Statement(text, (6,), transactional=True) for text in down)
    return RevisionScript(name, (), f"{name}.py", source, Direction(up), Direction(back))


def judged(
    *texts: str, around: Surroundings | None = None, source: str = SOURCE, line: int = 2
) -> Report:
    """Return what is found in a revision after one that made the table `account`."""
    revisions = (script("a", TABLE), script("b", *texts, source=source, line=line))
    return judge(revisions, frozenset({"b"}), around or Surroundings(roles={"app": "shop_app"}))


def rules(findings: tuple[Finding, ...]) -> set[str]:
    """Return the rules of findings, the way back apart."""
    return {f.rule for f in findings} - {"downgrade-leaves"}
