"""Protocols of alerts: what is remembered of them, and who is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from pgstead.model.alerts import (
        AlertState,
        Phase,
        Silence,
        TargetState,
        Told,
        Transition,
    )


class AlertStore(Protocol):
    """States, history, silences and what was told, in a file. All raise StateDirectoryError."""

    def states(self) -> Sequence[AlertState]:
        """Return every alert as it was evaluated last."""
        ...

    def keep(self, states: Sequence[AlertState], changes: Sequence[Transition]) -> None:
        """Replace all states, and add to the history."""
        ...

    def history(self, limit: int = 100) -> Sequence[Transition]:
        """Return the last changes, newest first."""
        ...

    def forget(self, before: datetime) -> None:
        """Remove the history and the silences that ended before a moment."""
        ...

    def silence(self, name: str, until: datetime, reason: str, by: str) -> Silence:
        """Have an alert, or those of a pattern, not told for a while."""
        ...

    def end_silence(self, number: int) -> bool:
        """End a silence; False where there is none of that number."""
        ...

    def silences(self) -> Sequence[Silence]:
        """Return those that are kept, ended ones too."""
        ...

    def told(self, target: str) -> Sequence[Told]:
        """Return what a target was told last of each alert."""
        ...

    def tell(self, target: str, phases: Sequence[tuple[str, Phase]], at: datetime) -> None:
        """Write down what a target has taken."""
        ...

    def targets(self) -> Sequence[TargetState]:
        """Return how telling each target went."""
        ...

    def keep_targets(self, states: Sequence[TargetState]) -> None:
        """Replace how telling each target went."""
        ...


@dataclass(frozen=True, slots=True)
class Sent:
    """The end of a delivery."""

    target: str
    error: str  # empty: it was taken


class Couriers(Protocol):
    """Who carries messages: one at a time for each target, none waits for another."""

    def targets(self) -> Sequence[tuple[str, str]]:
        """Return the names of all targets, each with what is wrong with it, or nothing."""
        ...

    def carry(self, target: str, title: str, body: str) -> bool:
        """Begin to deliver; False where the last delivery is still under way."""
        ...

    def beat(self) -> bool:
        """Begin to send a heartbeat; False where the last is still under way."""
        ...

    def ended(self) -> Sequence[Sent]:
        """Return the deliveries that have ended since this was asked last."""
        ...


@dataclass(frozen=True, slots=True)
class AlertPorts:
    """What alerting works with."""

    store: AlertStore
    couriers: Couriers
