"""One subject of `inspect`, from the questions to the findings."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from pgstead.cli.wiring import monitor_of
from pgstead.errors import NotRunningError
from pgstead.host import plan_log, service_metrics
from pgstead.model.advice import Diagnosis, Subject
from pgstead.model.performance import Counted
from pgstead.plan.advice import performance
from pgstead.workflows.inspect import ask, diagnose, foresee, past_of

if TYPE_CHECKING:
    from pgstead.cli.wiring import Wired
    from pgstead.ports import Progress

_DAY = 86_400.0


def _performance(wired: Wired) -> Diagnosis:
    told: dict[str, Sequence[Counted]] = {}
    silent: dict[str, str] = {}
    for service in wired.design.services:
        try:
            told[service.name] = service_metrics.read(service)
        except NotRunningError as error:
            silent[service.name] = error.message
    return performance.diagnose(told, silent)


def examine(
    wired: Wired,
    subject: Subject,
    progress: Progress,
    *,
    check: bool = False,
    since: float = _DAY,
) -> Diagnosis:
    """Return what is found; `check` tries indexes on a copy, `since` are seconds to look back.

    Raises NotRunningError, SqlError where the server tells nothing.
    """
    telemetry = wired.ports.telemetry
    store = telemetry.store if telemetry is not None else None
    if subject is Subject.FORECAST:
        return foresee(store)
    if subject is Subject.PERFORMANCE:
        return _performance(wired)
    answers = ask(wired.design, monitor_of(wired), subject)
    trials = None
    if check:
        from pgstead.cli.index_check import tried

        trials = tried(wired, answers, progress)
    begun = datetime.now(UTC) - timedelta(seconds=since)
    log = Path(wired.design.layout.server_log)
    past = past_of(store, lambda moment: plan_log.read(log, moment), begun)
    return diagnose(subject, answers, store, past, trials)
