"""inspect: ask the running server about one subject, and say what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from pgstead.errors import SteadError
from pgstead.model.advice import Answers, Diagnosis, PoolUse, Subject, Trial, Unseen
from pgstead.model.design import Design
from pgstead.model.statements import LoggedPlan, StatementWindow
from pgstead.model.telemetry import Sample
from pgstead.observe import inspection
from pgstead.plan.advice import (
    bloat,
    connections,
    forecast,
    indexes,
    io,
    locks,
    performance,
    queries,
    settings,
    vacuum,
)
from pgstead.plan.advice.queries import Past
from pgstead.ports.telemetry import Monitor, SampleStore

_SIZE = "pgbouncer_databases_pool_size"
_BUSY = "pgbouncer_pools_server_active_connections"
_WAITING = "pgbouncer_pools_client_waiting_connections"
_LONGEST = "pgbouncer_pools_client_maxwait_seconds"
_DAYS = 7
_FORESEEN_DAYS = 31


def ask(design: Design, monitor: Monitor, subject: Subject) -> Answers:
    """Return what the server tells. Raises NotRunningError, SqlError where nobody can be asked."""
    return inspection.ask(
        monitor.connect,
        [d.name for d in design.databases],
        design.build.major,
        inspection.QUESTIONS[subject],
    )


def diagnose(
    subject: Subject,
    answers: Answers,
    store: SampleStore | None,
    past: Past,
    trials: Sequence[Trial] | None = None,
) -> Diagnosis:
    """Return what is found; `store` is None where nobody samples, `trials` where none were made."""
    match subject:
        case Subject.LOCKS:
            return locks.diagnose(answers)
        case Subject.QUERIES:
            return queries.diagnose(answers, past)
        case Subject.INDEXES:
            return indexes.diagnose(answers, trials)
        case Subject.BLOAT:
            return bloat.diagnose(answers)
        case Subject.VACUUM:
            return vacuum.diagnose(answers)
        case Subject.SETTINGS:
            return settings.diagnose(answers)
        case Subject.IO:
            return io.diagnose(answers)
        case Subject.CONNECTIONS:
            return _connections(answers, store)
        case Subject.FORECAST:
            return foresee(store)
        case Subject.PERFORMANCE:
            return performance.diagnose({}, {})


def past_of(
    store: SampleStore | None, log: Callable[[datetime], Sequence[LoggedPlan]], since: datetime
) -> Past:
    """Return what was sampled and logged of statements; what cannot be read is said."""
    unseen: list[Unseen] = []
    windows: Sequence[StatementWindow] = ()
    plans: Sequence[LoggedPlan] = ()
    if store is None:
        unseen.append(
            Unseen("statements over time", "nobody samples: `[telemetry] enabled` is false")
        )
    else:
        try:
            windows = store.statements(since)
        except SteadError as error:
            unseen.append(Unseen("statements over time", error.message))
        else:
            if not windows:
                unseen.append(Unseen("statements over time", "no window of them is there yet"))
    try:
        plans = log(since)
    except SteadError as error:
        unseen.append(Unseen("plans", error.message))
    return Past(since, windows, plans, tuple(unseen))


def _connections(answers: Answers, store: SampleStore | None) -> Diagnosis:
    if store is None:
        why = "nobody samples it: `[telemetry] enabled` is false"
        return connections.diagnose(_without(answers, "use of the pools", why), ())
    try:
        return connections.diagnose(answers, [*pool_use(store)])
    except SteadError as error:
        return connections.diagnose(_without(answers, "use of the pools", error.message), ())


def foresee(store: SampleStore | None) -> Diagnosis:
    """Return when capacity is used up, as far as samples tell; the server is not asked."""
    if store is None:
        return forecast.empty("nobody samples it: `[telemetry] enabled` is false")
    begun = datetime.now(UTC) - timedelta(days=_FORESEEN_DAYS)
    try:
        history = {c.metric: store.history(c.metric, begun) for c in forecast.CAPACITIES}
    except SteadError as error:
        return forecast.empty(error.message)
    return forecast.diagnose(history, datetime.now(UTC))


def _without(answers: Answers, what: str, reason: str) -> Answers:
    return Answers(answers.rows, (*answers.unseen, Unseen(what, reason)), answers.at)


def pool_use(store: SampleStore) -> Iterator[PoolUse]:
    """Yield how the servers of each database were used. Raises StateDirectoryError."""
    begun = datetime.now(UTC) - timedelta(days=_DAYS)
    sizes = _by_database(store.history(_SIZE, begun))
    busy, waiting = (_by_database(store.history(name, begun)) for name in (_BUSY, _WAITING))
    longest = _by_database(store.history(_LONGEST, begun))
    for database, samples in busy.items():
        known = sizes.get(database)
        if not known:
            continue
        moments = sorted(samples)
        yield PoolUse(
            database,
            known[max(known)],
            tuple(samples[at] for at in moments),
            tuple(waiting.get(database, {}).values()),
            max(longest.get(database, {}).values(), default=0.0),
            moments[0],
            moments[-1],
        )


def _by_database(samples: Sequence[Sample]) -> dict[str, dict[datetime, float]]:
    """Return the sums over the roles of a database; a sample of each is taken in one second."""
    found: dict[str, dict[datetime, float]] = {}
    for sample in samples:
        database = dict(sample.attributes).get("database")
        if database is None or sample.value is None:
            continue
        moment = sample.at.replace(microsecond=0)
        own = found.setdefault(database, {})
        own[moment] = own.get(moment, 0.0) + sample.value
    return found
