"""Protocols of what watches: connections as the monitoring role, the machine, the samples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    import psycopg

    from pgstead.model.availability import Slot
    from pgstead.model.statements import StatementWindow
    from pgstead.model.telemetry import Check, Metric, Sample, Threshold, Verdict


class Monitor(Protocol):
    """Connections as the monitoring role, which reads statistics and no table."""

    def connect(self, database: str) -> psycopg.Connection[dict[str, Any]]:
        """Open a read-only one (3 s to connect, statements 2 s, locks 100 ms).

        Raises psycopg.Error; whoever asks for it closes it.
        """
        ...

    def console(self) -> psycopg.Connection[dict[str, Any]]:
        """Open one to the pooler's console. Raises psycopg.Error."""
        ...


class Vitals(Protocol):
    """The machine below: file systems, memory, processes, certificates."""

    def metrics(self) -> Sequence[Metric]:
        """Return what can be measured here."""
        ...

    def look(self, *, slow: bool = True) -> Sequence[Sample]:
        """Measure; what cannot be read has no value and a reason."""
        ...


class SampleStore(Protocol):
    """Samples of the past and of now, in a file."""

    def declare(self, metrics: Iterable[tuple[Metric, float]]) -> None:
        """Write down what is measured, and after how many seconds a sample is stale."""
        ...

    def write(self, samples: Sequence[Sample]) -> None:
        """Add samples, all or none. Raises StateDirectoryError."""
        ...

    def write_statements(self, windows: Sequence[StatementWindow]) -> None:
        """Add windows of statements, all or none. Raises StateDirectoryError."""
        ...

    def statements(self, since: datetime) -> Sequence[StatementWindow]:
        """Return the windows of statements that ended since a moment, by time."""
        ...

    def judge(self, verdicts: Sequence[tuple[Check, Threshold, Verdict]]) -> None:
        """Write down what the checks came to."""
        ...

    def verdicts(self) -> Sequence[Verdict]:
        """Return what the checks came to last."""
        ...

    def newest(self) -> Sequence[Sample]:
        """Return the newest sample of each series, however old."""
        ...

    def history(self, metric: str, since: datetime) -> Sequence[Sample]:
        """Return the samples of a metric since a moment, by series and then by time."""
        ...

    def note(self, name: str, body: object) -> None:
        """Write down what services show and may not read themselves. JSON."""
        ...

    def noted(self, name: str) -> Any:
        """Return the body of a note, None where there is none. Raises StateDirectoryError."""
        ...

    def slots(self, seconds: float, since: datetime) -> Sequence[Slot]:
        """Return how server and pooler answered, by slots of some seconds since a moment."""
        ...

    def forget(self, before: datetime, lasting_before: datetime) -> None:
        """Remove what is older; the metrics of availability by a moment of their own."""
        ...


@dataclass(frozen=True, slots=True)
class TelemetryPorts:
    """What watching works with."""

    monitor: Monitor
    vitals: Vitals
    store: SampleStore
