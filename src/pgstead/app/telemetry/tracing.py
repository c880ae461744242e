"""A span for each statement, by OpenTelemetry's conventions for databases.

https://opentelemetry.io/docs/specs/semconv/database/database-spans/
Statements of one request share a trace: its id is the correlation id's, so a log line leads to
the trace without a table between them. Nothing is written into the statement itself: a comment
would defeat the caches of prepared statements.
"""

from __future__ import annotations

import contextlib
from typing import Any

from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    get_current_span,
    set_span_in_context,
)
from sqlalchemy import Engine, event

from pgstead.app import correlation
from pgstead.app.telemetry.instruments import operation_of
from pgstead.app.telemetry.sanitizing import sanitized

_SPAN = "_pgstead_span"
_LOW = (1 << 64) - 1


class Tracing:
    """The spans of one database of this process; whatever fails here fails no statement."""

    def __init__(self, tracer: Tracer, name: str) -> None:
        """Take what makes spans, and the database's name."""
        self._tracer = tracer
        self._name = name

    def install(self, engine: Engine) -> None:
        """Make spans of an engine's statements."""
        event.listen(engine, "before_cursor_execute", self._before)
        event.listen(engine, "after_cursor_execute", self._after)
        event.listen(engine, "handle_error", self._failed)

    def _before(self, _c: Any, _cursor: Any, text: str, _p: Any, context: Any, *many: Any) -> None:
        with contextlib.suppress(Exception):
            operation = operation_of(text)
            told: dict[str, str | int] = {
                "db.system.name": "postgresql",
                "db.namespace": self._name,
                "db.operation.name": operation,
            }
            if shown := sanitized(text):
                told["db.query.text"] = shown
            if many[0]:  # executemany
                told["db.operation.batch.size"] = len(context.parameters)
            if identity := correlation.current():
                told["pgstead.correlation_id"] = identity
            span = self._tracer.start_span(
                f"{operation} {self._name}", _parent(identity), SpanKind.CLIENT, told
            )
            setattr(context, _SPAN, span)

    def _after(self, _c: Any, _cursor: Any, _text: str, _p: Any, context: Any, *_: Any) -> None:
        with contextlib.suppress(Exception):
            span = context.__dict__.pop(_SPAN, None)
            if span is not None:
                span.end()

    def _failed(self, failure: Any) -> None:
        with contextlib.suppress(Exception):
            span = failure.execution_context.__dict__.pop(_SPAN, None)
            if span is None:
                return
            # the message may hold values of rows, so it is not told
            sqlstate = getattr(failure.original_exception, "sqlstate", None)
            if sqlstate:
                span.set_attribute("db.response.status_code", sqlstate)
            name = sqlstate or type(failure.original_exception).__name__
            span.set_attribute("error.type", name)
            span.set_status(Status(StatusCode.ERROR))
            span.end()


def _parent(identity: str) -> Context | None:
    """Return what a span belongs to: a span of the application's own, else its request."""
    if get_current_span().get_span_context().is_valid or not identity:
        return None
    number = correlation.as_uuid(identity).int
    request = SpanContext(number, number & _LOW or 1, is_remote=True, trace_flags=TraceFlags(1))
    return set_span_in_context(NonRecordingSpan(request))
