"""What a process measures of its own database, by OpenTelemetry's semantic conventions.

https://opentelemetry.io/docs/specs/semconv/database/database-metrics/
SQLAlchemy's own instrumentation has no waiting time and the names of 2023
(open-telemetry/opentelemetry-python-contrib#1158), so the pool is measured here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.util.types import Attributes
from sqlalchemy import Engine, event
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from pgstead.app.breaker import State

if TYPE_CHECKING:
    from pgstead.app.engine import Database

SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)  # those of the convention
# Finer around 5 and 10 ms: a connection shall be had within 10 ms on average (APP-7).
ACQUIRING = (0.0005, 0.001, 0.0025, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0)
# What else a statement may begin with is one series: names must stay few.
_OPERATIONS = frozenset(
    {"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "WITH", "COPY", "SET", "LOCK", "CALL"}
)
_BEGAN = "_pgstead_began"
_SINCE = "pgstead.since"


def operation_of(text: str) -> str:
    """Return the word that a statement begins with, one of few."""
    word = text.lstrip("( \n").partition(" ")[0].rstrip().upper()
    return word if word in _OPERATIONS else "other"


class Instruments:
    """The instruments of one database of this process."""

    def __init__(self, meter: Meter, name: str) -> None:
        """Make them; `name` is the database's, and the pool's."""
        self._meter = meter
        self._name = name
        self._pool: Attributes = {"db.client.connection.pool.name": name}
        self._pending = 0
        histogram = meter.create_histogram
        self._duration = histogram(
            "db.client.operation.duration",
            unit="s",
            description="Duration of database client operations.",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
        self._wait = histogram(
            "db.client.connection.wait_time",
            unit="s",
            description="The time it took to obtain an open connection from the pool.",
            explicit_bucket_boundaries_advisory=ACQUIRING,
        )
        self._use = histogram(
            "db.client.connection.use_time",
            unit="s",
            description="The time between borrowing a connection and returning it to the pool.",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
        self._create = histogram(
            "db.client.connection.create_time",
            unit="s",
            description="The time it took to create a new connection.",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
        self._timeouts = meter.create_counter(
            "db.client.connection.timeouts",
            unit="{timeout}",
            description="Connection timeouts that occurred trying to obtain a connection.",
        )
        self._timeouts.add(0, self._pool)  # none is a number too, once somebody counts

    # -- the pool -------------------------------------------------------------------------------

    def acquiring(self, connect: Callable[[], Any]) -> Any:
        """Take a connection from the pool, and measure the wait for it."""
        self._pending += 1
        began = time.perf_counter()
        try:
            connection = connect()
        except PoolTimeoutError:
            self._timeouts.add(1, self._pool)
            raise
        finally:
            self._pending -= 1
        self._wait.record(time.perf_counter() - began, self._pool)
        return connection

    def created(self, seconds: float) -> None:
        """Count a new connection."""
        self._create.record(seconds, self._pool)

    def install(self, engine: Engine) -> None:
        """Measure an engine's statements and the use of its connections."""
        event.listen(engine, "checkout", self._checkout)
        event.listen(engine, "checkin", self._checkin)
        event.listen(engine, "before_cursor_execute", self._before)
        event.listen(engine, "after_cursor_execute", self._after)
        event.listen(engine, "handle_error", self._failed)

    def _checkout(self, _connection: Any, record: Any, _proxy: Any) -> None:
        record.info[_SINCE] = time.perf_counter()

    def _checkin(self, _connection: Any, record: Any) -> None:
        since = record.info.pop(_SINCE, None)
        if since is not None:
            self._use.record(time.perf_counter() - since, self._pool)

    # -- statements -----------------------------------------------------------------------------

    def _before(self, _c: Any, _cursor: Any, _text: str, _p: Any, context: Any, *_: Any) -> None:
        setattr(context, _BEGAN, time.perf_counter())

    def _after(self, _c: Any, _cursor: Any, text: str, _p: Any, context: Any, *_: Any) -> None:
        began = getattr(context, _BEGAN, None)
        if began is not None:
            self._duration.record(time.perf_counter() - began, self._operation(text))

    def _failed(self, failure: Any) -> None:
        began = getattr(failure.execution_context, _BEGAN, None)
        if began is None:
            return
        told = self._operation(failure.statement or "")
        sqlstate = getattr(failure.original_exception, "sqlstate", None)
        if sqlstate:
            told |= {"db.response.status_code": sqlstate, "error.type": sqlstate}
        else:
            told["error.type"] = type(failure.original_exception).__name__
        self._duration.record(time.perf_counter() - began, told)

    def _operation(self, text: str) -> dict[str, str]:
        return {
            "db.system.name": "postgresql",
            "db.namespace": self._name,
            "db.operation.name": operation_of(text),
        }

    # -- what is asked when somebody reads --------------------------------------------------------

    def observe(self, database: Database) -> None:
        """Tell the state of a database's pool, breaker and retries whenever it is read."""
        self._observe_pool(database)
        self._observe_resilience(database)

    def _observe_pool(self, database: Database) -> None:
        pool, figures = self._pool, database.settings.figures

        def used(_o: CallbackOptions) -> Iterator[Observation]:
            state = database.pool()
            for name, count in (("used", state.in_use), ("idle", state.idle)):
                yield Observation(count, {**(pool or {}), "db.client.connection.state": name})

        def gauge(name: str, unit: str, text: str, value: Callable[[], int]) -> None:
            self._meter.create_observable_up_down_counter(
                f"db.client.connection.{name}",
                [lambda _o: [Observation(value(), pool)]],
                unit,
                text,
            )

        self._meter.create_observable_up_down_counter(
            "db.client.connection.count", [used], "{connection}", "Connections by state."
        )
        many = "{connection}"
        gauge("max", many, "The most connections that the pool opens.", lambda: figures.limit)
        gauge("idle.max", many, "The most idle connections.", lambda: figures.size)
        gauge(
            "pending_requests",
            "{request}",
            "Requests that wait for a connection.",
            lambda: self._pending,
        )

    def _observe_resilience(self, database: Database) -> None:
        mine, counts = {"db.namespace": self._name}, database.units.counts

        def breaker(_o: CallbackOptions) -> Iterator[Observation]:
            now = database.breaker.state
            for state in State:
                yield Observation(int(state is now), {**mine, "pgstead.breaker.state": state.value})

        def counter(name: str, unit: str, text: str, value: Callable[[], int]) -> None:
            self._meter.create_observable_counter(
                f"pgstead.app.{name}", [lambda _o: [Observation(value(), mine)]], unit, text
            )

        self._meter.create_observable_up_down_counter(
            "pgstead.app.breaker.state", [breaker], "{state}", "1: the breaker is like that."
        )
        counter("units", "{unit}", "Units of work: requests are ones too.", lambda: counts.units)
        counter("retries", "{retry}", "Attempts after the first.", lambda: counts.retries)
        counter(
            "retries.refused",
            "{retry}",
            "Retries that the budget did not allow.",
            lambda: counts.refused,
        )
