"""inspect: ask the running server about one subject, and say what to do."""

from __future__ import annotations

from pgstead.model.advice import Answers, Diagnosis, Subject
from pgstead.model.design import Design
from pgstead.observe import inspection
from pgstead.plan.advice import locks, queries
from pgstead.ports.telemetry import Monitor


def inspect(design: Design, monitor: Monitor, subject: Subject) -> Diagnosis:
    """Return what is found. Raises NotRunningError, SqlError where nobody can be asked."""
    answers = inspection.ask(
        monitor.connect,
        [d.name for d in design.databases],
        design.build.major,
        inspection.QUESTIONS[subject],
    )
    return _diagnose(subject, answers)


def _diagnose(subject: Subject, answers: Answers) -> Diagnosis:
    match subject:
        case Subject.LOCKS:
            return locks.diagnose(answers)
        case Subject.QUERIES:
            return queries.diagnose(answers)
        case _:
            raise NotImplementedError(subject)
