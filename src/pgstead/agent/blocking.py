"""The trees of who waits for whom, for services that show them: asked only while somebody waits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pgstead.app.telemetry.sanitizing import sanitized
from pgstead.errors import SteadError
from pgstead.model.advice import Answers, Finding, Subject
from pgstead.model.design import Design
from pgstead.model.telemetry import Sample
from pgstead.observe import inspection
from pgstead.plan.advice import locks
from pgstead.ports.telemetry import Monitor, SampleStore

NOTE = "locks"
_BLOCKED = "pg_blocked_backends"
_TREES = 20
_LINES = 40  # of a tree
_LONG = 200  # characters of a line


class Blocking:
    """Notes the trees as long as there are some, and once more when there are none."""

    def __init__(self, design: Design, monitor: Monitor) -> None:
        """Ask nothing yet."""
        self._names = [d.name for d in design.databases]
        self._major = design.build.major
        self._monitor = monitor
        self._noted: bool | None = None  # the note says that there are some; None: no note yet

    def note(self, store: SampleStore, found: Sequence[Sample]) -> None:
        """Write down who waits for whom. Raises StateDirectoryError."""
        blocked = next((s.value for s in found if s.metric == _BLOCKED), None)
        if blocked == 0 and self._noted is False:
            return
        if blocked is None:
            store.note(NOTE, {"trees": [], "reason": "nobody knows who waits now"})
            self._noted = None
        elif blocked == 0:
            store.note(NOTE, {"trees": [], "reason": ""})
            self._noted = False
        else:
            store.note(NOTE, self._asked())
            self._noted = True

    def _asked(self) -> Mapping[str, object]:
        questions = inspection.QUESTIONS[Subject.LOCKS]
        try:
            answers = inspection.ask(self._monitor.connect, self._names, self._major, questions)
        except SteadError as error:
            return {"trees": [], "reason": error.message}
        trees = [_tree(f) for f in locks.diagnose(_without_literals(answers)).findings if f.detail]
        return {"trees": trees[:_TREES], "reason": ""}


def _without_literals(answers: Answers) -> Answers:
    """Take out what was written into statements: a page may be seen by more people than a log."""
    rows = {
        what: tuple({**r, "query": sanitized(str(r["query"]))} if "query" in r else r for r in own)
        for what, own in answers.rows.items()
    }
    return replace(answers, rows=rows)


def _tree(found: Finding) -> Mapping[str, object]:
    return {
        "database": found.database,
        "severity": found.severity.value,
        "says": found.says,
        "do": found.do,
        "evidence": {f.name: f.value for f in found.evidence},
        "lines": [line[:_LONG] for line in found.detail[:_LINES]],
    }
